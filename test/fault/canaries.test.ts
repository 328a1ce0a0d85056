/**
 * The suite's own test: planted bugs, each in a build of its own, that the fault suite must find; and the same stories without a bug, in which it
 * must find nothing. `TAILRACE_TEST_LONG=1 npx vitest run test/fault/canaries.test.ts` tries all, `-t "ignore claims"` one.
 */
import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { TestPipeline } from "./harness/pipeline.js";
import { plant } from "./harness/plant.js";
import { plantedBugs } from "./harness/planted-bugs.js";
import { type ScenarioName, scenarios } from "./harness/scenarios.js";
import { whatWentWrong } from "./harness/what-went-wrong.js";

const seed = Number(process.env["TAILRACE_FAULT_SEED"] ?? 7);
const names = Object.keys(scenarios) as ScenarioName[];

async function told(name: ScenarioName, command?: string): Promise<string> {
  try {
    await using pipeline = await TestPipeline.make({
      seed,
      log: { kind: "embedded" },
      rows: 400,
      ...(command === undefined ? {} : { command }),
    });
    return (await scenarios[name](pipeline, seed)).join("\n");
  } catch (error) {
    return whatWentWrong(error);
  }
}

it("every planted text is there exactly once", () => {
  const texts = plantedBugs.flatMap(({ name, patches }) => patches.map(({ file, find }) => ({ name, file, find })));
  expect(texts.filter(({ file, find }) => readFileSync(`dist/${file}.js`, "utf8").split(find).length !== 2)).toEqual([]);
});

const long = process.env["TAILRACE_TEST_LONG"] === "1";

describe.concurrent("the fault suite finds", () => {
  for (const { name, scenario, patches, finds, always } of plantedBugs) {
    // Skipped but for TAILRACE_TEST_LONG=1: each takes half a minute.
    it.skipIf(!long && always !== true)(name, { timeout: 600_000 }, async () => {
      using build = plant(name, patches);
      const found = await told(scenario, build.command);
      expect(found, "nothing was found").not.toBe("");
      expect(found).toMatch(finds);
    });
  }
});

// Skipped but for TAILRACE_TEST_LONG=1.
describe.skipIf(!long).concurrent("without a bug it finds nothing", () => {
  it.each(names)("in %s", { timeout: 600_000 }, async (name) => {
    expect(await told(name)).toBe("");
  });
});
