/**
 * Verified: everything that is committed now where applications write is proven equal at the other side, and no row is on record as differing. Who compares is
 * not asked: the verify service, or a run that somebody has asked for.
 */
import { randomUUID } from "node:crypto";
import { forwardGroups } from "../../connectors/postgres/cutover/forward-groups.js";
import { systemClock } from "../../core/clock.js";
import type { Target } from "../../core/contracts/target.js";
import { groupsOf } from "../../core/plan/groups.js";
import type { Secret } from "../../core/secret.js";
import type { Settings } from "../../core/settings.js";
import { TailraceError } from "../../core/errors.js";
import { markerId, theGroup } from "../../core/vocabulary/ids.js";
import { comparePositions, formatPosition, origin, parsePosition, type Position, position } from "../../core/vocabulary/position.js";
import { catchUp } from "./catch-up.js";
import { provenNow } from "./proven.js";
import { measuredFile } from "./source.js";
import { withTarget } from "./target.js";
import { directionOf, openWayHome } from "./way-back.js";

const askAgainMs = 500;

export async function verified(settings: Settings, seen: (what: string) => void, signal: AbortSignal): Promise<void> {
  await withTarget(settings, signal, async (target, { url }) => {
    const goal = await goalOf(settings, { target, url, seen }, signal);
    for (;;) {
      const plan = await target.plan(signal);
      if (plan === null) throw new TailraceError("plan.missing", { what: "The target holds no plan of this pipeline" });
      const groups = await forwardGroups({ url, pipeline: settings.pipeline }, groupsOf(plan), signal);
      const { provenAt, mismatches } = await provenNow(settings, url, { ...plan, tables: groups.flatMap(({ tables }) => tables) }, signal);
      const reached = provenAt !== null && comparePositions({ ...parsePosition(provenAt), index: 0 }, { ...goal, index: 0 }) >= 0;
      if (reached && mismatches === 0) return;
      seen(
        mismatches > 0
          ? `${mismatches} rows differ`
          : `${provenAt === null ? "no run has compared every table" : `equality is proven as of ${provenAt}`}, and has to be as of ${formatPosition(goal)}`,
      );
      await systemClock.delay(askAgainMs, signal);
    }
  });
}

interface Asked {
  readonly target: Target;
  readonly url: Secret;
  readonly seen: (what: string) => void;
}

/** Behind everything that is committed now. */
async function goalOf(settings: Settings, { target, url, seen }: Asked, signal: AbortSignal): Promise<Position> {
  const groups = groupsOf(await target.plan(signal));
  const group = groups[0]?.id ?? theGroup;
  if ((await directionOf(settings, { url, groups }, signal)) === "reverse") {
    // A place below a marker, which comes home: so a proof will pass it.
    const { desk, home } = await openWayHome(settings, { url, group }, signal);
    const below = await desk.mark(group, markerId(`verified-${randomUUID()}`), signal);
    // The stream's own history, which may be above that of the opening.
    return position((await home.applied(group, signal))?.position.history ?? below.history, below.order);
  }
  if (settings.source.kind === "sqlite") return measuredFile(settings, null).head;
  // A file that is compared from time to time does not say how far it has come: that is known once a marker has passed.
  await catchUp(settings, { seen }, signal);
  return (await target.applied(group, signal))?.position ?? origin;
}
