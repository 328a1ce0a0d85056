import { randomUUID } from "node:crypto";
import { systemClock } from "../../core/clock.js";
import type { Settings } from "../../core/settings.js";
import { markerId, theGroup } from "../../core/vocabulary/ids.js";
import { comparePositions, formatPosition, type Position } from "../../core/vocabulary/position.js";
import { type ExitCode, exits } from "../exit-codes.js";
import { type Invocation, usage, type Verb } from "../invocation.js";
import { formatMs } from "../output/format.js";
import { observe } from "../pipeline/observe.js";
import { openRequests } from "../pipeline/requests.js";
import { withTarget } from "../pipeline/target.js";

const defaultTimeoutMs = 60_000;
const states = ["running", "snapshot", "paused", "degraded", "stopped", "down"];

export const verb: Verb = async (invocation) => {
  const condition = invocation.words[0] ?? "";
  const state = /^state=(.+)$/.exec(condition)?.[1] ?? null;
  if (condition === "verified") throw usage("wait verified comes with verification");
  if (condition !== "caught-up" && (state === null || !states.includes(state))) {
    throw usage(`wait knows caught-up and state=${states.join("|")}, not '${condition}'`);
  }
  const { settings } = await invocation.settings();
  const timeoutMs = invocation.globals.timeoutMs ?? defaultTimeoutMs;
  const late = AbortSignal.timeout(timeoutMs);
  const signal = AbortSignal.any([invocation.signal, late]);
  const startedMs = systemClock.monotonicMs();
  const seen: { what: string } = { what: "nothing yet" };
  try {
    if (state === null) await untilCaughtUp(settings, seen, signal);
    else await untilState(settings, state, seen, signal);
    return said(invocation, condition, { held: true, seen: seen.what, ms: systemClock.monotonicMs() - startedMs });
  } catch (thrown) {
    if (!late.aborted || invocation.signal.aborted) throw thrown;
    return said(invocation, condition, { held: false, seen: seen.what, ms: timeoutMs });
  }
};

/** A marker is written behind everything that is committed now; once the target has applied it, it has applied all of that. */
async function untilCaughtUp(settings: Settings, seen: { what: string }, signal: AbortSignal): Promise<void> {
  const marker = await writeMarker(settings);
  await withTarget(settings, "wait", signal, async (target) => {
    for (;;) {
      const applied = await target.applied(theGroup, signal);
      seen.what = `the target has applied ${applied === null ? "nothing" : formatPosition(applied.position)}, the marker is at ${formatPosition(marker)}`;
      if (applied !== null && applied.phase === "streaming" && comparePositions(applied.position, marker) >= 0) return;
      await systemClock.delay(50, signal);
    }
  });
}

async function writeMarker(settings: Settings): Promise<Position> {
  using requests = openRequests(settings);
  return await requests.marker(markerId(randomUUID()));
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
