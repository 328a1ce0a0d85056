/**
 * The log protocol, the capture and the services' loops, driven through random schedules of transactions, kills, late, lost and repeated requests,
 * failing calls, restores, rebuilt tables, pauses and takeovers. Our own code: writer, reader and windows of core/log, the reader of core/capture,
 * relay and applier; in the third test also both services under their supervisors. A run is a function of its schedule; fast-check prints seed and
 * the cut-down schedule of a failure. Schedules that once failed are kept in kept-schedules.json and run first.
 *
 * `npm run simulate -- --scenarios 100000 --seed 7` makes it long: half of the scenarios for the services, a quarter for each of the others.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type Schedule, schedules } from "./model/schedule.js";
import { runServices, servicesSchedules } from "./model/services-schedule.js";
import { runSchedule } from "./model/world.js";

const scenarios = process.env["TAILRACE_SCENARIOS"] === undefined ? null : Number(process.env["TAILRACE_SCENARIOS"]);
const seed = Number(process.env["TAILRACE_SEED"] ?? Date.now() % 1_000_000);
const quarter = scenarios === null ? 2000 : Math.ceil(scenarios / 4);
const half = scenarios === null ? 750 : Math.ceil(scenarios / 2);
const timeout = (quarter + half) * 200 + 60_000;

type Kind = "protocol" | "services";
const keptFile = join(import.meta.dirname, "kept-schedules.json");
const kept = (): Record<Kind, unknown[]> => JSON.parse(readFileSync(keptFile, "utf8")) as Record<Kind, unknown[]>;

const judged = async (schedule: Schedule): Promise<void> => {
  expect(await runSchedule(schedule)).toBe(null);
};

describe("the protocol model", () => {
  it("never shows a wrong row and never gets stuck", { timeout }, async () => {
    await holds("protocol", schedules({ lose: 0 }), judged, quarter);
  });

  it("does not even if the log loses the tail of any topic", { timeout }, async () => {
    await holds("protocol", schedules({ lose: 6 }), judged, quarter);
  });

  it("does not either with the services' own loops, whatever call of theirs fails", { timeout }, async () => {
    const stats: Record<string, number> = {};
    const run = async (schedule: Parameters<typeof runServices>[0]): Promise<void> => {
      expect(await runServices(schedule, stats)).toBe(null);
    };
    await holds("services", servicesSchedules, run, half);
    if (scenarios !== null) console.log(stats);
  });
});

async function holds<T>(kind: Kind, arbitrary: fc.Arbitrary<T>, run: (schedule: T) => Promise<void>, numRuns: number): Promise<void> {
  const examples = kept()[kind].map((schedule): [T] => [schedule as T]);
  if (scenarios !== null) console.log(`${numRuns} ${kind} scenarios, seed ${seed}`);
  const details = await fc.check(fc.asyncProperty(arbitrary, run), { numRuns: numRuns + examples.length, seed, examples });
  const [found] = details.counterexample ?? [];
  // The long run keeps what it finds: it is to be committed, with its mending.
  if (found !== undefined && scenarios !== null) {
    const all = kept();
    const lines = (["protocol", "services"] as const).map((of) => {
      const schedules = of === kind ? [...all[of], found] : all[of];
      return `  "${of}": [${schedules.map((schedule) => `\n    ${JSON.stringify(schedule)}`).join(",")}\n  ]`;
    });
    writeFileSync(keptFile, `{\n${lines.join(",\n")}\n}\n`);
  }
  expect(details.failed, fc.defaultReportMessage(details)).toBe(false);
}
