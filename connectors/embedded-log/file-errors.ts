/** What SQLite says, in the words of the catalogue. */
import { SqliteError } from "better-sqlite3";
import { TailraceError } from "../../core/errors.js";

export const isBusy = (thrown: unknown): boolean =>
  thrown instanceof SqliteError && (thrown.code.startsWith("SQLITE_BUSY") || thrown.code.startsWith("SQLITE_LOCKED"));

export function asLogError(path: string, thrown: unknown): unknown {
  if (thrown instanceof Error && "syscall" in thrown)
    return new TailraceError("log.unavailable", { what: `the log file cannot be made: ${thrown.message}`, where: { path }, cause: thrown });
  if (!(thrown instanceof SqliteError)) return thrown;
  const where = { path, sqlite: thrown.code };
  if (isBusy(thrown))
    return new TailraceError("log.unavailable", { what: "the log file is locked by another process", where, cause: thrown });
  if (thrown.code.startsWith("SQLITE_CORRUPT") || thrown.code === "SQLITE_NOTADB")
    return new TailraceError("log.damaged", { what: `the log file cannot be read: ${thrown.message}`, where, cause: thrown });
  if (thrown.code === "SQLITE_FULL") return new TailraceError("log.full", { what: "no room for the log file", where, cause: thrown });
  return new TailraceError("log.unavailable", { what: `the log file cannot be used: ${thrown.message}`, where, cause: thrown });
}
