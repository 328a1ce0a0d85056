import { setImmediate as nextTurn } from "node:timers/promises";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
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

describe("reading ahead", () => {
  it("takes in what comes while a window is applied, and makes the next window of all of it", async () => {
    const log = await context();
    await fill(log, 40);
    log.log.pageRecords = 4;
    await using reader = log.reader({ aheadBytes: 1 });
    const seen: Seen[] = [];
    for await (const window of reader.windows(null, signal)) {
      while (formatPosition(reader.newest() ?? at(0)) !== "0:40:0") await nextTurn();
      // What was read by now is taken by the next window; the last rows may be behind the last cut's page.
      for (let i = 0; i < 100; i++) await nextTurn();
      seen.push(await look(window));
      if (seen.length === 2) break;
    }
    expect(seen[0]?.to).not.toBe("0:40:0");
    expect(seen[1]?.to).toBe("0:40:0");
    expect(seen.flatMap(({ inOrder }) => inOrder)).toEqual(
      Array.from({ length: 40 }, (_, i) => `${(i + 1) % 2 === 0 ? "a" : "b"}@0:${i + 1}:0`),
    );
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
      await using reader = log.reader({ ...held, aheadBytes: 1 });
      const rows: string[] = [];
      for await (const window of reader.windows(null, signal)) {
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

  it("tells of an error that it met with the next window, and not before the one in hand is applied", async () => {
    const log = await context();
    await fill(log, 3);
    const a = topic(`${prefix}.a`);
    const appender = await log.log.store().appender(signal);
    await appender.append([{ topic: a, partition: 0, key: null, value: Buffer.from("{ no line"), headers: [] }], signal);
    log.log.pageRecords = 1;
    await using reader = log.reader({ aheadBytes: 1 });
    const windows = reader.windows(null, signal)[Symbol.asyncIterator]();
    const first = await windows.next();
    expect(first.done).toBe(false);
    for (let i = 0; i < 100; i++) await nextTurn();
    if (first.done !== true) expect((await look(first.value)).rows.length).toBeGreaterThan(0);
    await expect(windows.next().then(() => windows.next())).rejects.toThrow(SyntaxError);
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
