/**
 * One connection to the log's SQLite file.
 *
 * Promises: `write` is one transaction, there for every process as soon as it returns, and it was made in the file that lies at `path`
 * at that moment, not in one that was removed. Relies on: WAL mode; nothing else opens or closes the file's descriptors in this
 * process (POSIX locks would be lost).
 *
 * `synchronous` is NORMAL: a commit is not flushed. A killed process loses nothing, since the pages are the operating system's by then.
 * A power cut may lose the newest commits, never tear the file. The protocol above survives a lost tail (it compares what was
 * acknowledged with what is there, and fills the log again from the source's own log), and a flush per batch would cost more than all
 * the rest of the way.
 */
import { mkdirSync, type Stats, statSync } from "node:fs";
import { dirname } from "node:path";
import Database, { type Statement } from "better-sqlite3";
import { Backoff, type Clock } from "../../core/clock.js";
import { TailraceError } from "../../core/errors.js";
import { asLogError, isBusy } from "./file-errors.js";

const applicationId = 0x54524c47;
const version = 2;
const busyPatienceMs = 5_000;
const schema = `
  CREATE TABLE topic (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, cleanup TEXT NOT NULL) STRICT;
  -- topic NULL: deleted, and its records are on their way out. AUTOINCREMENT: an id never comes back, so no reader mistakes a new topic for its own.
  CREATE TABLE partition (id INTEGER PRIMARY KEY AUTOINCREMENT, topic INTEGER REFERENCES topic, number INTEGER NOT NULL,
    first INTEGER NOT NULL DEFAULT 0, next INTEGER NOT NULL DEFAULT 0, UNIQUE (topic, number)) STRICT;
  -- id = partition << 40 | first offset: a partition's batches lie behind each other in the one b-tree that there is.
  CREATE TABLE batch (id INTEGER PRIMARY KEY, count INTEGER NOT NULL, bytes BLOB NOT NULL) STRICT;
  -- Newest offset by key; compacted topics only.
  CREATE TABLE latest (partition INTEGER NOT NULL, key BLOB NOT NULL, "offset" INTEGER NOT NULL, PRIMARY KEY (partition, key)) STRICT, WITHOUT ROWID;
  PRAGMA application_id = ${applicationId};
  PRAGMA user_version = ${version};
`;

/** A database with its statements, prepared once each. */
export class Connection {
  readonly #statements = new Map<string, Statement>();

  constructor(
    readonly database: Database.Database,
    readonly identity: string,
  ) {}

  /** Rows as objects. */
  sql(text: string): Statement {
    return this.#prepared(text, text, (statement) => statement);
  }

  /** Rows as arrays. */
  rows(text: string): Statement {
    return this.#prepared(`rows ${text}`, text, (statement) => statement.raw());
  }

  #prepared(key: string, text: string, shape: (statement: Statement) => Statement): Statement {
    let statement = this.#statements.get(key);
    if (statement === undefined) this.#statements.set(key, (statement = shape(this.database.prepare(text))));
    return statement;
  }
}

export class LogFile implements Disposable {
  #connection: Connection | null = null;
  #closed = false;

  constructor(
    readonly path: string,
    readonly clock: Clock,
  ) {}

  /** One transaction that may write. Waits for other writers for a while, then rejects with `log.unavailable`. */
  async write<T>(work: (connection: Connection) => T, signal: AbortSignal): Promise<T> {
    const result = await this.#inTransaction("BEGIN IMMEDIATE", work, signal);
    // Between this and the next write the file may be removed; what this write promised held when it returned.
    this.assertSameFile();
    return result;
  }

  /** One transaction that reads: everything in it is of the same moment. */
  read<T>(work: (connection: Connection) => T, signal: AbortSignal): Promise<T> {
    return this.#inTransaction("BEGIN", work, signal);
  }

