/**
 * Writes to the file, in a process of its own: whatever happens here ends with that process, and a lock of DuckDB's lasts as long as it.
 *
 * Promises: what was staged and the cut that it leads to become visible in one transaction of the file, or neither does; the file is open from `begin`
 * to `commit`, so what was looked at is what is written to. A value is stored only if it is printed again as it was told, or whoever told it says that it
 * means the same.
 */
import { existsSync, mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { TailraceError } from "../../../core/errors.js";
import { sameStamp, type Stamp, stampOf } from "../copy/live-copy.js";
import { quoteText } from "../duck-table.js";
import { checkShapes } from "../engine/check-shapes.js";
import { Database } from "../engine/database.js";
import { type ListedSchema, listSchema, placeOf } from "../inspect/schema.js";
import { isGenerated } from "../generated-columns.js";
import type { Apply, ApplyTable, Asked, Ending, FileState, Owning, Staged, Texts } from "./apply.js";
import { constraintError, isForeignKey } from "./constraint-errors.js";
import { readFileState, stateTablesOf, storeState, takeState } from "./file-state.js";
import { refuseBrokenReferences, type Touched } from "./references.js";
import { StageSql } from "./stage.js";
import { type Child, UnboundTables } from "./unbound-tables.js";

interface Open {
  readonly path: string;
  readonly schema: ListedSchema;
  readonly tables: ReadonlyMap<number, OpenTable>;
}
interface OpenTable {
  readonly table: ApplyTable;
  readonly sql: StageSql;
  isStaged: boolean;
}

export class ApplyEngine implements Apply {
  #database: Database | null = null;
  #file: Open | null = null;
  /** The file as the last window has left it: nobody who has written to it since could have altered a table unseen. */
  #left: { readonly stamp: Stamp | null; readonly schema: ListedSchema } | null = null;

  async open({ directory, memoryMb, threads }: Parameters<Apply["open"]>[0]): Promise<void> {
    const spillDirectory = join(directory, "spill");
    mkdirSync(spillDirectory, { recursive: true });
    this.#database = await Database.open(":memory:", { memoryMb, threads, spillDirectory });
  }

  async hold({ owner }: { readonly owner: string }): Promise<void> {
    await this.#opened().run(`ATTACH ${quoteText(owner)} AS owner`);
  }

  async own(owning: Owning): Promise<FileState> {
    const database = this.#opened();
    await this.#attach(owning.path);
    try {
      const before = await readFileState(database, owning.group);
      if (before !== null && before.pipeline !== owning.pipeline) {
        throw new TailraceError("source.other-pipeline", {
          what: `Pipeline '${before.pipeline}' already writes back to this file`,
          where: { pipeline: before.pipeline },
        });
      }
      await database.transaction(() => takeState(database, owning));
      return await this.#state(owning.group);
    } finally {
      await this.#detach();
    }
  }

  async begin({ path, group, tables }: Parameters<Apply["begin"]>[0]): Promise<FileState> {
    const database = this.#opened();
    const stamp = stampOf(path);
    await this.#attach(path);
    try {
      const known = this.#left !== null && sameStamp(stamp, this.#left.stamp) ? this.#left : null;
      if (known === null) await checkShapes(database, tables);
      const schema = known?.schema ?? (await listSchema(database));
      this.#file = { path, schema, tables: new Map(tables.map((table) => [table.number, openTable(table, schema)])) };
      return await this.#state(group);
    } catch (thrown) {
      await this.abandon();
      throw thrown;
    }
  }

  async look({ table, keys }: { readonly table: number; readonly keys: readonly Asked[] }): Promise<string> {
    const database = this.#opened();
    const it = this.#table(table);
    if (!it.isStaged) await database.run(it.sql.create);
    it.isStaged = true;
    const asked = JSON.stringify(keys.map(({ key, base }, n) => ({ n, key, base })));
    await database.run(it.sql.ask, [asked]);
    if (keys.some(({ base }) => base !== null)) await database.run(it.sql.trace);
    return await this.#text(it.sql.look);
  }

  async stage({ table, rows }: { readonly table: number; readonly rows: readonly Staged[] }): Promise<string> {
    const database = this.#opened();
    const { sql } = this.#table(table);
    await database.run(sql.load, [JSON.stringify(rows)]);
    await database.run(sql.put);
    return await this.#text(sql.differing);
  }

  async clear({
    table,
    after,
    upTo,
  }: {
    readonly table: number;
    readonly after: Texts | null;
    readonly upTo: Texts | null;
  }): Promise<void> {
    const database = this.#opened();
    const it = this.#table(table);
    if (!it.isStaged) await database.run(it.sql.create);
    it.isStaged = true;
    for (const statement of it.sql.clear(after, upTo)) await database.run(statement);
  }

  async commit(ending: Ending): Promise<void> {
    const database = this.#opened();
    const file = this.#openFile();
    try {
      await database.transaction(() => this.#write(file, ending));
    } catch (thrown) {
      if (!isForeignKey(unwrapped(thrown))) throw named(thrown, file.schema);
      await database
        .transaction(() => this.#writeUnbound(file, ending))
        .catch((second: unknown) => {
          throw named(second, file.schema);
        });
    }
    await this.abandon();
    this.#left = { stamp: stampOf(file.path), schema: file.schema };
  }

  async abandon(): Promise<void> {
    const database = this.#opened();
    this.#left = null;
    for (const { sql, isStaged } of this.#file?.tables.values() ?? []) if (isStaged) await database.run(sql.drop);
    this.#file = null;
    await this.#detach();
  }

  async destroy({ path }: { readonly path: string }): Promise<readonly string[]> {
    const database = this.#opened();
    await this.#attach(path);
    try {
      const statements = (await stateTablesOf(database)).map((name) => `DROP TABLE ${name}`);
      for (const name of await stateTablesOf(database)) await database.run(`DROP TABLE src.main.${name}`);
      return statements;
    } finally {
      await this.#detach();
    }
  }

  async close(): Promise<void> {
    await this.#database?.[Symbol.asyncDispose]();
    this.#database = null;
  }

  /** What goes, children first; then what changes and what is new, parents first. */
  async #write({ tables, schema }: Open, ending: Ending): Promise<void> {
    const database = this.#opened();
    const staged = [...tables.values()].filter(({ isStaged }) => isStaged);
    for (const { table, sql } of staged) if (sql.hasExtra) await about(table, () => database.run(sql.keepMoved));
    for (const { table, sql } of staged.toReversed()) await about(table, () => database.run(sql.remove));
    const touched: Touched[] = [];
    for (const { table, sql } of staged) {
      const changed = await this.#changedPlaces(table);
      touched.push({ ...table, sql, hasRemoved: await this.#hasRemoved(table), changed: changed.map((i) => table.carried[i]?.name ?? "") });
      if (changed.length > 0) await about(table, () => database.run(sql.change(changed)));
      await about(table, () => database.run(sql.insert));
      if (sql.hasExtra) await about(table, () => database.run(sql.insertMoved));
    }
    await refuseBrokenReferences(database, schema, touched);
    await storeState(database, ending);
  }

  async #writeUnbound(file: Open, ending: Ending): Promise<void> {
    const database = this.#opened();
    const unbound = await UnboundTables.unbind(database, file.schema, about);
    await this.#write(file, ending);
    await unbound?.bind();
  }

  async #changedPlaces({ number, carried }: ApplyTable): Promise<readonly number[]> {
    const any = carried.map((_, i) => `coalesce(bool_or(s${i}), false) AS s${i}`).join(", ");
    const [row] = await this.#opened().rows<Readonly<Record<string, boolean>>>(
      `SELECT ${any} FROM temp.w${number} WHERE op = 'put' AND is_there`,
    );
    return carried.flatMap((_, i) => (row?.[`s${i}`] === true ? [i] : []));
  }

  async #hasRemoved({ number }: ApplyTable): Promise<boolean> {
    const [row] = await this.#opened().rows<{ n: bigint }>(`SELECT count(*) AS n FROM temp.w${number} WHERE op <> 'put' AND is_there`);
    return (row?.n ?? 0n) > 0n;
  }

  /** A file that is not there is not made. */
  async #attach(path: string): Promise<void> {
    if (!existsSync(path)) throw new TailraceError("source.missing", { what: "The file is not where it lay", where: { path } });
    await this.#opened().run(`ATTACH ${quoteText(path)} AS src`);
    const [tables] = await this.#opened().rows<{ n: bigint }>("SELECT count(*) AS n FROM duckdb_tables() WHERE database_name = 'src'");
    if ((tables?.n ?? 0n) > 0n) return;
    // It was moved between two looks, and DuckDB has made an empty one.
    await this.#detach();
    for (const end of ["", ".wal"]) rmSync(`${path}${end}`, { force: true });
    throw new TailraceError("source.missing", { what: "The file is not where it lay", where: { path } });
  }

  async #detach(): Promise<void> {
    const database = this.#opened();
    await database.run("USE memory.main");
    const [there] = await database.rows<{ n: bigint }>("SELECT count(*) AS n FROM duckdb_databases() WHERE database_name = 'src'");
    if ((there?.n ?? 0n) > 0n) await database.run("DETACH src");
  }

  async #state(group: number): Promise<FileState> {
    const state = await readFileState(this.#opened(), group);
    if (state === null) throw new TailraceError("plan.missing", { what: "The file's state is gone" });
    return state;
  }

  async #text(sql: string): Promise<string> {
    const [found] = await this.#opened().rows<{ text: string | null }>(sql);
    return found?.text ?? "[]";
  }

  #table(n: number): OpenTable {
    const table = this.#file?.tables.get(n);
    if (table === undefined) throw new Error(`table ${n} is not planned, or the file is not open`);
    return table;
  }

  #opened(): Database {
    if (this.#database === null) throw new Error("the engine is not open");
    return this.#database;
  }

  #openFile(): Open {
    if (this.#file === null) throw new Error("the file is not open");
    return this.#file;
  }
}

function openTable(table: ApplyTable, schema: ListedSchema): OpenTable {
  const place = placeOf(table.schema, table.name);
  const text = schema.tables.find((listed) => listed.schema === table.schema && listed.name === table.name)?.sql ?? "";
  const carried = new Set(table.carried.map(({ name }) => name));
  const extra = (schema.columns.get(place) ?? [])
    .filter(({ name }) => !carried.has(name) && !isGenerated(text, name))
    .map(({ name }) => name);
  return { table, sql: new StageSql(table, extra), isStaged: false };
}

/** An error of a statement about one table. */
class AboutTable extends Error {
  constructor(
    readonly table: Child,
    override readonly cause: unknown,
  ) {
    super("a statement about a table failed");
  }
}

async function about(table: Child, work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch (thrown) {
    throw new AboutTable(table, thrown);
  }
}

const unwrapped = (thrown: unknown): unknown => (thrown instanceof AboutTable ? thrown.cause : thrown);
const named = (thrown: unknown, schema: ListedSchema): unknown =>
  thrown instanceof AboutTable ? constraintError(thrown.cause, thrown.table, schema) : thrown;
