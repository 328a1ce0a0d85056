/** A cutover as a verb needs it: the target's place held, the plan read, the parts wired. */
import { systemClock } from "../../core/clock.js";
import { TailraceError } from "../../core/errors.js";
import type { FinalCheck } from "../../core/contracts/cutover.js";
import type { Direction } from "../../core/contracts/target.js";
import type { TargetPlan } from "../../core/contracts/plan.js";
import type { Secret } from "../../core/secret.js";
import type { Settings } from "../../core/settings.js";
import { openCutover } from "../../services/cutover/main.js";
import type { ReopenParts } from "../../services/cutover/reopen.js";
import { openVerifier } from "../../services/verify/main.js";
import type { Verifier } from "../../services/verify/verifier.js";
import type { CutoverLimits, CutoverProgress } from "../../services/cutover/parts.js";
import { groupsOf, mainGroup, planOfGroup, type TableGroup } from "../../core/plan/groups.js";
import { theGroup } from "../../core/vocabulary/ids.js";
import type { Invocation } from "../invocation.js";
import { chosenGroup } from "../pipeline/chosen-group.js";
import { withTarget } from "../pipeline/target.js";
import { refuseUninstalled } from "../pipeline/source.js";

/** Behind a fence the target stands where it should already. */
const verifierStallMs = 10_000;

export interface CutoverWork {
  readonly settings: Settings;
  /** Of the group. */
  readonly plan: TargetPlan;
  /** Its name; null: the pipeline has only this one. */
  readonly group: string | null;
  readonly parts: ReopenParts;
  readonly verifier: Verifier;
  readonly url: Secret;
}
export interface CutoverOpening {
  readonly settings: Settings;
  readonly limits: Partial<CutoverLimits>;
  readonly tell: (progress: CutoverProgress) => void;
  /** False: the operator goes without. */
  readonly wayBack: boolean;
  /** Which group is meant; rejects when that is not said. */
  readonly groupOf: (plan: TargetPlan) => TableGroup;
}

/** Of a pipeline that has no other. */
export const firstGroup = (plan: TargetPlan): TableGroup => groupsOf(plan)[0] ?? { id: theGroup, name: mainGroup, tables: [] };

/** A line to type next, about the group in hand. */
export const lineFor = ({ group }: Pick<CutoverWork, "group">, line: string): string =>
  group === null ? line : `${line} --group ${group}`;

export async function withCutover<T>(
  invocation: Invocation,
  tell: (progress: CutoverProgress) => void,
  work: (open: CutoverWork) => Promise<T>,
): Promise<T> {
  const { settings } = await invocation.settings();
  refuseUninstalled(settings);
  const wayBack = !acceptedChecks(invocation).includes("way-back");
  const limits = limitsOf(invocation);
  const groupOf = (plan: TargetPlan): TableGroup => chosenGroup(plan, invocation.options);
  return await withCutoverOf({ settings, limits, tell, wayBack, groupOf }, invocation.signal, work);
}

export async function withCutoverOf<T>(
  { settings, limits, tell, wayBack, groupOf }: CutoverOpening,
  signal: AbortSignal,
  work: (open: CutoverWork) => Promise<T>,
): Promise<T> {
  return await withTarget(settings, signal, async (target, { url }) => {
    const plan = await target.plan(signal);
    if (plan === null) {
      throw new TailraceError("plan.missing", {
        what: "The target holds no plan of this pipeline",
        where: { pipeline: settings.pipeline },
      });
    }
    const { id: group, name } = groupOf(plan);
    await using verifier = await openVerifier(settings, url, { clock: systemClock, stallMs: verifierStallMs, group }, signal);
    await using parts = await openCutover({ settings, url, plan, group, limits, tell, checks: checksOf(verifier), wayBack });
    const isOnly = groupsOf(plan).length === 1;
    return await work({ settings, plan: planOfGroup(plan, group), group: isOnly ? null : name, parts, verifier, url });
  });
}

/** A verifier knows the way that changes flow now; the other has nothing that could be proven. */
const checksOf = ({ sides: { direction }, finalCheck }: Verifier): Record<Direction, FinalCheck | null> => ({
  forward: direction === "forward" ? finalCheck : null,
  reverse: direction === "reverse" ? finalCheck : null,
});

export function limitsOf({ options }: Pick<Invocation, "options">): Partial<CutoverLimits> {
  const pauseMs = options.durationMs("maxPause");
  return pauseMs === null ? {} : limitsOfPause(pauseMs);
}

/**
 * Half of the pause: for a transaction that the application is in the middle of, or for a DuckDB file to be closed, which writes its log into it. Whoever
 * lets writes wait for long can bear as well that a dead tool makes them wait for half of it.
 */
export const limitsOfPause = (pauseMs: number): Partial<CutoverLimits> => ({
  pauseMs,
  fenceWaitMs: pauseMs / 2,
  leaseMs: Math.max(1_000, pauseMs / 2),
});

export const acceptedChecks = ({ options }: Invocation): readonly string[] =>
  (options.text("accept") ?? "")
    .split(",")
    .map((word) => word.trim())
    .filter((word) => word !== "");
