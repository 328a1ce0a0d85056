/**
 * Each rule is needed: with it switched off (alone, or together with the one that hides it) the model finds a wrong row, a lost marker or a stuck
 * pipeline within a bounded number of schedules, and the schedule that found it is harmless with all rules on. The seeds are where it is found
 * soon; when the code has changed so that one finds nothing, try others before doubting the rule.
 */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type Schedule, schedules, type Weights } from "./model/schedule.js";
import { type Rules, runSchedule } from "./model/world.js";

interface Removal {
  readonly without: string;
  readonly rules: Rules;
  readonly seed: number;
  /** What happens more often than usual. */
  readonly weights?: Partial<Weights>;
}
const schedulesMost = 500;

const removals: readonly Removal[] = [
  // Of the log protocol, in core/log.
  { without: "membership by epoch", rules: { protocol: { memberByEpoch: false } }, seed: 3 },
  { without: "the counts of a cut", rules: { protocol: { countCheck: false } }, seed: 1 },
  { without: "a start that voids", rules: { protocol: { startVoids: false } }, seed: 1 },
  { without: "a start that must be reached", rules: { protocol: { startReached: false } }, seed: 20 },
  { without: "the pick of a whole cut", rules: { protocol: { pickWhole: false } }, seed: 1 },
  { without: "skipping what is applied", rules: { protocol: { skipApplied: false } }, seed: 1 },
  { without: "expected base offsets", rules: { protocol: { baseOffsets: false } }, seed: 8 },
  {
    without: "epochs above all that was ever seen",
    rules: { protocol: { epochAboveAll: false } },
    seed: 80,
    weights: { lose: 12, "kill writer": 25 },
  },
  {
    without: "reading `.cuts` again when the applied cut is gone",
    rules: { protocol: { rescan: false } },
    seed: 67,
    weights: { lose: 25 },
  },
  // Not here: that a counting claim fences older epochs (a reader that obeys a start looks at no other epoch), and that claims must rise (a
  // source remembers each epoch before it is claimed). What hides them makes them needed in none of tens of thousands of schedules.
  {
    without: "a start right behind its claim",
    rules: { protocol: { startBehindClaim: false } },
    seed: 47,
    weights: { "kill writer": 80, land: 80 },
  },
  // What catches it otherwise goes with it.
  {
    without: "throwing a producer away after an error",
    rules: { store: { producerThrownAway: false }, protocol: { baseOffsets: false } },
    seed: 1,
  },
  // Of reading the source: broken from below core/capture.
  { without: "batches that end at the newest row", rules: { source: { endsAtNewest: false } }, seed: 1 },
  { without: "hints", rules: { source: { hintsHeeded: false } }, seed: 1 },
  { without: "hints asked in the transaction that read S", rules: { source: { hintsInOneTransaction: false } }, seed: 1 },
  { without: "chunks read in the transaction that read S", rules: { source: { chunkInOneTransaction: false } }, seed: 1 },
  { without: "comparing the past", rules: { source: { pastCompared: false } }, seed: 4 },
  { without: "stopping at missing triggers", rules: { source: { gapStops: false } }, seed: 1 },
  {
    without: "comparing the cuts above the start",
    rules: { source: { laterCompared: false } },
    seed: 122,
    weights: { restore: 20, backup: 20, "kill writer": 25, land: 50 },
  },
  { without: "the row at the applied position", rules: { source: { anchorKept: false } }, seed: 89, weights: { prune: 80 } },
  {
    without: "comparing the past before pruning",
    rules: { source: { pruneCompares: false } },
    seed: 58,
    weights: { prune: 80, restore: 20, backup: 20 },
  },
  // Of the target.
  { without: "rows and applied cut in one transaction", rules: { target: { atomic: false } }, seed: 16 },
  { without: "the fence of a sink", rules: { target: { fenced: false } }, seed: 34, weights: { own: 60, apply: 120 } },
  { without: "folding by position", rules: { target: { foldByPosition: false } }, seed: 5 },
  { without: "chunks that replace their scope", rules: { target: { scopeReplaced: false } }, seed: 1 },
  { without: "the replay in source order", rules: { target: { replayed: false } }, seed: 1 },
  { without: "deferred foreign keys", rules: { target: { deferred: false } }, seed: 1 },
  { without: "foreign keys that take no action", rules: { target: { noAction: false } }, seed: 1 },
  { without: "constraints that are off during a repair", rules: { target: { repairLoosens: false } }, seed: 3 },
];

describe("each rule is needed: the model fails", () => {
  it.each(removals)("without $without", { timeout: 120_000 }, async ({ rules, seed, weights }) => {
    const found = await firstFailing(rules, seed, weights);
    expect(found, `nothing found in ${schedulesMost} schedules`).not.toBe(null);
    if (found !== null) expect(await runSchedule(found)).toBe(null);
  });
});

/** The first schedule that fails; null: none of the first `schedulesMost`. */
async function firstFailing(rules: Rules, seed: number, weights: Partial<Weights> = {}): Promise<Schedule | null> {
  const property = fc.asyncProperty(schedules(weights), async (schedule) => (await runSchedule(schedule, rules)) === null);
  const result = await fc.check(property, { seed, numRuns: schedulesMost, endOnFailure: true });
  return result.counterexample?.[0] ?? null;
}
