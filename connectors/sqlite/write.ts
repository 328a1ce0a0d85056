/**
 * Writing into the application's database: always BEGIN IMMEDIATE (a read that turns into a write meets SQLITE_BUSY_SNAPSHOT at once, and
 * no timeout helps), always short, never while an iterator is open.
 */
import type { Database } from "./database.js";

export function immediately<T>(database: Database, work: () => T): T {
  database.exec("BEGIN IMMEDIATE");
  try {
    const result = work();
    database.exec("COMMIT");
    return result;
  } catch (thrown) {
    // Some errors (a full disk) have ended the transaction already.
    if (database.inTransaction) database.exec("ROLLBACK");
    throw thrown;
  }
}

/** Blocks this process too, so it is not long; the caller's session is tried again. */
export const patientMs = 2_000;
const politeMs = 50;

/** As `immediately`, but gives way to the application: waits hardly at all. */
export function politely<T>(database: Database, work: () => T): T {
  database.pragma(`busy_timeout = ${politeMs}`);
  try {
    return immediately(database, work);
  } finally {
    database.pragma(`busy_timeout = ${patientMs}`);
  }
}
