/** Whoever waits for a dependency does little meanwhile. Counted, not timed: turns of its loops, and tries to connect. */
import { expect } from "vitest";
import type { TcpProxy } from "../../support/tcp-proxy.js";
import type { Ground } from "./ground.js";

/**
 * All loops of both services together, when idle, wait some 150 times a second (a poll of the file each 30 ms, of each tail of the embedded log each
 * 20 ms). A busy loop makes thousands.
 */
const turnsPerSecondMax = 600;
/** The operator's wish is asked for twice a second, sessions are tried again with rising delay. */
const triesPerSecondMax = 12;

export async function whileWaiting(ground: Ground, proxy: TcpProxy, work: () => Promise<void>): Promise<void> {
  const before = { turns: ground.clock.delays, tries: proxy.accepted, ms: performance.now() };
  await work();
  const seconds = Math.max(1, (performance.now() - before.ms) / 1_000);
  expect((ground.clock.delays - before.turns) / seconds).toBeLessThan(turnsPerSecondMax);
  expect((proxy.accepted - before.tries) / seconds).toBeLessThan(triesPerSecondMax);
}
