/** What a closed fence says, and what it means. */
import { whyFenced } from "../../core/apply/why-fenced.js";
import type { AppliedCut } from "../../core/contracts/log.js";
import { TailraceError } from "../../core/errors.js";
import type { OwnerEpoch } from "../../core/vocabulary/ids.js";
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
  return whyFenced({ epoch, after, state });
}
