import { describe, expect, test } from "vitest";
import type { Conservation } from "../../../core/contracts/target.js";
import { tableId, topic, writerEpoch } from "../../../core/vocabulary/ids.js";
import { position } from "../../../core/vocabulary/position.js";
import { judgeOffsets, type LogEnd, type SourceEnd } from "../../../services/verify/offsets.js";

const end = (order: number, count: number, epoch = 1): LogEnd => ({
  position: position(1, order),
  epoch: writerEpoch(epoch),
  counts: new Map([[topic("p.t"), count]]),
});
const source = (order: number, rowsAbove: number | null): SourceEnd => ({ head: position(1, order), rowsAbove, tables: new Map() });
const totals = (taken: number, applied: number): ReadonlyMap<ReturnType<typeof tableId>, Conservation> =>
  new Map([[tableId("t"), { taken, folded: 0, applied, filtered: 0, quarantined: 0, replayed: 0 }]]);
const findings = (...asked: Parameters<typeof judgeOffsets>): readonly string[] => judgeOffsets(...asked).findings;

describe("offsets", () => {
  test("add up when each hop is at or behind the one before it", () => {
    expect(findings(source(10, 3), end(9, 8), { applied: end(7, 6), totals: totals(6, 6) })).toEqual([]);
    expect(findings(source(7, 0), end(7, 6), { applied: end(7, 6), totals: totals(6, 6) })).toEqual([]);
    expect(findings(source(0, null), null, { applied: null, totals: new Map() })).toEqual([]);
    // Counts of two epochs say nothing about each other.
    expect(findings(source(10, 3), end(9, 2, 2), { applied: end(7, 6), totals: new Map() })).toEqual([]);
  });

  test.each<[string, Parameters<typeof judgeOffsets>, string]>([
    ["a log above its source", [source(5, null), end(9, 8), { applied: null, totals: new Map() }], "above the source's newest change"],
    ["a target above its log", [source(12, 2), end(9, 8), { applied: end(10, 8), totals: new Map() }], "above the log's last cut"],
    [
      "a capture log with a hole",
      [source(12, 4), end(12, 8), { applied: end(7, 6), totals: new Map() }],
      "holds 4 rows above what is applied, and 5",
    ],
    [
      "changes that vanished at the target",
      [source(7, 0), end(7, 6), { applied: end(7, 6), totals: totals(6, 5) }],
      "6 changes were taken from the log, 5",
    ],
    [
      "more applied than the log counts",
      [source(9, 2), end(9, 5), { applied: end(7, 6), totals: new Map() }],
      "applied 6 records, the log counts 5",
    ],
    [
      "less applied at the same cut",
      [source(7, 0), end(7, 6), { applied: end(7, 5), totals: new Map() }],
      "the log counts 6 records, the target 5",
    ],
  ])("%s is a finding", (_, asked, said) => {
    expect(findings(...asked)).toEqual([expect.stringContaining(said)]);
  });
});
