/** Rows on their way out of the engine: gathered or sorted once into temporary tables, then read in slices by row number. Memory stays bounded. */
import { type DuckTable, joinedKeys, keyColumns, sameJoinedKey, tableSql } from "../duck-table.js";
import type { Database } from "./database.js";

const list = (item: string, order: string): string => `'[' || string_agg(${item}::VARCHAR, ',' ORDER BY ${order}) || ']'`;

export class RowStore {
  #gathered = new Set<number>();
  #sorted: DuckTable | null = null;

  constructor(private readonly database: Database) {}

  /** What belongs to the copy before. */
  async forget(): Promise<void> {
    for (const n of this.#gathered) await this.database.run(`DROP TABLE IF EXISTS temp.i${n}`);
    await this.database.run("DROP TABLE IF EXISTS temp.sorted");
    this.#gathered = new Set();
    this.#sorted = null;
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
      `CREATE OR REPLACE TEMP TABLE i${n} AS SELECT o.ord, ${line} AS line
       FROM temp.o${n} AS o LEFT JOIN (${rows}) AS r ON ${same} ORDER BY o.ord;
       DROP TABLE temp.o${n}`,
    );
  }

  async changes({ table, from, until }: { readonly table: number; readonly from: number; readonly until: number }): Promise<string> {
    return await this.#text(`SELECT ${list("line", "ord")} AS text FROM temp.i${table} WHERE ord >= ${from} AND ord < ${until}`);
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

  async sort(table: DuckTable, after: readonly string[] | null): Promise<number> {
    const { relation, keys } = tableSql(table);
    const order = keys.map(({ expression }) => expression).join(", ");
    const bound = keys.map(({ type }, i) => type.fromText?.(`'${(after?.[i] ?? "").replaceAll("'", "''")}'`) ?? "NULL").join(", ");
    const where = after === null ? "" : `WHERE row(${order}) > row(${bound})`;
    this.#sorted = table;
    await this.database.run(`CREATE OR REPLACE TEMP TABLE sorted AS SELECT * FROM ${relation} ${where} ORDER BY ${order}`);
    const [counted] = await this.database.rows<{ n: bigint }>("SELECT count(*) AS n FROM temp.sorted");
    return Number(counted?.n ?? 0);
  }

  async chunks({
    from,
    rows,
    chunks,
  }: {
    readonly from: number;
    readonly rows: number;
    readonly chunks: number;
  }): Promise<readonly string[]> {
    const table = this.#sorted;
    if (table === null) throw new Error("nothing is sorted");
    const { row } = tableSql(table);
    const found = await this.database.rows<{ text: string }>(
      `SELECT ${list(row("s"), "s.rowid")} AS text FROM temp.sorted AS s
       WHERE s.rowid >= ${from} AND s.rowid < ${from + rows * chunks} GROUP BY (s.rowid - ${from}) // ${rows} ORDER BY (s.rowid - ${from}) // ${rows}`,
    );
    return found.map(({ text }) => text);
  }

  async #text(sql: string): Promise<string> {
    const [found] = await this.database.rows<{ text: string | null }>(sql);
    return found?.text ?? "[]";
  }
}
