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
const shortLine = 300;

export class RowStore {
  #gathered = new Set<number>();

  /** `sortableBytes`: what can be put in order at one time, whatever it is. */
  constructor(
    private readonly database: Database,
    private readonly sortableBytes: number,
  ) {}

  /** What belongs to the copy before. */
  async forget(): Promise<void> {
    for (const n of this.#gathered) await this.database.run(`DROP TABLE IF EXISTS temp.i${n}`);
    this.#gathered = new Set();
  }

  /** The rows of changes that stand in `o<n>` with their orders, one line each; `o<n>` is not needed any more. */
  async gather(table: DuckTable): Promise<void> {
    const { number: n } = table;
    const { relation, keys, place, row, key } = tableSql(table);
    const rows = `SELECT *, ${joinedKeys(keys)}${place === null ? "" : `, ${place} AS _tailrace_pos`} FROM ${relation}`;
    const same = `${place === null ? "" : "o.pos = r._tailrace_pos AND "}${sameJoinedKey(table, "o", "r")}`;
    // What was compared a moment ago is there: a row that is not is never told as one of nothing but NULL.
    const found = `CASE WHEN r._tailrace_k0 IS NULL THEN error('a row that was compared is gone') ELSE ${row("r")} END`;
    const line = `json_array(o.ord, o.op, ${key("o")}, CASE WHEN o.op = 'd' THEN NULL ELSE ${found} END)::VARCHAR`;
    this.#gathered.add(n);
    await this.database.run(
      `CREATE OR REPLACE TEMP TABLE i${n} AS SELECT ord, line, strlen(line) AS bytes
       FROM (SELECT o.ord, ${line} AS line FROM temp.o${n} AS o LEFT JOIN (${rows}) AS r ON ${same});
       DROP TABLE temp.o${n}`,
    );
    await this.#order(n);
  }

  /** Pages are read fastest from lines in order. Large lines stay as they are when they are many: DuckDB cannot sort them (sorted-rows.ts). */
  async #order(n: number): Promise<void> {
    const [found] = await this.database.rows<{ lines: bigint; bytes: bigint | null }>(
      `SELECT count(*) AS lines, sum(bytes)::BIGINT AS bytes FROM temp.i${n}`,
    );
    const bytes = Number(found?.bytes ?? 0);
    if (bytes > this.sortableBytes && bytes > Number(found?.lines ?? 0) * shortLine) return;
    await this.database.run(
      `CREATE TEMP TABLE ordered AS SELECT * FROM temp.i${n} ORDER BY ord; DROP TABLE temp.i${n}; ALTER TABLE temp.ordered RENAME TO i${n}`,
    );
  }

  /** As many of them as have so many bytes together, and one at least. */
  async changes({ table, from, until, bytes }: ChangesAsked): Promise<ChangesPage> {
    const [fits] = await this.database.rows<{ until: bigint | null }>(
      `SELECT max(ord) + 1 AS until FROM (SELECT ord, sum(bytes) OVER (ORDER BY ord) - bytes AS before FROM temp.i${table} WHERE ord >= ${from} AND ord < ${until})
       WHERE before < ${bytes}`,
    );
    const end = Number(fits?.until ?? until);
    const json = await this.#text(`SELECT ${list("line", "ord")} AS text FROM temp.i${table} WHERE ord >= ${from} AND ord < ${end}`);
    return { json, until: end };
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
