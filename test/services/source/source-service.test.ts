/** What the source lets the log forget. */
import { appliedView } from "../../../core/log/applied-view.js";
import { describe, expect, it } from "vitest";
import { systemClock } from "../../../core/clock.js";
import type { AppliedCut, ChangeEncoder, LogSession } from "../../../core/contracts/log.js";
import type { Source } from "../../../core/contracts/source.js";
import { createLogger } from "../../../core/logger.js";
import { noMetrics } from "../../../core/metrics.js";
import { anchor, logId, offset, theGroup, topic, writerEpoch } from "../../../core/vocabulary/ids.js";
import { position } from "../../../core/vocabulary/position.js";
import { SourceService } from "../../../services/source/source-service.js";
import { MemoryLog } from "../../support/memory-log-store.js";

const table = topic("shop.orders");
const waits = (signal: AbortSignal): Promise<never> =>
  new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason as Error)));

interface Told {
  readonly prunes: number;
  /** Offsets below which the log was told to forget. */
  readonly trims: readonly number[];
}

/** What a source whose session is of epoch 5 has told to forget after three turns of its housekeeping. */
async function told(appliedEpoch: number, { recognises = true, msPerTurn = 0 } = {}): Promise<Told> {
  const trims: number[] = [];
  const store = new MemoryLog().store();
  const applied: AppliedCut = {
    logId: logId("log-1"),
    position: position(1, 40, 0),
    epoch: writerEpoch(appliedEpoch),
    counts: new Map(),
    offset: offset(7),
    ends: new Map([[table, [offset(45)]]]),
    anchor: anchor(new Uint8Array()),
    phase: "streaming",
  };
  const session: Partial<LogSession> = {
    logId: applied.logId,
    epoch: writerEpoch(5),
    startOffset: offset(3),
    beginning: { resume: null, later: [], historySeen: 1 },
    verifyTail: async () => {},
    [Symbol.asyncDispose]: async () => {},
  };
  let prunes = 0;
  const source: Partial<Source> = {
    epochSeen: () => writerEpoch(4),
    batches: (_, signal) => ({ [Symbol.asyncIterator]: () => ({ next: () => waits(signal) }) }),
    lag: () => ({ head: applied.position, changes: { kind: "known", value: 0 }, ms: { kind: "known", value: 0 } }),
    recognises: () => recognises,
    prune: async () => void prunes++,
    captureLog: () => null,
    [Symbol.asyncDispose]: async () => {},
  };
  const stop = new AbortController();
  let turns = 0;
  const service = new SourceService({
    groups: () => [{ id: theGroup, name: "main" }],
    pipeline: "shop",
    prefix: "shop",
    clock: {
      ...systemClock,
      monotonicMs: () => turns * msPerTurn,
      delay: async (_, signal) => {
        if (++turns > 3) stop.abort();
        signal.throwIfAborted();
      },
    },
    log: createLogger({ level: "warn", base: {}, write: () => {} }),
    metrics: noMetrics,
    store: { ...store, trim: async (ranges) => void trims.push(...(ranges.get(table) ?? [])), [Symbol.asyncDispose]: async () => {} },
    writer: { open: async () => session as LogSession },
    encoder: {} as ChangeEncoder,
    follower: {
      latest: async () => appliedView([applied], false),
      current: () => appliedView([applied], false),
      [Symbol.asyncDispose]: async () => {},
    },
    openSource: async () => source as Source,
    retention: { retain: "applied", maxBytes: 0 },
  });
  await service.run(stop.signal).catch(() => {});
  return { prunes, trims };
}

describe("a source that shortens the log", () => {
  it("forgets what the target has applied of this session's", async () => {
    expect(await told(5)).toEqual({ prunes: 1, trims: [45] });
  });

  it("forgets nothing by offsets from before its session: the log may have lost its tail and grown again since", async () => {
    expect(await told(4)).toEqual({ prunes: 1, trims: [] });
  });

  it("forgets nothing at all while the target stands in a past that the source does not recognise", async () => {
    expect(await told(5, { recognises: false })).toEqual({ prunes: 0, trims: [] });
  });

  it("asks its source again after a while: a busy one gives up, and nothing else would make it go on", async () => {
    expect(await told(5, { msPerTurn: 10_000 })).toEqual({ prunes: 3, trims: [45] });
  });
});
