import { TailraceError } from "../errors.js";

/**
 * Totally ordered by (history, order, index); every comparison is on the whole triple. A position names one record for ever.
 *
 * The three numbers are JS numbers: history counts restores, index counts rows of one batch, and order is SQLite's rowid of the
 * capture log, which would need 285 years of a million changes a second to leave the exact range. The parser asserts it.
 */
export interface Position {
  /** Raised when the source's past is replaced (restore, rewind, re-install). From 0. */
  readonly history: number;
  /** The capture's own number (trigger log: seq). */
  readonly order: number;
  /** 0: live change. 1, 2, …: rows read at this order by a chunk. */
  readonly index: number;
}

export const origin: Position = { history: 0, order: 0, index: 0 };

export function position(history: number, order: number, index = 0): Position {
  return { history, order, index };
}

export function comparePositions(a: Position, b: Position): -1 | 0 | 1 {
  if (a.history !== b.history) return a.history < b.history ? -1 : 1;
  if (a.order !== b.order) return a.order < b.order ? -1 : 1;
  if (a.index !== b.index) return a.index < b.index ? -1 : 1;
  return 0;
}

export const isAbove = (a: Position, b: Position): boolean => comparePositions(a, b) > 0;
export const samePosition = (a: Position, b: Position): boolean => comparePositions(a, b) === 0;
export const maxPosition = (a: Position, b: Position): Position => (comparePositions(a, b) >= 0 ? a : b);

/** `1:4711:3`, for logs, status and stored JSON. */
export const formatPosition = (p: Position): string => `${p.history}:${p.order}:${p.index}`;

export function parsePosition(text: string): Position {
  const parts = text.split(":").map(Number);
  const [history, order, index] = parts;
  if (parts.length !== 3 || history === undefined || order === undefined || index === undefined || !parts.every(isCount)) {
    throw new TailraceError("log.garbage", { what: `'${text}' is not a position (history:order:index)` });
  }
  return { history, order, index };
}

const isCount = (n: number): boolean => Number.isSafeInteger(n) && n >= 0;
