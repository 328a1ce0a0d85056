/**
 * Errors of PostgreSQL when it is the source. What passes by itself must carry a source's code: then the service opens the source anew, since its
 * connections are gone, whereas it keeps a source open over the log's errors.
 */
import { isAbort, TailraceError } from "../../../core/errors.js";
import { asTargetError, sqlState } from "../pg-errors.js";

export function asSourceError(thrown: unknown): unknown {
  if (isAbort(thrown)) return thrown;
  // Of a slot: it does not exist, or has lost what it needs.
  if (["42704", "55000"].includes(sqlState(thrown)) && thrown instanceof Error && /replication slot/.test(thrown.message)) {
    return new TailraceError("source.slot-lost", { what: `PostgreSQL says: ${thrown.message}`, cause: thrown });
  }
  const error = asTargetError(thrown);
  if (!(error instanceof TailraceError) || !error.code.startsWith("target.") || error.verdict === "stop") return error;
  const code = error.code === "target.standing-by" ? "source.locked" : "source.unavailable";
  return new TailraceError(code, { what: error.message, where: error.where, cause: error });
}

export async function withSourceErrors<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (thrown) {
    throw asSourceError(thrown);
  }
}
