import { systemClock } from "../../core/clock.js";
import { asTailraceError } from "../../core/errors.js";
import type { Settings } from "../../core/settings.js";
import { timeLimit } from "../../core/time-limit.js";
import { type ExitCode, exits } from "../exit-codes.js";
import { type Invocation, usage, type Verb } from "../invocation.js";
import { formatMs } from "../output/format.js";
import { chosenGroups } from "../pipeline/chosen-group.js";
import { catchUp } from "../pipeline/catch-up.js";
import { observe } from "../pipeline/observe.js";
import { verified } from "../pipeline/verified.js";

const defaultTimeoutMs = 60_000;
const states = ["running", "snapshot", "paused", "degraded", "stopped", "down", "switched"];

export const verb: Verb = async (invocation) => {
  const condition = invocation.words[0] ?? "";
  const state = /^state=(.+)$/.exec(condition)?.[1] ?? null;
  if (condition !== "caught-up" && condition !== "verified" && (state === null || !states.includes(state))) {
    throw usage(`wait knows caught-up, verified and state=${states.join("|")}, not '${condition}'`);
  }
  if (condition !== "caught-up" && invocation.options.text("group") !== null) throw usage("--group goes with wait caught-up");
  const { settings } = await invocation.settings();
  const timeoutMs = invocation.globals.timeoutMs ?? defaultTimeoutMs;
  using limit = timeLimit(invocation.signal, timeoutMs);
  const { signal } = limit;
  const startedMs = systemClock.monotonicMs();
  const seen: { what: string } = { what: "nothing yet" };
  try {
    if (condition === "verified") await throughOutages(() => verified(settings, (what) => (seen.what = what), signal), seen, signal);
    else if (state === null)
      await throughOutages(
        () => catchUp(settings, { seen: (what) => (seen.what = what), groupsOf: (plan) => chosenGroups(plan, invocation.options) }, signal),
        seen,
        signal,
      );
    else await untilState(settings, state, seen, signal);
    return said(invocation, condition, { held: true, seen: seen.what, ms: systemClock.monotonicMs() - startedMs });
  } catch (thrown) {
    if (!limit.isOver) throw thrown;
    return said(invocation, condition, { held: false, seen: seen.what, ms: timeoutMs });
  }
};

/** Whatever is away may come back while there is time; an error that stays is what was seen last. */
async function throughOutages(work: () => Promise<unknown>, seen: { what: string }, signal: AbortSignal): Promise<void> {
  for (;;) {
    try {
      await work();
      return;
    } catch (thrown) {
      signal.throwIfAborted();
      const error = asTailraceError(thrown);
      if (error.verdict === "stop") throw error;
      seen.what = error.message;
      await systemClock.delay(250, signal);
    }
  }
}

async function untilState(settings: Settings, wanted: string, seen: { what: string }, signal: AbortSignal): Promise<void> {
  for (;;) {
    const { state } = await observe(settings, signal);
    seen.what = `the pipeline is ${state}`;
    if (state === wanted) return;
    await systemClock.delay(250, signal);
  }
}

function said(
  { out }: Invocation,
  condition: string,
  { held, seen, ms }: { readonly held: boolean; readonly seen: string; readonly ms: number },
): ExitCode {
  out.answer({
    kind: "Wait",
    data: { condition, held, seen, ms: Math.round(ms) },
    next: held ? [] : ["tailrace status"],
    text: (paint) =>
      held ? `${paint.green(condition)} after ${formatMs(ms)}` : `${paint.yellow("not")} ${condition} after ${formatMs(ms)}: ${seen}`,
  });
  return held ? exits.done : exits.conditionFalse;
}
