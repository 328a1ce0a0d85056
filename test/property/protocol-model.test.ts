/**
 * The log protocol and the capture, driven through random schedules of transactions, crashes, late and lost requests, restores, lost tails,
 * takeovers. A run is a function of its schedule; fast-check prints seed and the cut-down schedule of a failure.
 *
 * TAILRACE_MODEL_RUNS=100000 TAILRACE_MODEL_SEED=7 npx vitest run test/property makes it long.
 */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { schedules } from "./model/schedule.js";
import { runSchedule } from "./model/world.js";

const runs = Number(process.env["TAILRACE_MODEL_RUNS"] ?? 1500);
const seed = process.env["TAILRACE_MODEL_SEED"];

describe("the protocol model", () => {
  it("never shows a wrong row, never gets stuck", { timeout: runs * 100 + 60_000 }, async () => {
    const stats: Record<string, number> = {};
    await fc.assert(
      fc.asyncProperty(schedules(), async (schedule) => {
        expect(await runSchedule(schedule, {}, stats)).toBe(null);
      }),
      { numRuns: runs, ...(seed === undefined ? {} : { seed: Number(seed) }) },
    );
    console.log(stats);
  });
});
