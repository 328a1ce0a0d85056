/** A cutover as a verb needs it: the target's place held, the plan read, the parts wired. */
import { systemClock } from "../../core/clock.js";
import { TailraceError } from "../../core/errors.js";
import type { TargetPlan } from "../../core/contracts/plan.js";
import type { Settings } from "../../core/settings.js";
import { openVerifier } from "../../services/verify/main.js";
import { openCutover } from "../../services/cutover/main.js";
import type { CutoverLimits, CutoverParts, CutoverProgress } from "../../services/cutover/parts.js";
import type { Invocation } from "../invocation.js";
import { withTarget } from "../pipeline/target.js";
import { refuseUninstalled } from "../pipeline/source.js";

/** Behind the fence nothing moves but the sink, which has drained by then. */
const stallMs = 5_000;

export interface CutoverWork {
  readonly settings: Settings;
  readonly plan: TargetPlan;
  readonly parts: CutoverParts;
}

export async function withCutover<T>(
  invocation: Invocation,
  tell: (progress: CutoverProgress) => void,
  work: (open: CutoverWork) => Promise<T>,
): Promise<T> {
  const { settings } = await invocation.settings();
  refuseUninstalled(settings);
  const limits = limitsOf(invocation);
  return await withTarget(settings, invocation.signal, async (target, { url }) => {
    const plan = await target.plan(invocation.signal);
    if (plan === null)
      throw new TailraceError("plan.missing", {
        what: "The target holds no plan of this pipeline",
        where: { pipeline: settings.pipeline },
      });
    // What the verify service has proven need not be read again behind the fence.
    await using verifier = await openVerifier(settings, url, { clock: systemClock, stallMs }, invocation.signal);
    await using parts = await openCutover({ settings, url, plan, limits, tell, check: verifier.finalCheck });
    return await work({ settings, plan, parts });
  });
}

function limitsOf({ options }: Invocation): Partial<CutoverLimits> {
  const pauseMs = options.durationMs("maxPause");
  return pauseMs === null ? {} : { pauseMs };
}

export const acceptedChecks = ({ options }: Invocation): readonly string[] =>
  (options.text("accept") ?? "")
    .split(",")
    .map((word) => word.trim())
    .filter((word) => word !== "");
