/**
 * Verified: everything that is committed now where applications write is proven equal at the other side, and no row is on record as differing. Who compares is
 * not asked: the verify service, or a run that somebody has asked for.
 */
import { randomUUID } from "node:crypto";
import { systemClock } from "../../core/clock.js";
import type { Settings } from "../../core/settings.js";
import { TailraceError } from "../../core/errors.js";
import { markerId, theGroup } from "../../core/vocabulary/ids.js";
import { comparePositions, formatPosition, origin, parsePosition, type Position } from "../../core/vocabulary/position.js";
import { catchUp } from "./catch-up.js";
import { provenNow } from "./proven.js";
import { measuredFile } from "./source.js";
import { withTarget } from "./target.js";
import { directionOf, openWayHome } from "./way-back.js";

const askAgainMs = 500;

export async function verified(settings: Settings, seen: (what: string) => void, signal: AbortSignal): Promise<void> {
  const goalBack = await goalHome(settings, signal);
  if (goalBack !== null) return await untilProven(settings, goalBack, seen, signal);
  // A file that is compared from time to time does not say how far it has come: that is known once a marker has passed.
  if (settings.source.kind === "duckdb") await catchUp(settings, seen, signal);
  await untilProven(settings, settings.source.kind === "duckdb" ? null : measuredFile(settings, null).head, seen, signal);
}

/** null: applications write to the source. Else a position below a marker that comes home, so that the proof must pass it. */
async function goalHome(settings: Settings, signal: AbortSignal): Promise<Position | null> {
  return await withTarget(settings, signal, async (_target, { url }) => {
    if ((await directionOf(settings, url, signal)) === "forward") return null;
    const { desk } = await openWayHome(settings, url, signal);
    return await desk.mark(theGroup, markerId(`verified-${randomUUID()}`), signal);
  });
}

/** `wanted` null: what the target has now. */
async function untilProven(settings: Settings, wanted: Position | null, seen: (what: string) => void, signal: AbortSignal): Promise<void> {
  await withTarget(settings, signal, async (target, { url }) => {
    const goal = wanted ?? (await target.applied(theGroup, signal))?.position ?? origin;
    for (;;) {
      const plan = await target.plan(signal);
      if (plan === null) throw new TailraceError("plan.missing", { what: "The target holds no plan of this pipeline" });
      const { provenAt, mismatches } = await provenNow(settings, url, plan, signal);
      const reached = provenAt !== null && comparePositions({ ...parsePosition(provenAt), index: 0 }, { ...goal, index: 0 }) >= 0;
      if (reached && mismatches === 0) return;
      seen(
        mismatches > 0
          ? `${mismatches} rows differ`
          : `${provenAt === null ? "no run has compared every table" : `equality is proven as of ${provenAt}`}, the source was at ${formatPosition(goal)}`,
      );
      await systemClock.delay(askAgainMs, signal);
    }
  });
}
