/**
 * A DuckDB file, an application that follows its route, and a tool that dies where it hurts, forth and back: whoever comes next settles it, the application
 * goes on, and in the end nothing is lost, doubled or half there. TAILRACE_DUCKDB_STRIKES says how often; 40 in the long run.
 */
import { expect, it } from "vitest";
import type { CutoverState } from "../../core/cutover/states.js";
import { program, start } from "../cli/command.js";
import { StockWorld } from "../support/duckdb-world.js";
import { seeded } from "../support/hostile-workload.js";

type Point = `${CutoverState}.${"before" | "after"}`;

/** Around the fence, where a process that is gone could leave no side or two. */
const first: readonly Point[] = ["fencing.after", "keeping.after", "switching.after"];
const all: readonly Point[] = [
  "pausing.after",
  "fencing.before",
  ...first,
  "draining.after",
  "readying.after",
  "keeping.before",
  "switched.before",
  "switched.after",
];
const strikes = Number(process.env["TAILRACE_DUCKDB_STRIKES"] ?? first.length);

it(`survives ${strikes} deaths of the tool at the fence`, { timeout: 300_000 + strikes * 60_000 }, async () => {
  const seed = Number(process.env["TAILRACE_SEED"] ?? 11);
  const random = seeded(seed);
  await using world = await StockWorld.make();
  const { operator } = world;
  await operator.answer("apply");
  operator.run();
  await operator.caughtUp();
  await world.startApplication(0);
  for (let strike = 0; strike < strikes; strike++) {
    const verb = world.application.sides.at(-1) === "target" ? "rollback" : "cutover";
    const point = strikes <= first.length ? (first[strike] ?? "keeping.after") : (all[random(all.length)] ?? "keeping.after");
    const words = ["run", "--max-pause", "20s", ...(verb === "cutover" ? ["--max-lag", "60s"] : [])];
    const tool = start([verb, ...words], { cwd: operator.folder, env: { TAILRACE_CUTOVER_CRASH_AT: point } });
    const ended = await tool.ended;
    expect(ended.signal, `seed ${seed}, strike ${strike}: ${verb} at ${point} (${program}): ${ended.stderr}`).toBe("SIGKILL");
    const settled = await operator.tailrace("cutover", "abort", "--max-pause", "20s");
    expect(settled.code, `seed ${seed}, strike ${strike}: ${verb} at ${point}: ${settled.stderr}`).toBe(0);
    await world.application.progress();
    if (verb === "cutover" && world.application.sides.at(-1) === "source") await operator.caughtUp();
  }
  await world.settled();
  await world.judge();
});
