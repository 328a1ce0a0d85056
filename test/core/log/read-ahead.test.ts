import { setImmediate as nextTurn } from "node:timers/promises";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { systemClock } from "../../../core/clock.js";
import type { Window } from "../../../core/contracts/log.js";
import { topic } from "../../../core/vocabulary/ids.js";
import { formatPosition } from "../../../core/vocabulary/position.js";
import { append, at, LogContext, look, prefix, type Seen, signal } from "./log-context.js";

async function context(): Promise<LogContext> {
  const made = new LogContext();
  await made.ensure();
  return made;
}

/** Rows 1 to n, one batch each, in `a` and `b` by turns. */
async function fill(log: LogContext, n: number): Promise<void> {
  await using session = await log.session();
  for (let i = 1; i <= n; i++) await append(session, { to: at(i), rows: [[i % 2 === 0 ? "a" : "b", at(i)]] });
}

describe("what has come before a window is made", () => {
  it.each([
    { bound: "time", limits: { showBytes: 1 << 30 }, most: 60 },
    { bound: "bytes", limits: { gatherMs: 1e9, showBytes: 10_000 }, most: 200 },
  ])("is bounded in $bound: a log that grows as fast as it is read is not read to its end", async ({ limits, most }) => {
    let nowMs = 0;
    const log = new LogContext({ ...systemClock, monotonicMs: () => nowMs });
    await log.ensure();
    await using session = await log.session();
    let order = 0;
    const appendOne = async (): Promise<void> => {
      nowMs++;
      if (order < 2_000) await append(session, { to: at(++order), rows: [["a", at(order)]] });
    };
    await appendOne();
    log.onDecode = appendOne;
    await using reader = log.reader(limits);
    for await (const window of reader.windows(null, signal)) {
      expect(window.after().position.order).toBeLessThan(most);
      break;
    }
  });
});

