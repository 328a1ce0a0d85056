import type { Verdict } from "./catalogue-entry.js";
import { catalogue, type ErrorCode } from "./error-catalogue.js";

export type { Verdict } from "./catalogue-entry.js";
export type { ErrorCode } from "./error-catalogue.js";

/** Where it happened and what was seen. Never row values. */
export interface ErrorContext {
  /** One sentence: what is wrong, in the operator's words. */
  readonly what: string;
  /** Table, column, position, path, topic …: printed as `name=value`. */
  readonly where?: Readonly<Record<string, string | number | boolean | null>>;
  readonly cause?: unknown;
}

/**
 * The one error class. `code` finds cause, verdict and remedy in the catalogue; whatever is not a TailraceError is a bug and stops
 * the service with `internal`.
 */
export class TailraceError extends Error {
  readonly code: ErrorCode;
  readonly verdict: Verdict;
  readonly where: Readonly<Record<string, string | number | boolean | null>>;

  constructor(code: ErrorCode, context: ErrorContext) {
    super(context.what, context.cause === undefined ? undefined : { cause: context.cause });
    this.name = "TailraceError";
    this.code = code;
    this.verdict = catalogue[code].verdict;
    this.where = context.where ?? {};
  }

  get remedy(): string {
    return catalogue[this.code].remedy;
  }
}

/** What a catcher of last resort may do with any thrown thing. */
export function asTailraceError(thrown: unknown): TailraceError {
  const first = firstOf(thrown);
  if (first instanceof TailraceError) return first;
  const message = first instanceof Error ? first.message : String(first);
  if (isOutOfDescriptors(first)) return new TailraceError("process.descriptors", { what: message, cause: first });
  return new TailraceError("internal", { what: message, cause: first });
}

/**
 * `await using` wraps the error that made it close something together with the one that closing ended in. The first is what happened; the
 * other says no more than that a broken thing did not close well.
 */
function firstOf(thrown: unknown): unknown {
  let first = thrown;
  while (first instanceof Error && first.name === "SuppressedError" && "suppressed" in first) first = first.suppressed;
  return first;
}

/** `what (table=orders, column=total): remedy [code]` on one line, control characters escaped. */
export function describeError(thrown: unknown): string {
  const error = asTailraceError(thrown);
  return `${explainError(error)} [${error.code}]`;
}

/** `what (table=orders, column=total). remedy` for where the code has a field of its own. */
export function explainError(error: TailraceError): string {
  const where = Object.entries(error.where).map(([name, value]) => `${name}=${String(value)}`);
  const place = where.length === 0 ? "" : ` (${where.join(", ")})`;
  return printable(`${error.message}${place}. ${error.remedy}`);
}

/** Names and values from a source are hostile: nothing of theirs that moves a cursor, ends a line or turns text around reaches a terminal or a log. */
export function printable(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is looked for
  return text.replaceAll(
    // oxlint-disable-next-line no-control-regex
    /[\u0000-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/g,
    (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}

export function isAbort(thrown: unknown): boolean {
  const first = firstOf(thrown);
  return first instanceof Error && (first.name === "AbortError" || (first as { code?: unknown }).code === "ABORT_ERR");
}

/** Any opening of a file or socket may meet it, whatever it was for. */
const isOutOfDescriptors = (thrown: unknown): boolean =>
  thrown instanceof Error && /^(EMFILE|ENFILE)$/.test(String((thrown as { code?: unknown }).code));
