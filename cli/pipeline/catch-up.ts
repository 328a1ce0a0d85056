/** Caught up: a marker is written behind everything that is committed now; once the target has applied it, it has applied all of that. */
import { randomUUID } from "node:crypto";
import { systemClock } from "../../core/clock.js";
import type { Settings } from "../../core/settings.js";
import { markerId, theGroup } from "../../core/vocabulary/ids.js";
import { comparePositions, formatPosition, type Position } from "../../core/vocabulary/position.js";
import { openRequests } from "./requests.js";
import { withTarget } from "./target.js";

const askEveryMs = 25;

export async function catchUp(settings: Settings, seen: (what: string) => void, signal: AbortSignal): Promise<{ readonly ms: number }> {
  const startedMs = systemClock.monotonicMs();
  const marker = await writeMarker(settings);
  await withTarget(settings, signal, async (target) => {
    for (;;) {
      const applied = await target.applied(theGroup, signal);
      seen(
        `the target has applied ${applied === null ? "nothing" : formatPosition(applied.position)}, the marker is at ${formatPosition(marker)}`,
      );
      if (applied !== null && applied.phase === "streaming" && comparePositions(applied.position, marker) >= 0) return;
      await systemClock.delay(askEveryMs, signal);
    }
  });
  return { ms: systemClock.monotonicMs() - startedMs };
}

async function writeMarker(settings: Settings): Promise<Position> {
  using requests = openRequests(settings);
  return await requests.marker(markerId(randomUUID()));
}
