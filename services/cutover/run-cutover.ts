/**
 * A cutover, a rehearsal or a rollback, from taking it to a settled state. Whatever was left by somebody before is settled first: a switch that was made is finished,
 * and is the answer; anything else is undone, and the run begins anew.
 */
import type { CutoverSession } from "../../core/contracts/cutover.js";
import type { CutoverKind } from "../../core/cutover/states.js";
import { asTailraceError, isAbort, TailraceError } from "../../core/errors.js";
import { Forward, type PauseClock } from "./forward.js";
import type { CutoverOutcome, CutoverParts } from "./parts.js";
import { settle, settleSession } from "./settle.js";

/** Rejects only when nothing was begun. `beforehand` is called with the cutover in hand and nothing changed: its rejection is the answer. */
export async function runCutover(
  parts: CutoverParts,
  kind: CutoverKind,
  beforehand: () => Promise<void>,
  signal: AbortSignal,
): Promise<CutoverOutcome> {
  const pause: PauseClock = { startedMs: null };
  await using session = await parts.desk.take(parts.group, parts.holder, signal);
  if (session.record !== null) {
    const found = session.record.kind;
    const left = await settledHere(parts, session, { why: null, pause });
    if (left.kind === "half-way" || (left.kind === "switched" && found === kind)) return left;
  }
  await beforehand();
  let why: TailraceError | null = null;
  try {
    await new Forward(parts, session, pause).run(kind, signal);
  } catch (thrown) {
    why = reasonOf(thrown, signal);
    // Not even the journal knows of it: at worst an entry whose answer was lost, which the next run clears away.
    if (session.record === null) throw why;
    parts.tell({ kind: "trouble", error: why });
  }
  return await settledHere(parts, session, { why, pause });
}

/** Settles what somebody left; null: there is nothing. */
export async function settleLeft(parts: CutoverParts, why: TailraceError | null, signal: AbortSignal): Promise<CutoverOutcome | null> {
  const pause: PauseClock = { startedMs: null };
  await using session = await parts.desk.take(parts.group, parts.holder, signal);
  return session.record === null ? null : await settledHere(parts, session, { why, pause });
}

async function settledHere(
  parts: CutoverParts,
  session: CutoverSession,
  how: { readonly why: TailraceError | null; readonly pause: PauseClock },
): Promise<CutoverOutcome> {
  const settling = { parts, ...how };
  try {
    // The switch was sent and did not come back as made: what is stored has to be read anew, by somebody whom a transaction on its way makes wait.
    if (session.record?.state !== "switching") return await settleSession(settling, session);
  } catch (thrown) {
    const error = asTailraceError(thrown);
    // A process that was replaced leaves everything to the one that replaced it.
    if (error.code === "cutover.taken-over") return { kind: "half-way", error, cause: how.why ?? error };
    parts.tell({ kind: "trouble", error });
  }
  await session[Symbol.asyncDispose]();
  return await settle(settling);
}

function reasonOf(thrown: unknown, signal: AbortSignal): TailraceError {
  if (isAbort(thrown) && signal.aborted) return new TailraceError("cutover.aborted", { what: "The command was told to stop" });
  if (isAbort(thrown) || (thrown instanceof Error && thrown.name === "TimeoutError"))
    return new TailraceError("cutover.late", { what: "A step took longer than it is given", cause: thrown });
  return asTailraceError(thrown);
}
