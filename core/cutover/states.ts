/**
 * States of a cutover, and the only moves between them. A state is stored before it is acted on, so whoever finds one knows what may have been begun
 * and nothing that was not. `switching` is the one state with two outcomes that only the route can tell apart.
 *
 * Before the switch every state leads back (`undoing`); after it, only forward. The way back is `opening` between `preparing` and `pausing`: it is proven
 * before any write is refused, and its undo is to close it.
 *
 * A rollback is a cutover whose sides are exchanged: the same states, the same moves; what comes back has to be proven, and is open already.
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
export type CutoverKind = "cutover" | "rehearsal" | "rollback";
export type CutoverSide = "source" | "target";

/** The side that applications leave, and the one that they go to. */
export const sidesOf = (kind: CutoverKind): { readonly from: CutoverSide; readonly to: CutoverSide } =>
  kind === "rollback" ? { from: "target", to: "source" } : { from: "source", to: "target" };

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
export const stateMeaning = (state: CutoverState, kind: CutoverKind): string => (kind === "rollback" ? back : forth)[state];

const meaning = (from: CutoverSide, to: CutoverSide): Readonly<Record<CutoverState, string>> => ({
  preparing: `everything is made ready at the ${to}; the application writes to the ${from} as ever`,
  opening: `the way back is being ${to === "source" ? "proven" : "opened and proven"}; the application writes to the ${from} as ever`,
  pausing: `applications that follow the route are asked to hold their writes; the ${from} still takes them`,
  fencing: `the ${from} is about to refuse writes, for the time of a lease`,
  draining: `the ${from} refuses writes; what it took is on its way to the ${to}`,
  checking: `the ${from} refuses writes, the ${to} has everything, and both are being compared`,
  readying: "both sides are equal; sequences, constraints and foreign keys are put in place in a transaction that is still open",
  keeping: `the ${from} is about to refuse writes for good, until somebody releases it`,
  switching: "the switch was sent to PostgreSQL; the route tells whether it was made",
  switched: `the application belongs to the ${to}; foreign keys are being validated`,
  undoing: `the route goes back to the ${from}, then the ${from} takes writes again`,
  done: `the application writes to the ${to}`,
  undone: `the application writes to the ${from}, as before`,
});
const forth = meaning("source", "target");
const back = meaning("target", "source");
