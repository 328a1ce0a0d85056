import { EventEmitter, once } from "node:events";
import { describe, expect, it } from "vitest";
import { systemClock } from "../../../core/clock.js";
import { TailraceError } from "../../../core/errors.js";
import { cutsTopic } from "../../../core/topics.js";
import { topic } from "../../../core/vocabulary/ids.js";
import { position } from "../../../core/vocabulary/position.js";
import { fates } from "../../support/memory-log-store.js";
import { append, at, LogContext, look, prefix, signal } from "./log-context.js";

async function context(): Promise<LogContext> {
  const made = new LogContext();
  await made.ensure();
  return made;
}

describe("writer and reader of the cut protocol", () => {
  it("hands over whole batches in order, and goes on from what is applied", async () => {
    const log = await context();
    await using session = await log.session();
    await append(session, {
      to: at(2),
      rows: [
        ["a", at(1)],
        ["b", at(2)],
      ],
    });
    expect(await log.apply(at(2))).toMatchObject([{ to: "0:2:0", rows: ["a@0:1:0", "b@0:2:0"] }]);
    await append(session, {
      to: at(4),
      rows: [
        ["b", at(3)],
        ["a", at(4)],
      ],
    });
    expect(await log.apply(at(4))).toMatchObject([{ rows: ["a@0:4:0", "b@0:3:0"], inOrder: ["b@0:3:0", "a@0:4:0"] }]);
  });

  it("merges cuts when it is behind, but never over a marker, a chunk or a new phase", async () => {
    const log = await context();
    await using session = await log.session();
    for (const n of [1, 2, 3]) await append(session, { to: at(n), rows: [["a", at(n)]] });
    await append(session, { to: at(4), rows: [["a", at(4)]], marker: "m" });
    await append(session, { to: at(5), rows: [["a", at(5)]] });
    await append(session, {
      to: at(6, 1),
      rows: [
        ["a", at(6)],
        ["chunk", at(6, 1)],
      ],
    });
    await append(session, { to: at(7), rows: [["a", at(7)]], streaming: true });
    const seen = await log.apply(at(7));
    expect(seen.map((window) => window.to)).toEqual(["0:3:0", "0:4:0", "0:5:0", "0:6:1", "0:7:0"]);
    expect(seen[1]?.markers).toEqual(["m"]);
    expect(seen[3]?.rows).toEqual(["a@0:6:0", "chunk@0:6:1"]);
  });

  it("ends a session for everybody with the error of the first that failed, whoever hears of it first", async () => {
    let nowMs = 0;
    const log = new LogContext({ ...systemClock, monotonicMs: () => nowMs });
    await log.ensure();
    await using session = await log.session();
    const registry = new EventEmitter();
    // oxlint-disable-next-line require-yield -- it fails before its first part
    async function* parts(): AsyncIterable<never> {
      registry.emit("asked");
      yield (await once(registry, "answered")) as never;
    }
    const asked = once(registry, "asked");
    const appended = session.append({ position: at(1), parts: parts(), end: () => expect.fail("no part came") }, signal);
    await asked;
    nowMs += 60_000;
    // As the source's housekeeping does it, beside a batch that waits for the registry.
    const verified = session.verifyTail(signal);
    registry.emit("error", new TailraceError("registry.unavailable", { what: "no answer" }));
    await expect(verified).rejects.toMatchObject({ code: "registry.unavailable" });
    await expect(appended).rejects.toMatchObject({ code: "registry.unavailable" });
    await expect(session.verifyTail(signal)).rejects.toMatchObject({ code: "registry.unavailable" });
  });

  it("voids a cut whose rows are not all there once a newer writer starts below it", async () => {
    const log = await context();
    const first = await log.session();
    await append(first, { to: at(1), rows: [["a", at(1)]] });
    // The cut and `b` are stored, `a` is not.
    log.log.onAppend = () => ({ partition: (name) => (name === topic(`${prefix}.a`) ? "late" : "stored"), answerLost: true });
    await expect(
      append(first, {
        to: at(3),
        rows: [
          ["a", at(2)],
          ["b", at(3)],
        ],
      }),
    ).rejects.toThrow();
    log.log.onAppend = () => fates.stored;
    await using second = await log.session();
    expect(second.beginning.resume?.position).toEqual(at(1));
    expect(second.beginning.later.map(({ position }) => position)).toEqual([at(3)]);
    await append(second, {
      to: at(4),
      rows: [
        ["a", at(2)],
        ["b", at(3)],
        ["b", at(4)],
      ],
    });
    expect(await log.apply(at(4))).toMatchObject([{ to: "0:1:0" }, { to: "0:4:0", rows: ["a@0:2:0", "b@0:3:0", "b@0:4:0"] }]);
    // What the voided cut lacked means nothing any more.
    log.log.deliverAllLate();
    await using third = await log.session();
    await append(third, { to: at(5), rows: [["a", at(5)]] });
    expect(await log.apply(at(5))).toMatchObject([{ to: "0:5:0", rows: ["a@0:5:0"] }]);
  });

  it("applies a late completed cut when it sees it before the newer start, and counts from there", async () => {
    const log = await context();
    const first = await log.session();
    log.log.onAppend = () => ({ partition: (name) => (name === topic(`${prefix}.a`) ? "late" : "stored"), answerLost: true });
    await expect(
      append(first, {
        to: at(3),
        rows: [
          ["a", at(2)],
          ["b", at(3)],
        ],
      }),
    ).rejects.toThrow();
    log.log.onAppend = () => fates.stored;
    const cutsBefore = log.log.records(cutsTopic(prefix)).length;
    log.log.deliverAllLate();
    expect(await log.apply(at(3))).toMatchObject([{ to: "0:3:0", rows: ["a@0:2:0", "b@0:3:0"] }]);
    expect(log.log.records(cutsTopic(prefix)).length).toBe(cutsBefore);
    log.applied = { ...(log.applied ?? fail()), offset: log.applied?.offset ?? fail() };
    const remembered = log.applied;
    log.applied = null; // the writer has not heard of it
    await using second = await log.session();
    log.applied = remembered;
    await append(second, { to: at(4), rows: [["b", at(4)]] });
    expect(await log.apply(at(4))).toMatchObject([{ to: "0:4:0", rows: ["b@0:4:0"] }]);
  });

  it("fences an older writer at the first request behind a newer claim", async () => {
    const log = await context();
    const zombie = await log.session();
    await append(zombie, { to: at(1), rows: [["a", at(1)]] });
    const successor = log.writer("successor");
    const disturbed = await log.session(successor);
    await expect(append(zombie, { to: at(2), rows: [["b", at(2)]] })).rejects.toMatchObject({ code: "log.append-failed" });
    // The zombie's record moved the ends: the successor cannot know what it is, and begins a new epoch.
    await expect(
      append(disturbed, {
        to: at(3),
        rows: [
          ["a", at(2)],
          ["a", at(3)],
        ],
      }),
    ).rejects.toMatchObject({ code: "log.append-failed" });
    await using winner = await log.session(successor, false);
    // Its own refused batch had been stored whole: nothing is sent twice.
    expect(winner.beginning.resume?.position).toEqual(at(3));
    expect((await log.apply(at(3))).flatMap((window) => window.rows)).toEqual(["a@0:1:0", "a@0:2:0", "a@0:3:0"]);
  });

  it("does not take a fenced-off writer's word for a past that was replaced", async () => {
    const log = await context();
    const zombie = await log.session();
    await append(zombie, { to: at(1), rows: [["a", at(1)]] });
    const successor = log.writer("successor");
    await using disturbed = await log.session(successor);
    // While it stood still, all that it knew was pruned: to it, this is another past.
    await expect(append(zombie, { to: position(1, 2), rows: [["b", position(1, 2)]] })).rejects.toMatchObject({
      code: "log.append-failed",
    });
    await expect(append(disturbed, { to: at(2), rows: [["a", at(2)]] })).rejects.toMatchObject({ code: "log.append-failed" });
    await using winner = await log.session(successor, false);
    expect(winner.beginning.resume?.position).toEqual(at(2));
    expect(winner.beginning.later).toEqual([]);
    // Its number is taken all the same.
    expect(winner.beginning.historySeen).toBe(1);
  });

  it("claims again only while the newest claim is its own", async () => {
    const log = await context();
    const writer = log.writer("mine");
    await (await log.session(writer))[Symbol.asyncDispose]();
    await (await log.session(writer, false))[Symbol.asyncDispose]();
    await (await log.session())[Symbol.asyncDispose]();
    await expect(log.session(writer, false)).rejects.toMatchObject({ code: "log.claimed" });
  });

  it("streams a window that is larger than its memory, twice when asked, in source order as well", async () => {
    const log = await context();
    log.log.pageRecords = 50;
    await using session = await log.session();
    const rows = Array.from({ length: 3_000 }, (_, i) => [i % 3 === 0 ? "b" : "a", at(i + 1)] as const);
    await append(session, { to: at(3_001, 1), rows: [...rows, ["chunk", at(3_001, 1)]] });
    await using reader = log.reader({ totalBytes: 20_000, laneBytes: 8_000 });
    for await (const window of reader.windows(null, signal)) {
      const [once, again] = [await look(window), await look(window)];
      expect(once.rows.length).toBe(3_001);
      expect(once.rows.at(-1)).toBe("chunk@0:3001:1");
      expect([...again.rows].sort()).toEqual([...once.rows].sort());
      expect(again.inOrder).toEqual(once.inOrder);
      expect(once.inOrder.slice(0, 4)).toEqual(["b@0:1:0", "a@0:2:0", "a@0:3:0", "b@0:4:0"]);
      expect(once.inOrder.length).toBe(3_001);
      expect([...once.inOrder].sort()).toEqual([...once.rows].sort());
      break;
    }
  });

  it("stops with a code when a cut stays undecided, and goes on after a start of the source", async () => {
    const log = await context();
    const first = await log.session();
    log.log.onAppend = () => ({ partition: (name) => (name === topic(`${prefix}.a`) ? "lost" : "stored"), answerLost: true });
    await expect(
      append(first, {
        to: at(2),
        rows: [
          ["a", at(1)],
          ["b", at(2)],
        ],
      }),
    ).rejects.toThrow();
    log.log.onAppend = () => fates.stored;
    await expect(log.apply(at(2), { watchdogMs: 300 })).rejects.toMatchObject({ code: "log.undecided" });
    await using second = await log.session();
    await append(second, {
      to: at(2),
      rows: [
        ["a", at(1)],
        ["b", at(2)],
      ],
    });
    expect(await log.apply(at(2))).toMatchObject([{ rows: ["a@0:1:0", "b@0:2:0"] }]);
  });

  it("fills a log again that lost its tail", async () => {
    const log = await context();
    const first = await log.session();
    for (const n of [1, 2, 3]) await append(first, { to: at(n), rows: [["a", at(n)]] });
    await log.apply(at(3));
    log.log.loseTail(cutsTopic(prefix), log.log.records(cutsTopic(prefix)).length - 2);
    log.log.loseTail(topic(`${prefix}.a`), 1);
    await using second = await log.session();
    expect(second.epoch).toBe(2);
    expect(second.beginning.resume?.position).toEqual(at(1));
    await append(second, {
      to: at(4),
      rows: [
        ["a", at(2)],
        ["a", at(3)],
        ["a", at(4)],
      ],
    });
    expect(await log.apply(at(4))).toMatchObject([{ to: "0:4:0", rows: ["a@0:4:0"] }]);
  });

  it("takes records that were trimmed behind the target for no lost tail, and a lost tail for one", async () => {
    const late = { ms: 0 };
    const log = new LogContext({ ...systemClock, monotonicMs: () => systemClock.monotonicMs() + late.ms });
    await log.ensure();
    await using session = await log.session();
    await append(session, { to: at(1), rows: [["a", at(1)]] });
    await append(session, { to: at(2), rows: [["b", at(2)]] });
    log.log.forget(topic(`${prefix}.a`), 1);
    late.ms = 3_600_000;
    await session.verifyTail(signal);
    log.log.loseTail(topic(`${prefix}.b`), 0);
    late.ms *= 2;
    await expect(session.verifyTail(signal)).rejects.toMatchObject({ code: "log.tail-lost" });
  });

  it("refuses a target that was filled from another log", async () => {
    const log = await context();
    await using session = await log.session();
    await append(session, { to: at(1), rows: [["a", at(1)]] });
    await log.apply(at(1));
    await using reader = log.reader();
    const other = { ...(log.applied ?? fail()), logId: "log-2" as never };
    const first = reader.windows(other, signal)[Symbol.asyncIterator]().next();
    await expect(first).rejects.toMatchObject({ code: "log.identity" });
  });
});

function fail(): never {
  throw new TailraceError("internal", { what: "the test expects a value" });
}
