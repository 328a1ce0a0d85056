/** SQLite files for tests: an application's database in a directory of its own, with the capture around it. Leaves nothing behind. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import BetterSqlite from "better-sqlite3";
import { openSqliteInspector } from "../../connectors/sqlite/inspect/inspector.js";
import { openSqliteInstaller } from "../../connectors/sqlite/installer.js";
import { openSqliteRequests } from "../../connectors/sqlite/requests.js";
import { openSqliteSource, type SqliteSourceOptions } from "../../connectors/sqlite/sqlite-source.js";
import type { Source, SourceRequests, SourceTable } from "../../core/contracts/source.js";
import { pipelineId, theGroup } from "../../core/vocabulary/ids.js";
import type { TableDescription } from "../../core/vocabulary/table.js";
import { keyText, type Row } from "../../core/vocabulary/value.js";
import { TableReader } from "../../connectors/sqlite/table-reader.js";

export class SourceFile implements AsyncDisposable {
  readonly directory = mkdtempSync(join(tmpdir(), "tailrace-source-"));
  readonly path = join(this.directory, "app.db");
  readonly pipeline = pipelineId("shop");
  readonly #applications: BetterSqlite.Database[] = [];
  readonly #sources: Source[] = [];

  /** `ddl` runs before the capture is installed. */
  static async of(ddl: string, options: { readonly install?: boolean } = {}): Promise<SourceFile> {
    const file = new SourceFile();
    file.application().exec(`PRAGMA journal_mode = WAL; ${ddl}`);
    if (options.install !== false) await file.install();
    return file;
  }

  /** The application's own connection: the first one unless `fresh`. */
  application(options: { readonly fresh?: boolean; readonly recursiveTriggers?: boolean } = {}): BetterSqlite.Database {
    const [first] = this.#applications;
    if (first !== undefined && options.fresh !== true) return first;
    const database = new BetterSqlite(this.path);
    database.pragma("foreign_keys = ON");
    database.pragma("synchronous = OFF");
    database.pragma(`recursive_triggers = ${options.recursiveTriggers === true ? "ON" : "OFF"}`);
    this.#applications.push(database);
    return database;
  }

  closeApplications(): void {
    for (const database of this.#applications.splice(0)) database.close();
  }

  tables(only?: readonly string[]): readonly SourceTable[] {
    using inspector = openSqliteInspector(this.path, { group: theGroup });
    return inspector.catalog().tables.filter((t) => only === undefined || only.includes(t.description.table));
  }

  async install(only?: readonly string[], setWal = false): Promise<readonly string[]> {
    const tables = this.tables(only);
    using installer = openSqliteInstaller({ path: this.path, pipeline: this.pipeline, group: theGroup });
    return await installer.apply(tables, { setWal });
  }

  plan(): readonly string[] {
    const tables = this.tables();
    using installer = openSqliteInstaller({ path: this.path, pipeline: this.pipeline, group: theGroup });
    return installer.plan(tables);
  }

  async destroy(): Promise<readonly string[]> {
    using installer = openSqliteInstaller({ path: this.path, pipeline: this.pipeline, group: theGroup });
    return await installer.destroy();
  }

  async open(options: Partial<SqliteSourceOptions> = {}): Promise<Source> {
    const source = await openSqliteSource({
      path: this.path,
      pipeline: this.pipeline,
      group: theGroup,
      lockDirectory: join(this.directory, "locks"),
      ...options,
    });
    this.#sources.push(source);
    return source;
  }

  requests(): SourceRequests {
    return openSqliteRequests({ path: this.path, pipeline: this.pipeline, group: theGroup });
  }

  newestSeq(): number {
    return Number(this.application().prepare("SELECT coalesce(max(seq), 0) FROM _cdc_log").pluck().get());
  }

  /** All rows of a table as the source's own reader gives them, by key. */
  rows(table: TableDescription): ReadonlyMap<string, Row> {
    const reader = new TableReader(this.application(), table);
    const all = reader.chunk(null, { rows: 1_000_000, bytes: Number.MAX_SAFE_INTEGER });
    return new Map(all.rows.map((row) => [keyText(table.key.map((i) => row[i] ?? null)), row]));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const source of this.#sources) await source[Symbol.asyncDispose]();
    this.closeApplications();
    rmSync(this.directory, { recursive: true, force: true });
  }
}
