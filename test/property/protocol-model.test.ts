/**
 * The log protocol and the capture, driven through random schedules of transactions, kills, late, lost and repeated requests, restores,
 * rebuilt tables and takeovers. Our own code: writer, reader and windows of core/log, the reader of core/capture, relay and applier. A run is a
 * function of its schedule; fast-check prints seed and the cut-down schedule of a failure.
 *
 * TAILRACE_MODEL_RUNS=100000 TAILRACE_MODEL_SEED=7 npx vitest run test/property/protocol-model.test.ts makes it long.
 */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type Schedule, schedules } from "./model/schedule.js";
import { runSchedule } from "./model/world.js";

const runs = Number(process.env["TAILRACE_MODEL_RUNS"] ?? 2000);
const given = process.env["TAILRACE_MODEL_SEED"];
const timeout = runs * 100 + 60_000;

const judged = async (schedule: Schedule): Promise<void> => {
  expect(await runSchedule(schedule)).toBe(null);
};

describe("the protocol model", () => {
  it("never shows a wrong row and never gets stuck", { timeout }, async () => {
    const property = fc.asyncProperty(schedules({ lose: 0 }), judged);
    await fc.assert(property, { numRuns: runs, seed: Number(given ?? Date.now() % 1_000_000) });
  });

  it("does not even if the log loses the tail of any topic", { timeout }, async () => {
    const property = fc.asyncProperty(schedules({ lose: 6 }), judged);
    await fc.assert(property, { numRuns: runs, seed: Number(given ?? Date.now() % 1_000_000) });
  });
});
