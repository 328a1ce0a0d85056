import { systemClock } from "../../core/clock.js";
import { type ExitCode, exits } from "../exit-codes.js";
import { type Invocation, usage, type Verb } from "../invocation.js";
import { parseDuration } from "../output/format.js";
import { observe } from "../pipeline/observe.js";
import type { PipelineView } from "../watch/pipeline-view.js";
import { renderView } from "../watch/render-view.js";

export const verb: Verb = async (invocation) => {
  const conditions = parseConditions(invocation.options.text("failIf"));
  const { settings } = await invocation.settings();
  if (invocation.options.flag("watch")) return await watch(invocation, conditions);
  const view = await observe(settings, invocation.signal);
  invocation.out.answer({ kind: "Status", data: { ...view }, next: view.next, text: (paint) => renderView(view, paint) });
  return conditions.some((holds) => holds(view)) ? exits.conditionFalse : exits.done;
};

/** On a terminal the screen is painted over; elsewhere each look is one answer. */
async function watch(invocation: Invocation, conditions: readonly Condition[]): Promise<ExitCode> {
  const { settings } = await invocation.settings();
  const { LiveView } = await import("../watch/live-view.js");
  const { out, signal } = invocation;
  const live = new LiveView(out.streams.stdout, out.paint, systemClock);
  try {
    while (!signal.aborted) {
      const view = await observe(settings, signal);
      if (out.format === "json") out.answer({ kind: "Status", data: { ...view }, next: view.next, text: () => "" });
      else live.show(view);
      if (conditions.some((holds) => holds(view))) return exits.conditionFalse;
      await systemClock.delay(1_000, signal);
    }
  } catch (thrown) {
    if (!signal.aborted) throw thrown;
  } finally {
    live.leave();
  }
  return exits.done;
}

type Condition = (view: PipelineView) => boolean;

/** `behind>1000,lag>10s,stopped`. What is not known counts as true: a check that cannot see must not say that all is well. */
function parseConditions(text: string | null): readonly Condition[] {
  if (text === null) return [];
  return text.split(",").map((part): Condition => {
    const word = part.trim();
    if (word === "stopped") return ({ state }) => state === "stopped" || state === "down";
    const [, name, limit] = /^(behind|lag)>(.+)$/.exec(word) ?? [];
    if (name === "behind" && limit !== undefined && /^\d+$/.test(limit)) {
      return ({ behind }) => behind.changes === null || behind.changes > Number(limit);
    }
    const limitMs = limit === undefined ? null : parseDuration(limit);
    if (name === "lag" && limitMs !== null) return ({ behind }) => behind.ms === null || behind.ms > limitMs;
    throw usage(`--fail-if knows behind>COUNT, lag>DURATION and stopped, not '${word}'`);
  });
}
