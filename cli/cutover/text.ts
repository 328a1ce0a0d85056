/** Checks, plans and stories of a cutover for people. Deterministic where the facts are. */
import type { CutoverStory, FenceState, RouteState } from "../../core/contracts/cutover.js";
import { isFinished, stateMeaning } from "../../core/cutover/states.js";
import { printable } from "../../core/errors.js";
import { formatPosition } from "../../core/vocabulary/position.js";
import type { PlannedStep } from "../../services/cutover/dry-run.js";
import type { CutoverCheck } from "../../services/cutover/preflight.js";
import type { PausePrediction } from "../../services/cutover/predict.js";
import { formatMs } from "../output/format.js";
import type { Paint } from "../output/output.js";

export function checkLines(checks: readonly CutoverCheck[], paint: Paint): readonly string[] {
  const marks = { ok: paint.green("ok   "), info: paint.dim("info "), warn: paint.yellow("warn "), error: paint.red("ERROR") };
  return checks.flatMap(({ id, severity, what, fix }) => [
    `${marks[severity]} ${id.padEnd(18)} ${printable(what)}`,
    ...(fix === "" ? [] : [`      ${paint.dim("fix")} ${printable(fix)}`]),
  ]);
}

export function planLines(steps: readonly PlannedStep[], prediction: PausePrediction, paint: Paint): readonly string[] {
  return [
    ...steps.flatMap(({ step, does }, i) => [
      `${String(i + 1).padStart(2)}. ${paint.bold(step)}`,
      ...does.map((what) => `      ${printable(what)}`),
    ]),
    "",
    ...predictionLines(prediction, paint),
  ];
}

export const predictionLines = ({ ms, figures }: PausePrediction, paint: Paint): readonly string[] => [
  `writes will wait about ${paint.bold(formatMs(ms))} (from 'pausing' to 'switching'):`,
  ...figures.map((figure) => `  ${formatMs(figure.ms).padStart(8)}  ${figure.what.padEnd(24)} ${paint.dim(figure.from)}`),
];

export interface Told {
  readonly route: RouteState;
  readonly fence: FenceState;
  readonly targetFence: FenceState;
  readonly last: CutoverStory | null;
}

export function storyLines({ route, fence, targetFence, last }: Told, paint: Paint): readonly string[] {
  const where = `route ${paint.bold(route.side)} (version ${route.version})   fence of the source ${fenceWords(fence)}${targetFence.kind === "open" ? "" : `, of the target ${fenceWords(targetFence)}`}`;
  if (last === null) return [where, "no cutover was ever begun"];
  const state = isFinished(last.state) ? last.state : paint.yellow(last.state);
  return [
    where,
    `${last.kind} ${last.id}: ${state} - ${stateMeaning(last.state, last.kind)}`,
    `  by ${printable(last.holder)}, begun ${last.startedAt}${last.finishedAt === null ? "" : `, ended ${last.finishedAt}`}`,
    ...(last.pauseMs === null ? [] : [`  writes waited ${formatMs(last.pauseMs)}`]),
    ...(last.error === null ? [] : [`  ${paint.yellow("undone because")} ${printable(last.error.message)} [${last.error.code}]`]),
    ...last.steps.map(
      ({ step, ms, details }) => `  ${step.padEnd(10)} ${(ms === null ? "-" : formatMs(ms)).padStart(8)}  ${paint.dim(said(details))}`,
    ),
  ];
}

const fenceWords = (fence: FenceState): string => (fence.kind === "open" ? "open" : `${fence.kind} at ${formatPosition(fence.at)}`);

const said = (details: Readonly<Record<string, unknown>>): string =>
  Object.entries(details)
    .map(([name, value]) => `${name} ${String(value)}`)
    .join(", ");