describe("reading ahead", () => {
  it("takes in what comes while a window is applied, and makes the next window of all of it", async () => {
    const log = await context();
    await using session = await log.session();
    const appendRows = async (from: number, to: number): Promise<void> => {
      for (let i = from; i <= to; i++) await append(session, { to: at(i), rows: [[i % 2 === 0 ? "a" : "b", at(i)]] });
    };
    await appendRows(1, 10);
    log.log.pageRecords = 4;
    // However long a page takes: what a window gathers is bounded in time, and this is about what there is to gather.
    await using reader = log.reader({ aheadBytes: 1, gatherMs: 1e9 });
    const seen: Seen[] = [];
    for await (const window of reader.windows(null, signal)) {
      seen.push(await look(window));
      if (seen.length === 2) break;
      await appendRows(11, 40);
      while (formatPosition(reader.newest() ?? at(0)) !== "0:40:0") await nextTurn();
    }
    expect(seen.map(({ to }) => to)).toEqual(["0:10:0", "0:40:0"]);
    expect(seen.flatMap(({ inOrder }) => inOrder)).toEqual(
      Array.from({ length: 40 }, (_, i) => `${(i + 1) % 2 === 0 ? "a" : "b"}@0:${i + 1}:0`),
    );
  });

  it("shows the next window while the one before it is applied, and hands over that very window", async () => {
    const log = await context();
    await fill(log, 40);
    log.log.pageRecords = 4;
    const shown: Window[] = [];
    const limits = { aheadBytes: 1, showBytes: 1, totalBytes: 3_000 };
    await using reader = log.reader(limits, async (window) => void shown.push(window));
    const handed: Window[] = [];
    const rows: string[] = [];
    for await (const window of reader.windows(null, signal)) {
      handed.push(window);
      const wanted = formatPosition(window.after().position) === "0:40:0" ? 0 : handed.length;
      while (shown.length < wanted) await nextTurn();
      rows.push(...(await look(window)).inOrder);
      if (wanted === 0) break;
    }
    expect(handed.length).toBeGreaterThan(2);
    expect(shown.map((window, i) => window === handed[i + 1])).toEqual(shown.map(() => true));
    expect(shown).toHaveLength(handed.length - 1);
    expect(rows).toEqual(Array.from({ length: 40 }, (_, i) => `${(i + 1) % 2 === 0 ? "a" : "b"}@0:${i + 1}:0`));
  });

  it("does not read a long log once more for every writer that began in it", async () => {
    const log = await context();
    await fill(log, 1);
    await log.apply(at(1));
    for (let n = 0; n < 10; n++) await (await log.session())[Symbol.asyncDispose]();
    await using session = await log.session();
    for (let i = 2; i <= 400; i++) await append(session, { to: at(i), rows: [[i % 2 === 0 ? "a" : "b", at(i)]] });
    log.log.pageRecords = 10;
    log.decoded = 0;
    await log.apply(at(400));
    expect(log.decoded).toBeLessThan(2 * 400);
  });

  it("changes nothing about what is handed over", async () => {
    const batch = fc.record({
      a: fc.integer({ min: 0, max: 12 }),
      b: fc.integer({ min: 0, max: 12 }),
      marker: fc.boolean(),
      newEpoch: fc.integer({ min: 0, max: 5 }),
    });
    const limits = fc.record({
      laneBytes: fc.constantFrom(500, 5_000, 1 << 20),
      totalBytes: fc.constantFrom(2_000, 20_000, 1 << 20),
      mergeRecords: fc.constantFrom(1, 30, 20_000),
      pageRecords: fc.integer({ min: 1, max: 9 }),
      showBytes: fc.constantFrom(1, 800, 1 << 20),
      turns: fc.integer({ min: 0, max: 20 }),
    });
    const property = fc.asyncProperty(fc.array(batch, { minLength: 1, maxLength: 15 }), limits, async (batches, chosen) => {
      const log = await context();
      let session = await log.session();
      let order = 0;
      const expected: string[] = [];
      for (const { a, b, marker, newEpoch } of batches) {
        if (newEpoch === 0) session = await log.session();
        const rows = [...Array<"a">(a).fill("a"), ...Array<"b">(b).fill("b")].map((table) => [table, at(++order)] as const);
        const to = at(++order);
        await append(session, { to, rows, ...(marker ? { marker: `m${order}` } : {}) });
        expected.push(...rows.map(([table, position]) => `${table}@${formatPosition(position)}`));
      }
      const { pageRecords, turns, ...held } = chosen;
      log.log.pageRecords = pageRecords;
      const shown: Window[] = [];
      let inHand: Window | null = null;
      await using reader = log.reader({ ...held, aheadBytes: 1 }, async (window) => {
        expect(window.before).toEqual(inHand?.after());
        shown.push(window);
      });
      const rows: string[] = [];
      for await (const window of reader.windows(null, signal)) {
        // What was shown comes next, and before anything else is shown.
        if (shown.length > 0) expect(shown.splice(0).map((one) => one === window)).toEqual([true]);
        inHand = window;
        for (let i = 0; i < turns; i++) await nextTurn();
        const seen = await look(window);
        expect([...seen.rows].sort()).toEqual([...seen.inOrder].sort());
        rows.push(...seen.inOrder);
        if (seen.to === formatPosition(at(order))) break;
      }
      expect(rows).toEqual(expected);
    });
    await fc.assert(property, { numRuns: 150 });
  });

  it("hands over what was here before a record that cannot be read, then throws", async () => {
    const log = await context();
    await fill(log, 3);
    const a = topic(`${prefix}.a`);
    const appender = await log.log.store().appender(signal);
    await appender.append([{ topic: a, partition: 0, key: null, value: Buffer.from("{ no line"), headers: [] }], signal);
    log.log.pageRecords = 1;
    await using reader = log.reader({ aheadBytes: 1 });
    const rows: string[] = [];
    const all = async (): Promise<void> => {
      for await (const window of reader.windows(null, signal)) rows.push(...(await look(window)).inOrder);
    };
    await expect(all()).rejects.toThrow(SyntaxError);
    expect(rows.length).toBeGreaterThan(0);
    expect(["b@0:1:0", "a@0:2:0", "b@0:3:0"].slice(0, rows.length)).toEqual(rows);
  });

  it("ends with whoever asked for it", async () => {
    const log = await context();
    await fill(log, 3);
    const stop = new AbortController();
    await using reader = log.reader({ aheadBytes: 1 });
    const windows = reader.windows(null, stop.signal)[Symbol.asyncIterator]();
    await windows.next();
    // It waits at the end of the log by now, for a second: leaving must not take that long, and nothing may be left behind unhandled.
    for (let i = 0; i < 100; i++) await nextTurn();
    stop.abort();
    await expect(windows.next()).rejects.toMatchObject({ name: "AbortError" });
  });
});
