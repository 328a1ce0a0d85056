/**
 * Caught up: a marker is written behind everything that is committed now; once the target has passed it and nothing is withheld, it has all of that.
 * The marker itself is looked for, not its position: the past of a file that was put in the place of another has positions that mean something else.
 */
import { randomUUID } from "node:crypto";
import { forwardGroups } from "../../connectors/postgres/cutover/forward-groups.js";
import { Backoff, systemClock } from "../../core/clock.js";
import type { TargetPlan } from "../../core/contracts/plan.js";
import type { Passed, Target } from "../../core/contracts/target.js";
import { groupsOf, type TableGroup } from "../../core/plan/groups.js";
import type { Secret } from "../../core/secret.js";
import type { Settings } from "../../core/settings.js";
import { type GroupId, type MarkerId, markerId } from "../../core/vocabulary/ids.js";
import { comparePositions, formatPosition, type Position } from "../../core/vocabulary/position.js";
import { openRequests } from "./source.js";
import { withTarget } from "./target.js";
import { directionOf, openWayHome } from "./way-back.js";

/** Each question is a connection of its own. */
const askAfterMs = { first: 25, most: 250 } as const;

export interface CatchUp {
  /** What was seen last. */
  readonly seen: (what: string) => void;
  /** Groups that are waited for, of the plan as it is now. */
  readonly groupsOf?: (plan: TargetPlan | null) => readonly TableGroup[];
}

/** Each group passes a marker of its own: one after the other, so that what the last one lacks was committed before. */
export async function catchUp(
  settings: Settings,
  { seen, groupsOf: chosen = groupsOf }: CatchUp,
  signal: AbortSignal,
): Promise<{ readonly ms: number }> {
  const startedMs = systemClock.monotonicMs();
  await withTarget(settings, signal, async (target, { url }) => {
    const groups = await forwardGroups({ url, pipeline: settings.pipeline }, chosen(await target.plan(signal)), signal);
    const isForward = (await directionOf(settings, { url, groups }, signal)) === "forward";
    for (const { id } of groups) {
      const ends = isForward ? { target, mark: () => markSource(settings) } : await homeward(settings, { url, group: id }, signal);
      await untilPassed({ ...ends, group: id }, seen, signal);
    }
  });
  return { ms: systemClock.monotonicMs() - startedMs };
}

interface Ends {
  /** The side that follows. */
  readonly target: Pick<Target, "passed">;
  /** At the side that applications write to. */
  readonly mark: () => Promise<Marked>;
}
interface Marked {
  readonly id: MarkerId;
  readonly at: Position;
}

/** After a switch: PostgreSQL is written to, and the file is what has to catch up. */
async function homeward(
  settings: Settings,
  { url, group }: { readonly url: Secret; readonly group: GroupId },
  signal: AbortSignal,
): Promise<Ends> {
  const { desk, home } = await openWayHome(settings, { url, group }, signal);
  return {
    target: home,
    mark: async () => {
      const id = markerId(randomUUID());
      return { id, at: await desk.mark(group, id, signal) };
    },
  };
}

async function untilPassed(
  { target, mark, group }: Ends & { readonly group: GroupId },
  seen: (what: string) => void,
  signal: AbortSignal,
): Promise<void> {
  let at = await target.passed(group, signal);
  let marker = await mark();
  const ours = new Set<MarkerId>([marker.id]);
  let isPassed = false;
  const pace = new Backoff(askAfterMs.first, askAfterMs.most);
  for (;;) {
    const passed = await target.passed(group, signal);
    // Each of them was written after we had begun to wait: a later one must not make us overlook an earlier one.
    if (passed !== null && passed.marker !== null && ours.has(passed.marker)) isPassed = true;
    if (isPassed && passed?.settled === true) return;
    const position = passed === null ? "nothing" : formatPosition(passed.position);
    seen(
      `the target has applied ${position}, ${isPassed ? "and a table is being copied again" : `the marker is at ${formatPosition(marker.at)}`}`,
    );
    if (!isPassed && passed !== null && hasMoved(at, passed) && comparePositions(passed.position, marker.at) >= 0) {
      // Only the newest marker is remembered, and one that lies before the beginning of a history is never told: ours may be gone.
      at = passed;
      marker = await mark();
      ours.add(marker.id);
    }
    await systemClock.delay(pace.next(), signal);
  }
}

const hasMoved = (before: Passed | null, now: Passed): boolean =>
  before === null || comparePositions(before.position, now.position) !== 0 || before.marker !== now.marker;

async function markSource(settings: Settings): Promise<Marked> {
  using requests = openRequests(settings);
  const id = markerId(randomUUID());
  return { id, at: await requests.marker(id) };
}
