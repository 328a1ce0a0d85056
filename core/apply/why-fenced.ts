/** What a closed fence means: who has been at the target since the owner looked. */
import type { AppliedCut } from "../contracts/log.js";
import { TailraceError } from "../errors.js";
import type { OwnerEpoch } from "../vocabulary/ids.js";
import { comparePositions, formatPosition } from "../vocabulary/position.js";

export interface FencedOff {
  readonly epoch: OwnerEpoch;
  /** Where the window would have led, when that is known. */
  readonly after: AppliedCut | null;
  /** As the target holds it now. */
  readonly state: { readonly epoch: OwnerEpoch; readonly active: boolean; readonly applied: AppliedCut | null };
}

export function whyFenced({ epoch, after, state }: FencedOff): TailraceError {
  const where = { ours: epoch, newest: state.epoch, applied: state.applied === null ? null : formatPosition(state.applied.position) };
  if (!state.active) return new TailraceError("cutover.switched", { what: "This direction is no longer active", where });
  if (state.epoch !== epoch) {
    return new TailraceError("target.fenced", { what: "Another sink has taken over, or the plan was changed", where });
  }
  if (after !== null && state.applied !== null && state.applied.logId !== after.logId) {
    return new TailraceError("log.identity", { what: "The target was filled from another log", where });
  }
  const done = after !== null && state.applied !== null && comparePositions(state.applied.position, after.position) >= 0;
  return new TailraceError("target.applied-backwards", {
    what: done ? "The window is applied already" : "The window does not begin where the target is",
    where,
  });
}
