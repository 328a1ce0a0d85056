/**
 * Entry of `npm run fault`: hands its options to test/fault/long.test.ts.
 *
 *   npm run fault -- --minutes 60 --seed 7        fault runs with rising seeds until the time is over
 *   npm run fault -- --runs 10 --seed 7           as many as that, however long they take
 *   npm run fault -- --points 3 --seed 7          every crash point three times over each log
 *   npm run fault -- --replay .cache/fault/failing.jsonl   what failed before, first and alone
 *
 * Also: --faults N in a run (25), --log embedded|kafka, --out FOLDER (.cache/fault). Every run is a line of `<out>/runs.jsonl`, one that found
 * something a line of `<out>/failing.jsonl` as well; `--sum` prints the table of a folder and runs nothing.
 */
import { spawn } from "node:child_process";
import { mkdirSync } from "node:fs";
import { parseArgs } from "node:util";

const { values } = parseArgs({
  options: {
    minutes: { type: "string", default: "10" },
    runs: { type: "string", default: "0" },
    points: { type: "string", default: "0" },
    seed: { type: "string", default: String(1 + Math.floor(Math.random() * 1e6)) },
    faults: { type: "string", default: "25" },
    log: { type: "string", default: "embedded,kafka" },
    out: { type: "string", default: ".cache/fault" },
    replay: { type: "string" },
    sum: { type: "boolean", default: false },
  },
});
mkdirSync(values.out, { recursive: true });
console.log(
  `npm run fault -- ${Object.entries(values)
    .map(([name, value]) => (value === true ? `--${name}` : value === false ? "" : `--${name} ${value}`))
    .join(" ")}`,
);
const child = spawn("node_modules/.bin/vitest", ["run", "test/fault/long.test.ts"], {
  stdio: "inherit",
  env: { ...process.env, TAILRACE_FAULT_LONG: JSON.stringify(values) },
});
child.once("close", (code) => {
  process.exitCode = code ?? 1;
});
