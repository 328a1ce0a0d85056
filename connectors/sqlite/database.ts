/**
 * How Tailrace opens somebody else's SQLite file, and how SQLite's errors become ours.
 *
 * All access to the database, its -wal and its -shm goes through SQLite itself: a file descriptor of our own that is opened and closed on
 * one of them drops every POSIX lock this process holds on it, and another process may then delete the -wal under us.
 */
import { statSync } from "node:fs";
import BetterSqlite from "better-sqlite3";
import { isAbort, TailraceError, type ErrorCode } from "../../core/errors.js";

export type Database = BetterSqlite.Database;
export type Statement = BetterSqlite.Statement<unknown[]>;

export interface OpenOptions {
  readonly readonly: boolean;
  /** How long a statement waits for the application's lock. */
  readonly busyTimeoutMs?: number;
}

/** Rejects what cannot be captured at all: no file, no database, not UTF-8. The journal mode is not looked at. */
export function openDatabase(path: string, options: OpenOptions): Database {
  refuseMissing(path);
  return withSqliteErrors(path, () => {
    const database = new BetterSqlite(path, { readonly: options.readonly, fileMustExist: true });
    try {
      database.pragma(`busy_timeout = ${options.busyTimeoutMs ?? 5_000}`);
      // Functions and virtual tables named by a hostile schema must not run with our rights; damaged pages must be noticed.
      database.pragma("trusted_schema = OFF");
      database.pragma("cell_size_check = ON");
      const encoding = database.pragma("encoding", { simple: true });
      if (encoding !== "UTF-8") {
        throw new TailraceError("source.encoding", { what: `The database is stored as ${String(encoding)}`, where: { path } });
      }
      // The encoding of a file that is no database is only noticed by reading its first page.
      database.prepare("SELECT count(*) FROM sqlite_master").get();
      return database;
    } catch (thrown) {
      database.close();
      throw thrown;
    }
  });
}

function refuseMissing(path: string): void {
  const stat = withFileErrors(path, () => statSync(path, { throwIfNoEntry: false }));
  if (stat === undefined) throw new TailraceError("source.missing", { what: "There is no file at the source's path", where: { path } });
  if (!stat.isFile()) throw new TailraceError("source.not-a-database", { what: "The source's path is not a file", where: { path } });
}

/** Runs `work` on the file system; what that refuses comes out as a TailraceError of the source. */
export function withFileErrors<T>(path: string, work: () => T): T {
  try {
    return work();
  } catch (cause) {
    const { code } = cause as { readonly code?: unknown };
    if (cause instanceof TailraceError || typeof code !== "string") throw cause;
    if (code === "ENOENT" || code === "ENOTDIR") {
      throw new TailraceError("source.missing", { what: "There is no file at the source's path", where: { path }, cause });
    }
    throw new TailraceError("source.unavailable", { what: `The file system says: ${code}`, where: { path }, cause });
  }
}

/** Runs `work`; what SQLite throws comes out as a TailraceError of the source. */
export function withSqliteErrors<T>(path: string, work: () => T): T {
  try {
    return work();
  } catch (thrown) {
    throw asSourceError(path, thrown);
  }
}

/** TailraceErrors and aborts pass; anything that is not SQLite's is a bug of ours and passes too. */
export function asSourceError(path: string, thrown: unknown): unknown {
  if (thrown instanceof TailraceError || isAbort(thrown)) return thrown;
  if (!(thrown instanceof BetterSqlite.SqliteError)) return thrown;
  return new TailraceError(codeOf(thrown.code), {
    what: `SQLite says: ${thrown.message}`,
    where: { path, sqlite: thrown.code },
    cause: thrown,
  });
}

export const isBusy = (thrown: unknown): boolean =>
  (thrown instanceof BetterSqlite.SqliteError && /^SQLITE_(BUSY|LOCKED)/.test(thrown.code)) ||
  (thrown instanceof TailraceError && thrown.code === "source.busy");

function codeOf(sqlite: string): ErrorCode {
  if (/^SQLITE_(BUSY|LOCKED)/.test(sqlite)) return "source.busy";
  if (sqlite === "SQLITE_FULL") return "source.full";
  if (sqlite.startsWith("SQLITE_CORRUPT")) return "source.damaged";
  if (sqlite === "SQLITE_NOTADB") return "source.not-a-database";
  return "source.unavailable";
}