  /** Open, ours, with its tables. After `log.replaced` this opens what lies at the path now. */
  async connect(signal: AbortSignal): Promise<Connection> {
    if (this.#connection !== null) return this.#connection;
    const backoff = new Backoff(1, 20);
    const deadline = this.clock.monotonicMs() + busyPatienceMs;
    for (;;) {
      signal.throwIfAborted();
      if (this.#closed) throw new TailraceError("log.unavailable", { what: "the log was closed", where: { path: this.path } });
      try {
        return (this.#connection = openConnection(this.path));
      } catch (error) {
        if (!isBusy(error) || this.clock.monotonicMs() > deadline) throw asLogError(this.path, error);
        await this.clock.delay(backoff.next(), signal);
      }
    }
  }

  /** Rejects with `log.replaced` when another file, or none, lies at the path. The next `connect` opens it. */
  assertSameFile(): void {
    if (this.#connection === null || this.#connection.identity === identityOf(this.path)) return;
    this.#drop();
    throw new TailraceError("log.replaced", { what: "the log file was removed or replaced", where: { path: this.path } });
  }

  [Symbol.dispose](): void {
    this.#closed = true;
    this.#drop();
  }

  #drop(): void {
    this.#connection?.database.close();
    this.#connection = null;
  }

  async #inTransaction<T>(begin: string, work: (connection: Connection) => T, signal: AbortSignal): Promise<T> {
    const backoff = new Backoff(1, 8);
    const deadline = this.clock.monotonicMs() + busyPatienceMs;
    for (;;) {
      signal.throwIfAborted();
      const connection = await this.connect(signal);
      try {
        return attempt(connection, begin, work);
      } catch (error) {
        if (!(error instanceof TailraceError)) this.assertSameFile();
        if (!isBusy(error) || this.clock.monotonicMs() > deadline) throw asLogError(this.path, error);
        await this.clock.delay(backoff.next(), signal);
      }
    }
  }
}

function attempt<T>(connection: Connection, begin: string, work: (connection: Connection) => T): T {
  connection.sql(begin).run();
  try {
    const result = work(connection);
    connection.sql("COMMIT").run();
    return result;
  } finally {
    // Also after an error that SQLite has already rolled back for: then there is no transaction to end.
    if (connection.database.inTransaction) connection.sql("ROLLBACK").run();
  }
}

function openConnection(path: string): Connection {
  // It holds rows: other users of the machine have no business with it.
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  // Waiting is ours, not SQLite's: a busy timeout would hold the event loop and with it every heartbeat.
  const database = new Database(path, { timeout: 0 });
  try {
    database.pragma("page_size = 8192");
    database.pragma("journal_mode = WAL");
    database.pragma("synchronous = NORMAL");
    database.pragma("journal_size_limit = 67108864");
    database.pragma("cache_size = -16384");
    install(database, path);
    return new Connection(database, identityOf(path));
  } catch (error) {
    database.close();
    throw error;
  }
}

function install(database: Database.Database, path: string): void {
  if (isOurs(database)) return;
  database.exec("BEGIN IMMEDIATE");
  try {
    if (!isOurs(database)) {
      const tables = database.prepare("SELECT count(*) FROM sqlite_schema").pluck().get();
      if (tables !== 0)
        throw new TailraceError("log.damaged", { what: "the file is an SQLite database, but not a log of this version", where: { path } });
      database.exec(schema);
    }
    database.exec("COMMIT");
  } finally {
    if (database.inTransaction) database.exec("ROLLBACK");
  }
}

const isOurs = (database: Database.Database): boolean =>
  database.pragma("application_id", { simple: true }) === applicationId && database.pragma("user_version", { simple: true }) === version;

/** Device and inode. An inode is not given out again while our descriptor holds it. */
function identityOf(path: string): string {
  const stats: Stats | undefined = statSync(path, { throwIfNoEntry: false });
  return stats === undefined ? "none" : `${stats.dev}:${stats.ino}`;
}
