/** Rows of changes on their way out of the engine: gathered once into temporary tables, then read page by page. Memory stays bounded. */
import { type DuckTable, joinedKeys, keyColumns, sameJoinedKey, tableSql } from "../duck-table.js";
import type { Database } from "./database.js";

export interface ChangesAsked {
  readonly table: number;
  readonly from: number;
  readonly until: number;
  readonly bytes: number;
}
export interface ChangesPage {
  /** JSON list of [order, op, key, row or null], with from ≤ order < until. */
  readonly json: string;
  readonly until: number;
}

const list = (item: string, order: string): string => `'[' || string_agg(${item}::VARCHAR, ',' ORDER BY ${order}) || ']'`;

/** Of which any number can be sorted, by way of the disk. */
const shortRow = 300;
/** That are found in any order. */
const fewRows = 2_000;
/** Of a change beside its row. */
const changeBytes = 64;

export class RowStore {
  #gathered = new Map<number, { readonly table: DuckTable; readonly bytes: number }>();

  /** `sortableBytes`: what can be put in order at one time, whatever it is. */
  constructor(
    private readonly database: Database,
    private readonly sortableBytes: number,
  ) {}

  /** What belongs to the copy before. */
  async forget(): Promise<void> {
    for (const n of this.#gathered.keys()) await this.database.run(`DROP TABLE IF EXISTS temp.i${n}; DROP TABLE IF EXISTS temp.o${n}`);
    this.#gathered = new Map();
  }

  /** The rows of changes that stand in `o<n>` with their orders, as they are: texts are made of a page at a time. */
  async gather(table: DuckTable): Promise<void> {
    const { number: n } = table;
    const { relation, keys, place, bytes } = tableSql(table);
    const rows = `SELECT *, ${joinedKeys(keys)}${place === null ? "" : `, ${place} AS _tailrace_pos`} FROM ${relation}`;
    const same = `${place === null ? "" : "o.pos = r._tailrace_pos AND "}${sameJoinedKey(table, "o", "r")}`;
    await this.database.run(
      `CREATE OR REPLACE TEMP TABLE i${n} AS SELECT *, (${bytes})::BIGINT AS _tailrace_bytes
       FROM (SELECT o.ord AS _tailrace_ord, r.* FROM temp.o${n} AS o JOIN (${rows}) AS r ON ${same} WHERE o.op <> 'd')`,
    );
    const [found] = await this.database.rows<{ rows: bigint; bytes: bigint | null }>(
      `SELECT count(*) AS rows, sum(_tailrace_bytes)::BIGINT AS bytes FROM temp.i${n}`,
    );
    const [count, size] = [Number(found?.rows ?? 0), Number(found?.bytes ?? 0)];
    this.#gathered.set(n, { table, bytes: size });
    // Pages are read fastest from rows in order. Large rows stay as they are when they are many: DuckDB cannot sort them (sorted-rows.ts).
    if (count <= fewRows || (size > this.sortableBytes && size > count * shortRow)) return;
    await this.database.run(
      `CREATE TEMP TABLE ordered AS SELECT * FROM temp.i${n} ORDER BY _tailrace_ord; DROP TABLE temp.i${n}; ALTER TABLE temp.ordered RENAME TO i${n}`,
    );
  }

  /** As many of them as have so many bytes together, and one at least. */
  async changes({ table: n, from, until, bytes }: ChangesAsked): Promise<ChangesPage> {
    const gathered = this.#gathered.get(n);
    if (gathered === undefined) throw new Error(`no changes of table ${n} were gathered`);
    const page = (what: string, end: number): string =>
      `(SELECT * FROM temp.o${n} WHERE ord >= ${from} AND ord < ${end}) AS o LEFT JOIN (SELECT ${what} FROM temp.i${n} WHERE _tailrace_ord >= ${from} AND _tailrace_ord < ${end}) AS r ON o.ord = r._tailrace_ord`;
    const fitsWhole = gathered.bytes + (until - from) * changeBytes <= bytes;
    const end = fitsWhole ? until : await this.#endOf(page("_tailrace_ord, _tailrace_bytes", until), bytes);
    const { row, key } = tableSql(gathered.table);
    // What was compared a moment ago is there: a row that is not is never told as one of nothing but NULL.
    const found = `CASE WHEN r._tailrace_ord IS NULL THEN error('a row that was compared is gone') ELSE ${row("r")} END`;
    const line = `json_array(o.ord, o.op, ${key("o")}, CASE WHEN o.op = 'd' THEN NULL ELSE ${found} END)`;
    return { json: await this.#text(`SELECT ${list(line, "o.ord")} AS text FROM ${page("*", end)}`), until: end };
  }

  async #endOf(page: string, bytes: number): Promise<number> {
    const [fits] = await this.database.rows<{ until: bigint }>(
      `SELECT max(ord) + 1 AS until FROM (SELECT ord, sum(size) OVER (ORDER BY ord) - size AS before
       FROM (SELECT o.ord, coalesce(r._tailrace_bytes, 0) + ${changeBytes} AS size FROM ${page})) WHERE before < ${bytes}`,
    );
    return Number(fits?.until);
  }

  async rowsOf(table: DuckTable, wanted: readonly (readonly string[])[]): Promise<string> {
    if (wanted.length === 0) return "[]";
    const { relation, keys, row, key } = tableSql(table);
    const parts = keys.map(({ type }, i) => {
      if (type.fromText === null) throw new Error("a column of this type cannot be a key");
      const texts = wanted.map((one) => `'${(one[i] ?? "").replaceAll("'", "''")}'`);
      return `${type.fromText(`unnest([${texts.join(", ")}])`)} AS k${i}`;
    });
    const join = joinedKeys(keys);
    return await this.#text(
      `SELECT ${list(`json_array(${key("w")}, CASE WHEN r._tailrace_k0 IS NULL THEN NULL ELSE ${row("r")} END)`, keyColumns(table, "w."))} AS text
       FROM (SELECT ${parts.join(", ")}) AS w LEFT JOIN (SELECT *, ${join} FROM ${relation}) AS r ON ${sameJoinedKey(table, "w", "r")}`,
    );
  }

  async #text(sql: string): Promise<string> {
    const [found] = await this.database.rows<{ text: string | null }>(sql);
    return found?.text ?? "[]";
  }
}
