/**
 * How much of its capture log a source keeps, and when a person must hear of it. Pure; `forgetBelow` may only ever name what the log has
 * acknowledged, and the rows it names are gone for good: a log that loses its tail then cannot be filled again from there, and every table is
 * read again under a new history (core/capture/anchor.ts notices it at the next start).
 */
import type { CaptureLogUse } from "../contracts/source.js";
import type { CaptureLogStatus } from "../status.js";
import { isAbove, type Position, position } from "../vocabulary/position.js";

/**
 * applied       keep what the target has not committed
 * acknowledged  the same up to `maxBytes`; beyond that, what the log has acknowledged may go, oldest first
 */
export interface Retention {
  readonly retain: "applied" | "acknowledged";
  /** From here on the capture log is too large. */
  readonly maxBytes: number;
}

export interface Reached {
  /** What the target has committed, in the log that is written to; null: unknown. */
  readonly applied: Position | null;
  /** What the log has acknowledged; null: nothing yet. */
  readonly acknowledged: Position | null;
}

/** Strictly below it rows may be forgotten; null: none. */
export function forgetBelow(
  { retain, maxBytes }: Retention,
  { applied, acknowledged }: Reached,
  use: CaptureLogUse | null,
): Position | null {
  if (retain === "applied" || acknowledged === null || use === null || use.bytes <= maxBytes) return applied;
  const rows = use.newest - use.oldest + 1;
  const excess = Math.ceil(((use.bytes - maxBytes) / use.bytes) * rows);
  const until = position(acknowledged.history, Math.min(acknowledged.order, use.oldest + excess));
  return applied !== null && isAbove(applied, until) ? applied : until;
}

/** True when rows are gone that the target lacks: only the log has them. Of another past nobody can say, and it is read again anyway. */
export function hasForgotten({ applied, acknowledged }: Reached, use: CaptureLogUse): boolean {
  if (use.newest === 0 || acknowledged === null) return false;
  if (applied === null) return use.oldest > 1;
  return applied.history === acknowledged.history && use.oldest > applied.order + 1;
}

/** An outage of a few hours is news that status tells anyway; from here on somebody must look. */
export const oldAfterMs = 6 * 3_600_000;
const littleSpace = 64 << 20;
/** Below this it cannot be the capture log that fills a disk. */
const noteworthy = 1 << 20;

export type Alarm =
  | { readonly kind: "size"; readonly bytes: number; readonly maxBytes: number }
  | { readonly kind: "age"; readonly ms: number }
  /** The outage may not last as long again. */
  | { readonly kind: "disk"; readonly bytes: number; readonly freeBytes: number };

/** The most urgent one; null: all is well. */
export function alarmOf(use: CaptureLogUse, maxBytes: number): Alarm | null {
  const { bytes, ms, freeBytes } = use;
  if (freeBytes !== null && bytes >= noteworthy && freeBytes < Math.max(bytes, littleSpace)) return { kind: "disk", bytes, freeBytes };
  if (bytes > maxBytes) return { kind: "size", bytes, maxBytes };
  return ms > oldAfterMs ? { kind: "age", ms } : null;
}

export function captureLogStatus(use: CaptureLogUse, { retain, maxBytes }: Retention, reached: Reached): CaptureLogStatus {
  const { bytes, ms, freeBytes } = use;
  return { bytes, ms, freeBytes, retain, maxBytes, alarm: alarmOf(use, maxBytes)?.kind ?? null, forgotten: hasForgotten(reached, use) };
}
