/**
 * How what PostgreSQL, the network and TLS say becomes ours.
 *
 * Promises: no row value passes. `detail` always quotes values and is dropped; the message of class 22 and of errors raised by functions may quote
 * them and is replaced; the cause that we hand on is a copy without either.
 */
import pg from "pg";
import { type ErrorCode, isAbort, TailraceError } from "../../core/errors.js";

type Where = Readonly<Record<string, string | number | boolean | null>>;

/** TailraceErrors, aborts and bugs pass. */
export function asTargetError(thrown: unknown, where: Where = {}): unknown {
  if (thrown instanceof TailraceError || isAbort(thrown)) return thrown;
  if (thrown instanceof pg.DatabaseError) return fromServer(thrown, where);
  if (!(thrown instanceof Error)) return thrown;
  const code = connectionCode(thrown);
  return code === null ? thrown : new TailraceError(code, { what: `PostgreSQL's client says: ${thrown.message}`, where, cause: thrown });
}

/** Runs `work`; what it throws comes out as a TailraceError of the target. */
export async function withTargetErrors<T>(work: () => Promise<T>, where: Where = {}): Promise<T> {
  try {
    return await work();
  } catch (thrown) {
    throw asTargetError(thrown, where);
  }
}

/** SQLSTATE of an error that the server sent; "" for anything else. */
export const sqlState = (thrown: unknown): string => (thrown instanceof pg.DatabaseError ? (thrown.code ?? "") : "");

/** The server ended the session with this error: nothing after it was executed. */
export const isFatal = (thrown: unknown): boolean =>
  thrown instanceof pg.DatabaseError && (thrown.severity === "FATAL" || thrown.severity === "PANIC");

/** A constraint, a value, or too much of it: a replay in source order may succeed where sets did not, and names the row if it does not. */
export const isRowError = (thrown: unknown): boolean => /^(23|22|54)/.test(sqlState(thrown));

function fromServer(error: pg.DatabaseError, where: Where): TailraceError {
  const state = error.code ?? "";
  const code = codeOfState(state, error);
  const names = { schema: error.schema, table: error.table, column: error.column, constraint: error.constraint };
  const known = Object.entries(names).filter((entry): entry is [string, string] => entry[1] !== undefined);
  const what = `PostgreSQL says: ${harmlessMessage(state, error)}`;
  const cause = Object.assign(new Error(harmlessMessage(state, error)), { code: state, routine: error.routine });
  return new TailraceError(code, { what, where: { sqlstate: state, ...Object.fromEntries(known), ...where }, cause });
}

/** Class 22 quotes the value it dislikes; P0 and the external classes say whatever a function's author chose to say. */
function harmlessMessage(state: string, error: pg.DatabaseError): string {
  if (/^(22|P0|38|39|2F|H)/.test(state)) return `a value or function fails (SQLSTATE ${state}, ${error.routine ?? "unknown routine"})`;
  return error.message;
}

const codesOfState: Readonly<Record<string, ErrorCode>> = {
  "22001": "value.type",
  "22003": "value.range",
  "22007": "value.time",
  "22008": "value.time",
  "22009": "value.time",
  "22021": "value.encoding",
  "22P02": "value.type",
  "22P03": "value.type",
  "22P05": "value.encoding",
  "22030": "value.json",
  "22032": "value.json",
  "23502": "value.null",
  "21000": "target.constraint",
  "25006": "target.unavailable",
  "25P03": "target.unavailable",
  "3D000": "target.credentials",
  "3F000": "target.object-missing",
  "42P01": "target.object-missing",
  "42703": "target.object-missing",
  "42704": "target.object-missing",
  "42501": "target.privileges",
  "53100": "target.full",
  "54000": "target.too-large",
  "40001": "target.unavailable",
  "40P01": "target.unavailable",
  "55P03": "target.unavailable",
  "55006": "target.unavailable",
};
const codesOfClass: Readonly<Record<string, ErrorCode>> = {
  "08": "target.unavailable",
  "23": "target.constraint",
  "28": "target.credentials",
  "53": "target.unavailable",
  "57": "target.unavailable",
  "58": "target.unavailable",
};

function codeOfState(state: string, error: pg.DatabaseError): ErrorCode {
  if (state === "22P02" && error.message.includes("type json")) return "value.json";
  return codesOfState[state] ?? codesOfClass[state.slice(0, 2)] ?? "target.refused";
}

const tlsCodes = /^(ERR_TLS|ERR_SSL|CERT_|DEPTH_ZERO|SELF_SIGNED|UNABLE_TO_|HOSTNAME_MISMATCH|INVALID_CA|EPROTO)/;
const networkCodes = /^(ECONN|EPIPE|ETIMEDOUT|EHOSTUNREACH|ENETUNREACH|ENOTFOUND|EAI_|ENOENT|EACCES)/;

/** Null: not an error of a connection, so a bug. */
function connectionCode(error: Error): ErrorCode | null {
  const code = (error as NodeJS.ErrnoException).code ?? "";
  if (tlsCodes.test(code) || /SSL|TLS|certificate/i.test(error.message)) return "target.tls";
  if (/SASL|SCRAM|password/i.test(error.message)) return "target.credentials";
  if (networkCodes.test(code) || /connection|timeout|not queryable|was closed/i.test(error.message)) return "target.unavailable";
  return null;
}
