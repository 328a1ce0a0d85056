/**
 * Verified: everything that is committed at the source now is proven equal at the target, and no row is on record as differing. Who compares is
 * not asked: the verify service, or a run that somebody has asked for.
 */
import { forwardGroups } from "../../connectors/postgres/cutover/forward-groups.js";
import { systemClock } from "../../core/clock.js";
import { groupsOf } from "../../core/plan/groups.js";
import type { Settings } from "../../core/settings.js";
import { TailraceError } from "../../core/errors.js";
import { theGroup } from "../../core/vocabulary/ids.js";
import { comparePositions, formatPosition, origin, parsePosition } from "../../core/vocabulary/position.js";
import { catchUp } from "./catch-up.js";
import { provenNow } from "./proven.js";
import { measuredFile } from "./source.js";
import { withTarget } from "./target.js";

const askAgainMs = 500;

export async function verified(settings: Settings, seen: (what: string) => void, signal: AbortSignal): Promise<void> {
  // A file that is compared from time to time does not say how far it has come: that is known once a marker has passed.
  if (settings.source.kind === "duckdb") await catchUp(settings, { seen }, signal);
  const head = settings.source.kind === "duckdb" ? null : measuredFile(settings, null).head;
  await withTarget(settings, signal, async (target, { url }) => {
    const goal = head ?? (await target.applied(groupsOf(await target.plan(signal))[0]?.id ?? theGroup, signal))?.position ?? origin;
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
          : `${provenAt === null ? "no run has compared every table" : `equality is proven as of ${provenAt}`}, the source was at ${formatPosition(goal)}`,
      );
      await systemClock.delay(askAgainMs, signal);
    }
  });
}
