/** The end of a transaction, and what is known when its answer does not come. */
import { TailraceError } from "../../core/errors.js";
import type { Connection } from "./connection.js";
import { isFatal, sqlState } from "./pg-errors.js";

/** Rejects with the server's refusal (nothing changed) or with `target.undecided`. */
export async function commit(connection: Connection): Promise<void> {
  try {
    assertCommitted((await connection.query("COMMIT")).command);
  } catch (thrown) {
    throw isAnswer(thrown) ? thrown : undecided(thrown);
  }
}

/** COMMIT of a transaction that has failed is answered without an error: ROLLBACK. */
export function assertCommitted(command: string | undefined): void {
  if (command === "COMMIT") return;
  throw new TailraceError("target.unavailable", { what: `PostgreSQL answered ${command ?? "nothing"} to COMMIT: nothing was changed` });
}

/** The server says no: rolled back for sure. A session that ends while COMMIT is on its way may end after it. */
export const isAnswer = (thrown: unknown): boolean => thrown instanceof TailraceError || (sqlState(thrown) !== "" && !isFatal(thrown));

export const undecided = (cause: unknown): TailraceError =>
  new TailraceError("target.undecided", {
    what: "The connection ended while COMMIT was on its way",
    where: { sqlstate: sqlState(cause) },
    cause: sqlState(cause) === "" ? cause : undefined,
  });

/** The connection may be gone: then the server rolls back by itself. */
export async function rollback(connection: Connection): Promise<void> {
  if (connection.lost() !== null) return;
  try {
    await connection.query("ROLLBACK");
  } catch (thrown) {
    if (connection.lost() === null && isAnswer(thrown)) throw thrown;
  }
}
