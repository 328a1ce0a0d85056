/** What a closed fence means: who has been here since the owner looked. */
import type { AppliedCut } from "../../core/contracts/log.js";
import { TailraceError } from "../../core/errors.js";
import type { OwnerEpoch } from "../../core/vocabulary/ids.js";
import { comparePositions, formatPosition } from "../../core/vocabulary/position.js";
import type { Connection } from "./connection.js";
import { sqlState } from "./pg-errors.js";
import { type Place, readState } from "./state.js";

/** Of the fence's own statement only: it divides 1 by the number of rows that were as expected. */
export const isFenced = (error: unknown): boolean => sqlState(error) === "22012";

export interface FencedContext {
  readonly place: Place;
  readonly epoch: OwnerEpoch;
  readonly plain: Connection;
}

/** `after`: where the window would have led, when that is known. */
export async function fenceError({ place, epoch, plain }: FencedContext, after: AppliedCut | null): Promise<TailraceError> {
  const state = await readState(plain, place);
  if (state === null)
    return new TailraceError("plan.missing", { what: "The pipeline's state is gone", where: { pipeline: place.pipeline } });
  const where = { ours: epoch, newest: state.epoch, applied: state.applied === null ? null : formatPosition(state.applied.position) };
  if (state.epoch !== epoch || !state.active) {
    return state.active
      ? new TailraceError("target.fenced", { what: "Another sink has taken over, or the plan was changed", where })
      : new TailraceError("cutover.switched", { what: "This direction is no longer active", where });
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
