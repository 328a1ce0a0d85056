/** What SQLite says of one row, as ours. Its messages name tables and columns, never values. */
import BetterSqlite from "better-sqlite3";
import { TailraceError } from "../../../core/errors.js";

/** Another row holds what this one asks for; it may let go of it later in the window. */
export const isRowConflict = (thrown: unknown): boolean =>
  thrown instanceof BetterSqlite.SqliteError && /^SQLITE_CONSTRAINT_(UNIQUE|PRIMARYKEY|ROWID)$/.test(thrown.code);

export function rowError(thrown: unknown, where: Readonly<Record<string, string>>): unknown {
  if (!(thrown instanceof BetterSqlite.SqliteError) || !thrown.code.startsWith("SQLITE_CONSTRAINT")) return thrown;
  const constraint = /constraint failed: (.*)$/.exec(thrown.message)?.[1] ?? thrown.message;
  return new TailraceError("target.constraint", {
    what: `A constraint of the file refuses a row: ${thrown.message}`,
    where: { ...where, constraint },
    cause: thrown,
  });
}
