/**
 * The engine over one DuckDB file of ours. What was told is kept as keys and hashes (`s<n>` for table n; told-table.ts), and the keys of every change
 * that was told by the order they were told at (`j<n>`), until the target has them.
 *
 * Promises: what is about to be told is remembered before it is told, in one transaction with its keys. So whatever a reader may hold differs from
 * `s<n>` at most in keys that `j<n>` names above the order it is known to have; these are told again, as they are, at orders that nobody has seen.
 * A crash before the transaction leaves the state before, a crash after it leaves keys to be told again.
 */
import { randomUUID } from "node:crypto";
import { mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { type DuckTable, quoteText, signatureOf } from "../duck-table.js";
import { checkShapes } from "./check-shapes.js";
import { Database } from "./database.js";
import type { CycleAnswer, CycleRequest, Engine, EngineOptions, Remembered, TableChanges } from "./engine.js";
import { HeldChanges } from "./held-changes.js";
import { RowGroups } from "./row-groups.js";
import { type ChangesAsked, type ChangesPage, RowStore } from "./row-store.js";
import { type Slices, type SlicesAsked, sortableBytes, SortedRows } from "./sorted-rows.js";
import { type Compared, type Settled, ToldTable } from "./told-table.js";

/** Orders beyond the last one of a cycle that the source may give out without asking. */
export const ordersReserved = 1_000;
const pieceRows = 1_000_000;

export class DiffEngine implements Engine {
  #database: Database | null = null;
  #tables: ReadonlyMap<number, DuckTable> = new Map();
  #store: RowStore | null = null;
  #sorted: SortedRows | null = null;
  #rowGroups: RowGroups | null = null;
  #held: HeldChanges | null = null;
  #isAttached = false;
  #pieceRows = pieceRows;

  async open({ options, tables }: { options: EngineOptions; tables: readonly DuckTable[] }): Promise<Remembered> {
    const { directory, memoryMb, threads } = options;
    this.#pieceRows = options.pieceRows ?? pieceRows;
    const spillDirectory = join(directory, "spill");
    rmSync(spillDirectory, { recursive: true, force: true });
    mkdirSync(spillDirectory, { recursive: true });
    const database = await Database.open(join(directory, "state.duckdb"), { memoryMb, threads, spillDirectory });
    this.#database = database;
    this.#tables = new Map(tables.map((table) => [table.number, table]));
    this.#store = new RowStore(database, sortableBytes(memoryMb));
    this.#sorted = new SortedRows(database, sortableBytes(memoryMb));
    this.#rowGroups = new RowGroups(database);
    this.#held = new HeldChanges(database, memoryMb);
    // What the process before has left in the log was replayed, and is held.
    await this.#held.letGo();
    await database.run("CREATE TABLE IF NOT EXISTS meta (name VARCHAR PRIMARY KEY, value VARCHAR NOT NULL)");
    await database.run("CREATE TABLE IF NOT EXISTS told (n INTEGER PRIMARY KEY, signature VARCHAR NOT NULL)");
    await database.run("CREATE TABLE IF NOT EXISTS loose (n INTEGER PRIMARY KEY, rows BIGINT NOT NULL)");
    await database.run("CREATE TABLE IF NOT EXISTS whole (ord BIGINT NOT NULL, n INTEGER NOT NULL)");
    if ((await this.#meta()).get("state") === undefined) await this.begin({ history: 0, order: 0 });
    return await this.recall({ above: null });
  }

  async begin({ history, order }: { history: number; order: number }): Promise<Remembered> {
    const database = this.#open();
    await database.transaction(async () => {
      for (const name of await this.#ownTables()) await database.run(`DROP TABLE ${name}`);
      await database.run("DELETE FROM told; DELETE FROM loose; DELETE FROM whole; DELETE FROM meta");
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
    await this.#sortedRows().forget();
    this.#groups().attached(path);
    if (this.#isAttached) await database.run("DETACH src");
    this.#isAttached = false;
    await database.run(`ATTACH ${quoteText(path)} AS src (READ_ONLY)`);
    this.#isAttached = true;
    await checkShapes(database, [...this.#tables.values()]);
  }

  async cycle(request: CycleRequest): Promise<CycleAnswer> {
    const database = this.#open();
    const doubted = request.doubtAbove === null ? new Set<number>() : await this.#wholeAbove(request.doubtAbove);
    const looked: { readonly told: ToldTable; readonly compared: Compared; readonly isWhole: boolean }[] = [];
    for (const n of request.compare) {
      const told = this.#told(n);
      const compared = await told.compare(this.#groups(), request.doubtAbove);
      looked.push({ told, compared, isWhole: doubted.has(n) || compared.changes > request.changesMax });
    }
    let order = request.firstOrder - 1;
    const changes: TableChanges[] = [];
    const changed: ToldTable[] = [];
    for (const { told, compared, isWhole } of looked) {
      if (isWhole || compared.changes === 0) continue;
      await told.order(order + 1);
      changed.push(told);
      changes.push({ table: told.table.number, first: order + 1, count: compared.changes });
      order += compared.changes;
    }
    const whole = looked.filter(({ isWhole }) => isWhole).map(({ told }) => told);
    if (whole.length > 0) order++;
    await database.transaction(async () => {
      for (const told of changed) await told.remember();
      for (const { told, compared, isWhole } of looked) if (!isWhole) this.#note(told, await told.settle(compared));
      for (const n of request.establish) await this.#told(n).establish(this.#groups());
      for (const told of whole) {
        await told.establish(this.#groups());
        await database.run(`INSERT INTO whole VALUES (${order}, ${told.table.number})`);
      }
      await this.#set({ order: order + ordersReserved, frozen: request.frozen ?? "" });
    });
    await this.#heldChanges().settle();
    for (const { table } of changed) await this.#rows().gather(table);
    for (const { told } of looked) await told.forget();
    const rowsCompared = looked.reduce((sum, { compared }) => sum + compared.rows, 0);
    return { changes, whole: whole.map(({ table }) => table.number), lastOrder: order, rowsCompared };
  }

  async changes(request: ChangesAsked): Promise<ChangesPage> {
    return await this.#rows().changes(request);
  }

  async rowsOf({ table, keys }: { table: number; keys: readonly (readonly string[])[] }): Promise<string> {
    return await this.#rows().rowsOf(this.#table(table), keys);
  }

  async sort({ table, after }: { table: number; after: readonly string[] | null }): Promise<{ rows: number }> {
    return { rows: await this.#sortedRows().sort(this.#table(table), after) };
  }

  async chunks(request: SlicesAsked): Promise<Slices> {
    return await this.#sortedRows().chunks(request);
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
      "SELECT table_name AS name FROM duckdb_tables() WHERE database_name = 'state' AND regexp_full_match(table_name, '[sgj][0-9]+')",
    );
    return rows.map(({ name }) => name);
  }

  #told(n: number): ToldTable {
    return new ToldTable(this.#open(), this.#table(n), this.#pieceRows);
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

  #groups(): RowGroups {
    if (this.#rowGroups === null) throw new Error("the engine is not open");
    return this.#rowGroups;
  }

  #heldChanges(): HeldChanges {
    if (this.#held === null) throw new Error("the engine is not open");
    return this.#held;
  }

  #note({ table }: ToldTable, { moved, rows }: Settled): void {
    this.#heldChanges().note(table.number, moved, rows);
  }

  #rows(): RowStore {
    if (this.#store === null) throw new Error("the engine is not open");
    return this.#store;
  }
  #sortedRows(): SortedRows {
    if (this.#sorted === null) throw new Error("the engine is not open");
    return this.#sorted;
  }
}
