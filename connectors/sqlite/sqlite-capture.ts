/**
 * The capture log of one SQLite file, for the pure reader. Owns two connections: one that only reads (all its transactions are short and
 * end before anybody else runs) and one that writes the few things that are ours.
 */
import { makeAnchor } from "../../core/capture/anchor.js";
import type { CapturedTable, CaptureLog, CaptureView, LogPage, PageLimits } from "../../core/capture/capture-log.js";
import { uniteColumns } from "../../core/capture/widening.js";
import { TailraceError } from "../../core/errors.js";
import { type GroupId, type PipelineId, schemaVersion } from "../../core/vocabulary/ids.js";
import type { ColumnDescription, TableDescription } from "../../core/vocabulary/table.js";
import type { Key } from "../../core/vocabulary/value.js";
import { type Database, type Statement, withSqliteErrors } from "./database.js";
import { highestSchema, type InstalledTable, readInstallStamp, readInstalled } from "./installed.js";
import { LogReader } from "./log-reader.js";
import { checkCapture } from "./schema-check.js";
import { TableReader } from "./table-reader.js";
import { immediately } from "./write.js";

export interface SqliteCaptureOptions {
  readonly reader: Database;
  readonly writer: Database;
  readonly path: string;
  readonly pipeline: PipelineId;
  readonly group: GroupId;
}

export class SqliteCapture implements CaptureLog {
  readonly #options: SqliteCaptureOptions;
  readonly #begin: Statement;
  readonly #commit: Statement;
  readonly #version: Statement;
  #schemaVersion: unknown = null;
  #installed: ReadonlyMap<number, InstalledTable> = new Map();
  #captured: ReadonlyMap<number, CapturedTable> = new Map();
  #groups: ReadonlySet<GroupId> = new Set();
  #log: LogReader | null = null;
  #state: Statement | null = null;
  #tables = new Map<number, TableReader>();

  constructor(options: SqliteCaptureOptions) {
    this.#options = options;
    // Once per look: to parse their texts again each time would cost as much as the look.
    this.#begin = options.reader.prepare("BEGIN");
    this.#commit = options.reader.prepare("COMMIT");
    this.#version = options.reader.prepare("PRAGMA schema_version").pluck();
  }

  read<T>(work: (view: CaptureView) => T): T {
    const { reader, path } = this.#options;
    return withSqliteErrors(path, () => {
      this.#begin.run();
      try {
        this.#check();
        return work(this.#view());
      } finally {
        if (reader.inTransaction) this.#commit.run();
      }
    });
  }

  page(after: number, until: number, limits: PageLimits): LogPage {
    return withSqliteErrors(this.#options.path, () => this.#reader().page(after, until, limits));
  }

  widen(table: number, columns: readonly ColumnDescription[]): TableDescription {
    const { writer, path } = this.#options;
    const description = withSqliteErrors(path, () =>
      immediately(writer, () => {
        const installed = readInstalled(writer);
        const stored = installed.find((t) => t.number === table)?.description;
        if (stored === undefined || stored.columns.length !== columns.length) throw goneWhileReading(table);
        const united = stored.columns.map((column, i) => uniteColumns(column, columns[i] ?? column));
        const schema = schemaVersion(highestSchema(installed) + 1);
        writer.prepare("UPDATE _cdc_tables SET columns = ?, schema = ? WHERE t = ?").run(JSON.stringify(united), schema, table);
        return { ...stored, columns: united, schema };
      }),
    );
    this.#take([...this.#installed.values()].map((it) => (it.number === table ? { ...it, description } : it)));
    return description;
  }

  advance(): void {
    const { writer, path } = this.#options;
    withSqliteErrors(path, () =>
      immediately(writer, () => writer.prepare("INSERT INTO _cdc_log (op, ts) VALUES ('M', julianday('now'))").run()),
    );
  }

  /** As of the last read. */
  tables(): ReadonlyMap<number, CapturedTable> {
    return this.#captured;
  }

  /** In a read transaction: the texts of tables and triggers are compared whenever the schema has moved. */
  #check(): void {
    const { reader } = this.#options;
    const version = this.#version.get();
    if (version === this.#schemaVersion) {
      this.#checkState();
      return;
    }
    const { tables } = checkCapture(reader, this.#options);
    this.#log = null;
    this.#tables = new Map();
    this.#take(tables);
    this.#schemaVersion = version;
  }

  #checkState(): void {
    const { reader, group, path } = this.#options;
    this.#state ??= reader.prepare(`SELECT count(*) FROM _cdc_state WHERE id IN (${[...this.#groups].join(", ")})`).pluck();
    if (this.#state.get() === this.#groups.size) return;
    throw new TailraceError("source.log-damaged", { what: "The row of a group in _cdc_state is gone", where: { path, group } });
  }

  #take(installed: readonly InstalledTable[]): void {
    this.#installed = new Map(installed.map((table) => [table.number, table]));
    const captured = installed.flatMap(({ number, description, state }) => (state === "left-out" ? [] : [{ number, description, state }]));
    this.#captured = new Map(captured.map((table) => [table.number, table]));
    const live = captured.filter(({ state }) => state === "captured");
    this.#groups = new Set([this.#options.group, ...live.map(({ description }) => description.group)]);
    this.#state = null;
    this.#log = null;
  }

  #reader(): LogReader {
    this.#log ??= new LogReader(this.#options.reader, this.#installed);
    return this.#log;
  }

  #table(number: number): TableReader {
    const known = this.#tables.get(number);
    if (known !== undefined) return known;
    const table = this.#captured.get(number);
    if (table === undefined) throw new Error(`table ${number} is not captured`);
    const fresh = new TableReader(this.#options.reader, table.description);
    this.#tables.set(number, fresh);
    return fresh;
  }

  #view(): CaptureView {
    const log = this.#reader();
    // A view is of one moment.
    let newest: number | null = null;
    return {
      tables: () => this.#captured,
      newest: () => (newest ??= log.newest()),
      oldest: () => log.oldest(),
      anchorAt: (seq) => (seq === 0 ? makeAnchor(0, null, readInstallStamp(this.#options.reader, this.#options.group)) : log.anchorAt(seq)),
      count: (after, until) => log.count(after, until),
      page: (after, until, limits) => log.page(after, until, limits),
      notes: (after, until) => log.notes(after, until),
      row: (table, key: Key) => this.#table(table).row(key),
      chunk: (table, after, limits) => this.#table(table).chunk(after, limits),
    };
  }
}

const goneWhileReading = (table: number): TailraceError =>
  new TailraceError("source.schema-changed", { what: "A table was installed anew while its changes were being read", where: { table } });
