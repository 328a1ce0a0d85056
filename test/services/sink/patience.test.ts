/** A row that the target refuses: the sink looks again while it may still be mended, goes on by itself when it is, and calls a person in the end. */
import { setImmediate as nextTurn } from "node:timers/promises";
import { expect, it } from "vitest";
import { type Clock, systemClock } from "../../../core/clock.js";
import type { AppliedCut, LogReader } from "../../../core/contracts/log.js";
import type { Target, TargetSession } from "../../../core/contracts/target.js";
import { TailraceError } from "../../../core/errors.js";
import { createLogger } from "../../../core/logger.js";
import { noMetrics } from "../../../core/metrics.js";
import type { ServiceStatus } from "../../../core/status.js";
import { logId, ownerEpoch } from "../../../core/vocabulary/ids.js";
import { SinkService } from "../../../services/sink/sink-service.js";
import { contractPipeline, planOf, planTable } from "../../contracts/target-fixtures.js";
import { MemoryLog } from "../../support/memory-log-store.js";
import { changesOf, created, describeTable, testLog, windowOf } from "../../support/synthetic-window.js";

const table = describeTable("t", { id: "integer", v: "text" }, ["id"]);
const nothing = (): Promise<void> => Promise.resolve();

interface Told {
  /** What it has said of itself after each refusal, by the number of the attempt. */
  readonly refusals: ReadonlyMap<number | undefined, ServiceStatus["code"]>;
  readonly end: Pick<ServiceStatus, "state" | "code">;
}

/** A sink whose one window is refused so many times. */
async function told(refused: number): Promise<Told> {
  const stop = new AbortController();
  const refusals = new Map<number | undefined, ServiceStatus["code"]>();
  let left = refused;
  let applied: AppliedCut | null = null;
  const window = windowOf({ before: null, parts: [changesOf(table, created(1, [1n], [1n, "a"]))] });
  const session = (): TargetSession => ({
    epoch: ownerEpoch(1),
    follows: false,
    applied,
    assertOwned: () => {},
    stage: nothing,
    apply: () => {
      if (left-- > 0) return Promise.reject(new TailraceError("value.type", { what: "a bad value" }));
      applied = window.after();
      return Promise.resolve(new Map());
    },
    finish: () => Promise.resolve([]),
    unfinished: () => false,
    [Symbol.asyncDispose]: nothing,
  });
  const target: Partial<Target> = {
    plan: () => Promise.resolve(planOf(planTable(table))),
    paused: () => Promise.resolve(false),
    own: () => Promise.resolve(session()),
    totals: () => Promise.resolve(new Map()),
    elsewhere: () => Promise.resolve([]),
    watch: () => Promise.resolve({ paused: false, owner: ownerEpoch(1) }),
    [Symbol.asyncDispose]: nothing,
  };
  const reader = (): LogReader => ({
    identity: () => Promise.resolve(logId(testLog)),
    async *windows(_, signal) {
      if (applied === null) yield window;
      stop.abort();
      await nextTurn();
      signal.throwIfAborted();
    },
    state: () => ({ kind: "idle" }),
    newest: () => window.after().position,
    [Symbol.asyncDispose]: nothing,
  });
  const clock: Clock = {
    ...systemClock,
    delay: async (_, signal) => {
      const { state, code, attempt } = service.status();
      if (state === "waiting") refusals.set(attempt?.n, code);
      await nextTurn();
      signal.throwIfAborted();
    },
  };
  const service: SinkService = new SinkService({
    pipeline: contractPipeline,
    group: null,
    direction: "forward",
    clock,
    log: createLogger({ level: "warn", base: {}, write: () => {} }),
    metrics: noMetrics,
    store: new MemoryLog().store(),
    publisher: { publish: () => {}, [Symbol.asyncDispose]: nothing },
    openTarget: () => Promise.resolve(target as Target),
    openReader: reader,
    onPlan: () => {},
  });
  await service.run(stop.signal).catch(() => {});
  const { state, code } = service.status();
  return { refusals, end: { state, code } };
}

const fourRefusals = new Map([1, 2, 3, 4].map((n) => [n, "value.type"]));

it("goes on by itself when the row is mended while it looks", async () => {
  expect(await told(4)).toEqual({ refusals: fourRefusals, end: { state: "ended", code: null } });
});

it("stops for a person when it is still refused after a few times", async () => {
  expect(await told(5)).toEqual({ refusals: fourRefusals, end: { state: "stopped", code: "value.type" } });
});
