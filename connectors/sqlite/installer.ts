/** Installs and removes the capture. Works without PostgreSQL and without a running source; one transaction each. */
import type { SourceInstaller, SourceTable } from "../../core/contracts/source.js";
import { TailraceError } from "../../core/errors.js";
import type { GroupId, PipelineId } from "../../core/vocabulary/ids.js";
import { type Database, openDatabase, withSqliteErrors } from "./database.js";
import { destroyStatements, installStatements } from "./install-plan.js";
import { isInstalled, readState, refuseOtherPipeline } from "./installed.js";
import { quoteName } from "./quote.js";
import { immediately } from "./write.js";

export interface InstallerOptions {
  readonly path: string;
  readonly pipeline: PipelineId;
  readonly group: GroupId;
  /** How long to wait for a long transaction of the application. */
  readonly busyTimeoutMs?: number;
}

const setWal = "PRAGMA journal_mode = WAL";

export function openSqliteInstaller(options: InstallerOptions): SourceInstaller {
  const database = openDatabase(options.path, { readonly: false, busyTimeoutMs: options.busyTimeoutMs ?? 30_000 });
  database.pragma("foreign_keys = OFF");
  return new SqliteInstaller(database, options);
}

class SqliteInstaller implements SourceInstaller {
  constructor(
    private readonly database: Database,
    private readonly options: InstallerOptions,
  ) {}

  plan(tables: readonly SourceTable[]): readonly string[] {
    return withSqliteErrors(this.options.path, () => {
      const mode = this.#isWal() ? [] : [setWal];
      this.database.exec("BEGIN");
      try {
        return [...mode, ...installStatements(this.database, tables, this.options)];
      } finally {
        this.database.exec("COMMIT");
      }
    });
  }

  async apply(tables: readonly SourceTable[], options: { readonly setWal: boolean }): Promise<readonly string[]> {
    return withSqliteErrors(this.options.path, () => {
      const mode = this.#enterWal(options.setWal);
      const done = immediately(this.database, () => {
        const broken = new Set(tables.filter((t) => this.#compileError(t) !== null));
        const statements = installStatements(this.database, tables, this.options);
        for (const sql of statements) this.database.exec(sql);
        if (statements.length > 0) for (const table of tables) if (!broken.has(table)) this.#proveTriggers(table);
        return statements;
      });
      return [...mode, ...done];
    });
  }

  async destroy(): Promise<readonly string[]> {
    return withSqliteErrors(this.options.path, () =>
      immediately(this.database, () => {
        const state = isInstalled(this.database) ? readState(this.database, this.options.group) : null;
        if (state !== null) refuseOtherPipeline(state, this.options.pipeline, this.options.path);
        const statements = destroyStatements(this.database);
        for (const sql of statements) this.database.exec(sql);
        return statements;
      }),
    );
  }

  [Symbol.dispose](): void {
    this.database.close();
  }

  #isWal(): boolean {
    return this.database.pragma("journal_mode", { simple: true }) === "wal";
  }

  #enterWal(allowed: boolean): readonly string[] {
    if (this.#isWal()) return [];
    const now = allowed ? this.database.pragma("journal_mode = WAL", { simple: true }) : null;
    if (now === "wal") return [setWal];
    throw new TailraceError("source.mode", { what: "The database is not in WAL mode", where: { path: this.options.path } });
  }

  /** SQLite compiles triggers only when a statement uses them: a fault of ours would otherwise fail the application's next write. */
  #proveTriggers(table: SourceTable): void {
    const error = this.#compileError(table);
    if (error === null) return;
    throw new TailraceError("plan.refused", {
      what: `The capture triggers of a table cannot be compiled: ${error}`,
      where: { table: table.description.table },
    });
  }

  #compileError({ description }: SourceTable): string | null {
    const name = quoteName(description.table);
    const plain = description.columns.filter((c) => !c.generated).map((c) => quoteName(c.name));
    const set = plain.map((c) => `${c} = ${c}`).join(", ");
    try {
      for (const sql of [`INSERT OR REPLACE INTO ${name} DEFAULT VALUES`, `UPDATE ${name} SET ${set}`, `DELETE FROM ${name}`])
        this.database.prepare(sql);
      return null;
    } catch (thrown) {
      return thrown instanceof Error ? thrown.message : String(thrown);
    }
  }
}
