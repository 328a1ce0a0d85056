/** Reads copies that the source has shown, for the verifier. What is prepared lies in temporary tables `v<n>` and goes to disk beyond the memory. */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import type { CanonicalSql } from "../canonical-sql.js";
import { beyond, type DuckTable, keyColumns, quoteText, textLiterals, tableSql } from "../duck-table.js";
import { checkShapes } from "./check-shapes.js";
import { Database } from "./database.js";
import { RowStore } from "./row-store.js";
import { sortableBytes } from "./sorted-rows.js";
import type { TableScope, View } from "./view.js";

const list = (item: string, order: string): string => `'[' || string_agg(${item}::VARCHAR, ',' ORDER BY ${order}) || ']'`;

export class ViewEngine implements View {
  #database: Database | null = null;
  #store: RowStore | null = null;
  #tables: ReadonlyMap<number, DuckTable> = new Map();
  #prepared = new Set<number>();
  #isAttached = false;

  async open({ directory, memoryMb, threads }: { directory: string; memoryMb: number; threads: number }): Promise<void> {
    const spillDirectory = join(directory, "spill");
    mkdirSync(spillDirectory, { recursive: true });
    this.#database = await Database.open(":memory:", { memoryMb, threads, spillDirectory });
    this.#store = new RowStore(this.#database, sortableBytes(memoryMb));
  }

  async attach({ path, tables }: { path: string; tables: readonly DuckTable[] }): Promise<void> {
    const database = this.#open();
    for (const n of this.#prepared) await database.run(`DROP TABLE IF EXISTS temp.v${n}`);
    this.#prepared = new Set();
    if (this.#isAttached) await database.run("DETACH src");
    this.#isAttached = false;
    await database.run(`ATTACH ${quoteText(path)} AS src (READ_ONLY)`);
    this.#isAttached = true;
    this.#tables = new Map(tables.map((table) => [table.number, table]));
    await checkShapes(database, tables);
  }

  async prepare({ table: n, canonical }: { table: number; canonical: CanonicalSql | null }): Promise<void> {
    if (this.#prepared.has(n)) return;
    const table = this.#table(n);
    const { relation, keys, row } = tableSql(table);
    const sure = canonical?.sure ?? "false";
    const list = keys.map(({ expression }, i) => `${expression} AS k${i}`).join(", ");
    const json = `${row("r")}::VARCHAR`;
    // Rows that have no key are found by what is prepared: to make keys for them takes the whole table.
    const kept = table.mode === "rows" ? json : `CASE WHEN _tailrace_sure THEN NULL ELSE ${json} END`;
    await this.#open().run(
      `CREATE OR REPLACE TEMP TABLE v${n} AS SELECT ${list}, CASE WHEN _tailrace_sure THEN ${canonical?.hash ?? "NULL::VARCHAR"} END AS h, ${kept} AS j
       FROM (SELECT *, (${sure}) AS _tailrace_sure FROM ${relation}) AS r ORDER BY ${keys.map((_, i) => i + 1).join(", ")}`,
    );
    this.#prepared.add(n);
  }

  async bounds({ rows, most, ...scope }: TableScope & { readonly rows: number; readonly most: number }): Promise<string> {
    const table = this.#table(scope.table);
    const { key } = tableSql(table);
    const within = this.#within(table, scope);
    // Row numbers are in key order: so the table was made.
    const before = `(SELECT min(rowid) FROM temp.v${table.number} WHERE ${within}) - 1`;
    return await this.#text(
      `SELECT ${list(key("v"), "v.n")} AS text
       FROM (SELECT *, rowid AS n FROM temp.v${table.number} WHERE ${within} AND (rowid - (${before})) % ${rows} = 0 ORDER BY rowid LIMIT ${most}) AS v`,
    );
  }

  async digest(scope: TableScope): Promise<{ rows: number; high: string; low: string; unhashed: number }> {
    const table = this.#table(scope.table);
    const half = (from: number): string => `coalesce(sum(CAST('0x' || substr(h, ${from}, 16) AS UBIGINT)), 0)::VARCHAR`;
    const [found] = await this.#open().rows<{ rows: bigint; high: string; low: string; unhashed: bigint }>(
      `SELECT count(h) AS rows, ${half(1)} AS high, ${half(17)} AS low, count(*) - count(h) AS unhashed
       FROM temp.v${table.number} WHERE ${this.#within(table, scope)}`,
    );
    return { rows: Number(found?.rows ?? 0), high: found?.high ?? "0", low: found?.low ?? "0", unhashed: Number(found?.unhashed ?? 0) };
  }

  async digests({ most, ...scope }: TableScope & { readonly most: number }): Promise<string> {
    const table = this.#table(scope.table);
    const { key } = tableSql(table);
    return await this.#text(
      `SELECT ${list(`json_array(${key("v")}, v.h)`, keyColumns(table, "v."))} AS text
       FROM (SELECT * FROM temp.v${table.number} WHERE h IS NOT NULL AND ${this.#within(table, scope)} LIMIT ${most}) AS v`,
    );
  }

  async unhashed({ from, most, ...scope }: TableScope & { readonly from: number; readonly most: number }): Promise<string> {
    const table = this.#table(scope.table);
    const order = keyColumns(table);
    return await this.#text(
      `SELECT ${list("v.j", keyColumns(table, "v."))} AS text FROM (SELECT * FROM temp.v${table.number}
       WHERE h IS NULL AND ${this.#within(table, scope)} ORDER BY ${order} LIMIT ${most} OFFSET ${from}) AS v`,
    );
  }

  async rowsOf({ table, keys }: { table: number; keys: readonly (readonly string[])[] }): Promise<string> {
    const it = this.#table(table);
    if (it.mode === "keyed") return await this.#rows().rowsOf(it, keys);
    if (keys.length === 0) return "[]";
    const { key, keys: columns } = tableSql(it);
    const wanted = columns.map(({ type }, i) => {
      if (type.fromText === null) throw new Error("a column of this type cannot be a key");
      return `${type.fromText(`unnest([${keys.map((one) => quoteText(one[i] ?? "")).join(", ")}])`)} AS k${i}`;
    });
    return await this.#text(
      `SELECT ${list(`json_array(${key("w")}, v.j::JSON)`, keyColumns(it, "w."))} AS text
       FROM (SELECT ${wanted.join(", ")}) AS w LEFT JOIN temp.v${table} AS v USING (${keyColumns(it)})`,
    );
  }

  async close(): Promise<void> {
    await this.#database?.[Symbol.asyncDispose]();
    this.#database = null;
  }

  #within(table: DuckTable, { after, upTo }: TableScope): string {
    const columns = table.description.key.map((_, i) => `k${i}`);
    const parts = [
      ...(after === null ? [] : [beyond(columns, textLiterals(table, after), { than: ">", last: ">" })]),
      ...(upTo === null ? [] : [beyond(columns, textLiterals(table, upTo), { than: "<", last: "<=" })]),
    ];
    return parts.length === 0 ? "true" : parts.join(" AND ");
  }

  async #text(sql: string): Promise<string> {
    const [found] = await this.#open().rows<{ text: string | null }>(sql);
    return found?.text ?? "[]";
  }

  #table(n: number): DuckTable {
    const table = this.#tables.get(n);
    if (table === undefined) throw new Error(`table ${n} is not captured`);
    return table;
  }

  #open(): Database {
    if (this.#database === null) throw new Error("the engine is not open");
    return this.#database;
  }

  #rows(): RowStore {
    if (this.#store === null) throw new Error("the engine is not open");
    return this.#store;
  }
}
