/**
 * The engine over one DuckDB file of ours. What was told is kept as keys and hashes (`s<n>` for table n), and the keys of every change that was told
 * by the order they were told at (`j<n>`), until the target has them.
 *
 * Promises: what is about to be told is remembered before it is told, in one transaction with its keys. So whatever a reader may hold differs from
 * `s<n>` at most in keys that `j<n>` names above the order it is known to have; these are told again, as they are, at orders that nobody has seen.
 * A crash before the transaction leaves the state before, a crash after it leaves keys to be told again.
 */
import { randomUUID } from "node:crypto";
import { mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { type DuckTable, keyColumns, quoteText, sameKey, signatureOf, tableSql } from "../duck-table.js";
import { checkShapes } from "./check-shapes.js";
import { Database } from "./database.js";
import type { CycleAnswer, CycleRequest, Engine, EngineOptions, Remembered, TableChanges } from "./engine.js";
import { RowStore } from "./row-store.js";

/** Orders beyond the last one of a cycle that the source may give out without asking. */
export const ordersReserved = 1_000;

export class DiffEngine implements Engine {
  #database: Database | null = null;
  #tables: ReadonlyMap<number, DuckTable> = new Map();
  #store: RowStore | null = null;
  #isAttached = false;

  async open({ options, tables }: { options: EngineOptions; tables: readonly DuckTable[] }): Promise<Remembered> {
    const { directory, memoryMb, threads } = options;
    const spillDirectory = join(directory, "spill");
    rmSync(spillDirectory, { recursive: true, force: true });
    mkdirSync(spillDirectory, { recursive: true });
    const database = await Database.open(join(directory, "state.duckdb"), { memoryMb, threads, spillDirectory });
    this.#database = database;
    this.#tables = new Map(tables.map((table) => [table.number, table]));
    this.#store = new RowStore(database);
    await database.run("CREATE TABLE IF NOT EXISTS meta (name VARCHAR PRIMARY KEY, value VARCHAR NOT NULL)");
    await database.run("CREATE TABLE IF NOT EXISTS told (n INTEGER PRIMARY KEY, signature VARCHAR NOT NULL)");
    await database.run("CREATE TABLE IF NOT EXISTS whole (ord BIGINT NOT NULL, n INTEGER NOT NULL)");
    if ((await this.#meta()).get("state") === undefined) await this.begin({ history: 0, order: 0 });
    return await this.recall({ above: null });
  }

  async begin({ history, order }: { history: number; order: number }): Promise<Remembered> {
    const database = this.#open();
    await database.transaction(async () => {
      for (const name of await this.#ownTables()) await database.run(`DROP TABLE ${name}`);
      await database.run("DELETE FROM told; DELETE FROM whole; DELETE FROM meta");
      await this.#set({ state: randomUUID(), history, order, pruned: order, frozen: "" });
    });
    return await this.recall({ above: null });
  }

  async reserve({ order }: { order: number }): Promise<void> {
    await this.#set({ order });
  }

  async attach({ path }: { path: string }): Promise<void> {
    const database = this.#open();
    await this.#rows().forget();
    if (this.#isAttached) await database.run("DETACH src");
    this.#isAttached = false;
    await database.run(`ATTACH ${quoteText(path)} AS src (READ_ONLY)`);
    this.#isAttached = true;
    await checkShapes(database, [...this.#tables.values()]);
  }

  async cycle(request: CycleRequest): Promise<CycleAnswer> {
    const database = this.#open();
    const compared = request.compare.map((n) => this.#table(n));
    const whole: DuckTable[] = [];
    const changed: { readonly table: DuckTable; readonly count: number }[] = [];
    const doubted = request.doubtAbove === null ? new Set<number>() : await this.#wholeAbove(request.doubtAbove);
    let rowsCompared = 0;
    for (const table of compared) {
      const { rows, changes } = await this.#compare(table, request.doubtAbove);
      rowsCompared += rows;
      if (doubted.has(table.number) || changes > request.changesMax) whole.push(table);
      else if (changes > 0) changed.push({ table, count: changes });
    }
    let order = request.firstOrder - 1;
    const changes: TableChanges[] = [];
    for (const { table, count } of changed) {
      changes.push({ table: table.number, first: order + 1, count });
      order += count;
    }
    if (whole.length > 0) order++;
    await database.transaction(async () => {
      for (const { table: n, first } of changes) await this.#remember(this.#table(n), first);
      for (const n of request.establish) await this.#establish(this.#table(n));
      for (const table of whole) {
        await this.#establish(table);
        await database.run(`INSERT INTO whole VALUES (${order}, ${table.number})`);
      }
      await this.#set({ order: order + ordersReserved, frozen: request.frozen ?? "" });
    });
    for (const change of changes) await this.#rows().gather(this.#table(change.table), change);
    for (const { number } of compared) await database.run(`DROP TABLE IF EXISTS temp.d${number}`);
    return { changes, whole: whole.map(({ number }) => number), lastOrder: order, rowsCompared };
  }

  async changes(request: { table: number; from: number; until: number }): Promise<string> {
    return await this.#rows().changes(request);
  }

  async rowsOf({ table, keys }: { table: number; keys: readonly (readonly string[])[] }): Promise<string> {
    return await this.#rows().rowsOf(this.#table(table), keys);
  }

  async sort({ table, after }: { table: number; after: readonly string[] | null }): Promise<{ rows: number }> {
    return { rows: await this.#rows().sort(this.#table(table), after) };
  }

  async chunks(request: { from: number; rows: number; chunks: number }): Promise<readonly string[]> {
    return await this.#rows().chunks(request);
  }

  async prune({ below }: { below: number }): Promise<void> {
    const database = this.#open();
    if (below <= Number((await this.#meta()).get("pruned") ?? 0)) return;
    await database.transaction(async () => {
      for (const name of await this.#ownTables()) if (name.startsWith("j")) await database.run(`DELETE FROM ${name} WHERE ord <= ${below}`);
      await database.run(`DELETE FROM whole WHERE ord <= ${below}`);
      await this.#set({ pruned: below });
    });
  }

  async close(): Promise<void> {
    await this.#database?.[Symbol.asyncDispose]();
    this.#database = null;
  }

  /** Leaves what differs in `d<n>`: key, op, hashes. Keys in doubt are among it, whether they differ or not. */
  async #compare(table: DuckTable, doubtAbove: number | null): Promise<{ readonly rows: number; readonly changes: number }> {
    const database = this.#open();
    const { number: n } = table;
    const { relation, keys, hashes } = tableSql(table);
    const now = `SELECT ${keys.map(({ expression }, i) => `${expression} AS k${i}`).join(", ")}, ${hashes} FROM ${relation}`;
    const either = table.description.key.map((_, i) => `coalesce(n.k${i}, s.k${i}) AS k${i}`).join(", ");
    await database.run(
      `CREATE OR REPLACE TEMP TABLE d${n} AS SELECT ${either}, CASE WHEN s.h IS NULL THEN 'c' WHEN n.h IS NULL THEN 'd' ELSE 'u' END AS op, n.h, n.g
       FROM (${now}) AS n FULL OUTER JOIN state.s${n} AS s ON ${sameKey(table, "n", "s")}
       WHERE n.h IS NULL OR s.h IS NULL OR n.h <> s.h OR n.g <> s.g`,
    );
    if (doubtAbove !== null) await this.#addDoubts(table, doubtAbove);
    const [counted] = await database.rows<{ rows: bigint; changes: bigint }>(
      `SELECT (SELECT count(*) FROM state.s${n}) AS rows, (SELECT count(*) FROM temp.d${n}) AS changes`,
    );
    return { rows: Number(counted?.rows ?? 0), changes: Number(counted?.changes ?? 0) };
  }

  /** A reader may hold any of several rows under these keys, or none: they are told as they are, `s`, or as gone. */
  async #addDoubts(table: DuckTable, above: number): Promise<void> {
    const database = this.#open();
    const { number: n } = table;
    const doubts = `SELECT DISTINCT ${keyColumns(table)} FROM state.j${n} WHERE ord > ${above}`;
    await database.run(
      `UPDATE temp.d${n} AS d SET op = 's' WHERE op <> 'd' AND EXISTS (SELECT 1 FROM (${doubts}) AS j WHERE ${sameKey(table, "j", "d")});
       INSERT INTO temp.d${n} SELECT ${keyColumns(table, "j.")}, CASE WHEN s.h IS NULL THEN 'd' ELSE 's' END, s.h, s.g
       FROM (${doubts}) AS j LEFT JOIN state.s${n} AS s ON ${sameKey(table, "j", "s")}
       WHERE NOT EXISTS (SELECT 1 FROM temp.d${n} AS d WHERE ${sameKey(table, "j", "d")})`,
    );
  }

  /** In the cycle's transaction: the differences become what was told. */
  async #remember(table: DuckTable, first: number): Promise<void> {
    const { number: n } = table;
    const names = keyColumns(table);
    await this.#open().run(
      `INSERT INTO state.j${n} SELECT ${first - 1} + row_number() OVER (ORDER BY ${names}), ${names}, op FROM temp.d${n};
       DELETE FROM state.s${n} AS s USING temp.d${n} AS d WHERE ${sameKey(table, "s", "d")};
       INSERT INTO state.s${n} SELECT ${names}, h, g FROM temp.d${n} WHERE op <> 'd'`,
    );
  }

  async #establish(table: DuckTable): Promise<void> {
    const { number: n } = table;
    const { relation, keys, hashes } = tableSql(table);
    const list = keys.map(({ expression }, i) => `${expression} AS k${i}`).join(", ");
    await this.#open().run(
      `CREATE OR REPLACE TABLE state.s${n} AS SELECT ${list}, ${hashes} FROM ${relation};
       CREATE TABLE IF NOT EXISTS state.j${n} AS SELECT 0::BIGINT AS ord, ${keyColumns(table)}, '' AS op FROM state.s${n} LIMIT 0;
       INSERT OR REPLACE INTO told VALUES (${n}, ${quoteText(signatureOf(table))})`,
    );
  }

  async #wholeAbove(order: number): Promise<Set<number>> {
    const rows = await this.#open().rows<{ n: number }>(`SELECT DISTINCT n FROM whole WHERE ord > ${order}`);
    return new Set(rows.map(({ n }) => n));
  }

  async recall({ above }: { above: number | null }): Promise<Remembered> {
    const meta = await this.#meta();
    const told = new Map(
      (await this.#open().rows<{ n: number; signature: string }>("SELECT n, signature FROM told")).map(({ n, signature }) => [
        n,
        signature,
      ]),
    );
    const frozen = meta.get("frozen") ?? "";
    return {
      stateId: meta.get("state") ?? "",
      history: Number(meta.get("history")),
      order: Number(meta.get("order")),
      prunedTo: Number(meta.get("pruned")),
      frozen: frozen === "" ? null : frozen,
      unread: [...this.#tables.values()].filter((table) => told.get(table.number) !== signatureOf(table)).map(({ number }) => number),
      toldAbove: above !== null && (await this.#toldAbove(above)),
    };
  }

  async #toldAbove(order: number): Promise<boolean> {
    for (const name of [...(await this.#ownTables()).filter((own) => own.startsWith("j")), "whole"]) {
      const [found] = await this.#open().rows<{ n: bigint }>(`SELECT count(*) AS n FROM ${name} WHERE ord > ${order}`);
      if (Number(found?.n ?? 0) > 0) return true;
    }
    return false;
  }

  async #meta(): Promise<ReadonlyMap<string, string>> {
    const rows = await this.#open().rows<{ name: string; value: string }>("SELECT name, value FROM meta");
    return new Map(rows.map(({ name, value }) => [name, value]));
  }

  async #set(values: Readonly<Record<string, string | number>>): Promise<void> {
    const list = Object.entries(values).map(([name, value]) => `(${quoteText(name)}, ${quoteText(String(value))})`);
    await this.#open().run(`INSERT OR REPLACE INTO meta VALUES ${list.join(", ")}`);
  }

  /** Of captured tables, those of former ones included. */
  async #ownTables(): Promise<readonly string[]> {
    const rows = await this.#open().rows<{ name: string }>(
      "SELECT table_name AS name FROM duckdb_tables() WHERE database_name = 'state' AND regexp_full_match(table_name, '[sj][0-9]+')",
    );
    return rows.map(({ name }) => name);
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
