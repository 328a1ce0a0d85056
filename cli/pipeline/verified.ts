/**
 * Verified: everything that is committed at the source now is proven equal at the target, and no row is on record as differing. Who compares is
 * not asked: the verify service, or a run that somebody has asked for.
 */
import { systemClock } from "../../core/clock.js";
import type { Settings } from "../../core/settings.js";
import { TailraceError } from "../../core/errors.js";
import { comparePositions, formatPosition, parsePosition } from "../../core/vocabulary/position.js";
import { provenNow } from "./proven.js";
import { measuredFile } from "./source.js";
import { withTarget } from "./target.js";

const askAgainMs = 500;

export async function verified(settings: Settings, seen: (what: string) => void, signal: AbortSignal): Promise<void> {
  const { head } = measuredFile(settings, null);
  await withTarget(settings, signal, async (target, { url }) => {
    for (;;) {
      const plan = await target.plan(signal);
      if (plan === null) throw new TailraceError("plan.missing", { what: "The target holds no plan of this pipeline" });
      const { provenAt, mismatches } = await provenNow(settings, url, plan, signal);
      const reached = provenAt !== null && comparePositions({ ...parsePosition(provenAt), index: 0 }, { ...head, index: 0 }) >= 0;
      if (reached && mismatches === 0) return;
      seen(
        mismatches > 0
          ? `${mismatches} rows differ`
          : `${provenAt === null ? "no run has compared every table" : `equality is proven as of ${provenAt}`}, the source was at ${formatPosition(head)}`,
      );
      await systemClock.delay(askAgainMs, signal);
    }
  });
}
