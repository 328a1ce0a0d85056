import { type CutoverState, cutoverStates, isFinished } from "../../core/cutover/states.js";

/** The states of a cutover, or a rollback, that is switched, in their order. */
export const cutoverSteps: readonly CutoverState[] = cutoverStates.filter((state) => state !== "undoing" && !isFinished(state));
