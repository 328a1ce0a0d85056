/**
 * States of a cutover, and the only moves between them. A state is stored before it is acted on, so whoever finds one knows what may have been begun
 * and nothing that was not. `switching` is the one state with two outcomes that only the route can tell apart.
 *
 * Before the switch every state leads back (`undoing`); after it, only forward. The way back is `opening` between `preparing` and `pausing`: it is proven
 * before any write is refused, and its undo is to close it.
 */
import { unreachable } from "../vocabulary/unreachable.js";

export const cutoverStates = [
  "preparing",
  "opening",
  "pausing",
  "fencing",
  "draining",
  "checking",
  "readying",
  "keeping",
  "switching",
  "switched",
  "undoing",
  "done",
  "undone",
] as const;
export type CutoverState = (typeof cutoverStates)[number];
export type CutoverKind = "cutover" | "rehearsal";

/** Where one may go from here. `undoing` is always last: what goes on stands first. */
export function movesFrom(state: CutoverState, kind: CutoverKind): readonly CutoverState[] {
  switch (state) {
    case "preparing":
      return ["opening", "undoing"];
    case "opening":
      return ["pausing", "undoing"];
    case "pausing":
      return ["fencing", "undoing"];
    case "fencing":
      return ["draining", "undoing"];
    case "draining":
      return ["checking", "undoing"];
    case "checking":
      return ["readying", "undoing"];
    case "readying":
      // A rehearsal has seen all that it may: everything behind this point ends in the switch.
      return kind === "rehearsal" ? ["undoing"] : ["keeping", "undoing"];
    case "keeping":
      return ["switching", "undoing"];
    case "switching":
      return ["switched", "undoing"];
    case "switched":
      return ["done"];
    case "undoing":
      return ["undone"];
    case "done":
    case "undone":
      return [];
    default:
      return unreachable(state);
  }
}

export const isLegalMove = (from: CutoverState, to: CutoverState, kind: CutoverKind): boolean => movesFrom(from, kind).includes(to);

export const isFinished = (state: CutoverState): boolean => state === "done" || state === "undone";

/** Writes of the application may be refused or held because of us. */
export const isPausing = (state: CutoverState): boolean =>
  ["pausing", "fencing", "draining", "checking", "readying", "keeping", "switching"].includes(state);

/** For the person who is woken at 3 a.m.: what holds now, in one sentence. */
export const stateMeaning: Readonly<Record<CutoverState, string>> = {
  preparing: "indexes are being built at the target; the application writes to the source as ever",
  opening: "the way back is being opened and proven; the application writes to the source as ever",
  pausing: "applications that follow the route are asked to hold their writes; the source still takes them",
  fencing: "the source is about to refuse writes, for the time of a lease",
  draining: "the source refuses writes; what it took is on its way to the target",
  checking: "the source refuses writes, the target has everything, and both are being compared",
  readying: "both sides are equal; sequences, constraints and foreign keys are put in place in a transaction that is still open",
  keeping: "the source is about to refuse writes for good, until somebody releases it",
  switching: "the switch was sent to PostgreSQL; the route tells whether it was made",
  switched: "the application writes to the target; foreign keys are being validated",
  undoing: "the route goes back to the source, then the source takes writes again",
  done: "the application writes to the target",
  undone: "the application writes to the source, as before",
};
