/** What became of a cutover or a rollback, for people and for scripts. */
import { type CutoverKind, sidesOf } from "../../core/cutover/states.js";
import { describeError, printable } from "../../core/errors.js";
import { unreachable } from "../../core/vocabulary/unreachable.js";
import type { CutoverOutcome } from "../../services/cutover/parts.js";
import { type ExitCode, exits } from "../exit-codes.js";
import type { Invocation } from "../invocation.js";
import { formatMs } from "../output/format.js";
import { type CutoverWork, lineFor } from "./open.js";

export interface Ended {
  readonly outcome: CutoverOutcome;
  readonly kind: CutoverKind;
  /** What the exit says when everything went back: an abort has done what it was asked for. */
  readonly whenUndone?: ExitCode;
}

export function answerOutcome(
  { out }: Invocation,
  { settings, group }: CutoverWork,
  { outcome, kind, whenUndone = exits.undone }: Ended,
): ExitCode {
  const { from } = sidesOf(kind);
  const verb = kind === "rollback" ? "rollback" : "cutover";
  const { pipeline } = settings;
  const error = "error" in outcome ? { code: outcome.error.code, message: outcome.error.message, remedy: outcome.error.remedy } : null;
  const data = {
    pipeline,
    outcome: outcome.kind,
    id: "id" in outcome ? outcome.id : null,
    pauseMs: "pauseMs" in outcome ? outcome.pauseMs : null,
    afterwards: "afterwards" in outcome ? outcome.afterwards : [],
    error,
  };
  const notes = data.afterwards.map(({ object, why }) => `  to mend: ${printable(object)}: ${printable(why)}`);
  const says = (text: string, next: readonly string[]): void => {
    const lines = next.map((line) => lineFor({ group }, line));
    out.answer({ kind: kind === "rollback" ? "Rollback" : "Cutover", data, next: lines, text: () => [text, ...notes].join("\n") });
  };
  switch (outcome.kind) {
    case "switched":
      says(
        `${pipeline} was ${kind === "rollback" ? "brought home: the application writes to the source again" : "switched over: the application writes to PostgreSQL"}. Writes waited ${formatMs(outcome.pauseMs)}`,
        [`tailrace ${verb} status`],
      );
      return exits.done;
    case "rehearsed":
      says(`rehearsed: everything but the switch. Writes waited ${formatMs(outcome.pauseMs)}`, ["tailrace cutover run"]);
      return exits.done;
    case "undone":
      says(`undone: the application goes on at the ${from}. ${describeError(outcome.error)}`, [`tailrace ${verb} status`]);
      return whenUndone;
    case "half-way":
      says(`stopped half-way: ${describeError(outcome.error)}`, [`tailrace ${verb} run`]);
      return exits.halfWay;
    default:
      return unreachable(outcome);
  }
}
