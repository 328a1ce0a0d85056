/** The exit table of docs/cli.md, in one place. Scripts rely on it. */
import type { TailraceError } from "../core/errors.js";
import { unreachable } from "../core/vocabulary/unreachable.js";

export const exits = {
  done: 0,
  fault: 1,
  refused: 2,
  doctorError: 3,
  differ: 4,
  conditionFalse: 5,
  needsPerson: 6,
  gateRefused: 7,
  undone: 8,
  halfWay: 9,
  dependencyDown: 75,
  interrupted: 130,
  terminated: 143,
} as const;
export type ExitCode = (typeof exits)[keyof typeof exits];

/**
 * What a verb was doing when the error came.
 * checking: nothing was changed yet · changing: something may have been, and the verb can be run again · serving: the pipeline ran
 */
export type Stage = "checking" | "changing" | "serving";

export function exitCodeOf(error: TailraceError, stage: Stage): ExitCode {
  // Another start may help: supervisors give one for this code.
  if (error.code === "internal" || error.code === "process.stuck") return exits.fault;
  if (error.code === "settings.refused" || error.code === "usage.refused" || error.code === "not-yet") return exits.refused;
  if (stage === "changing") return exits.halfWay;
  switch (error.verdict) {
    case "retry":
    case "stand-by":
    case "undecided":
      return exits.dependencyDown;
    case "stop":
      return stage === "serving" ? exits.needsPerson : exits.gateRefused;
    default:
      return unreachable(error.verdict);
  }
}
