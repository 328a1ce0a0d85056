/**
 * `npm run bench -- NAME [--json] [--quick] [--rounds N] …`: one measurement, one table. Each runs on a build of its own (so that nobody's build in between
 * changes what is measured), starts the real services as processes, and prints ratios of variants that took turns within the same run.
 */
import { parseArgs } from "node:util";
import { apply } from "./apply.js";
import { cutover } from "./cutover.js";
import { hops } from "./hops.js";
import { latency } from "./latency.js";
import { duckdb } from "./duckdb.js";
import { large } from "./large.js";
import { describeMachine } from "./machine.js";
import { memory } from "./memory.js";
import type { Bench, BenchOptions } from "./options.js";
import { overhead } from "./overhead.js";
import { peers } from "./peers/peers.js";
import { printReport } from "./report.js";
import { rollback } from "./rollback.js";
import { snapshot } from "./snapshot.js";
import { verify } from "./verify.js";

const benches: Readonly<Record<string, Bench>> = {
  overhead,
  snapshot,
  apply,
  latency,
  memory,
  peers,
  hops,
  cutover,
  rollback,
  duckdb,
  large,
  verify,
};

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    json: { type: "boolean", default: false },
    quick: { type: "boolean", default: false },
    rounds: { type: "string" },
    rows: { type: "string" },
    changes: { type: "string" },
    transaction: { type: "string" },
    seconds: { type: "string" },
    documents: { type: "string" },
    memory: { type: "string" },
    rates: { type: "string" },
    logs: { type: "string", default: "embedded,kafka" },
    only: { type: "string" },
    profile: { type: "string" },
  },
});

const count = (text: string | undefined, fallback: number): number => {
  const n = text === undefined ? fallback : Number(text.replaceAll("_", ""));
  if (!Number.isSafeInteger(n) || n < 1) throw new Error(`'${text ?? ""}' is not a count`);
  return n;
};
const options: BenchOptions = {
  count: (name, fallback, quick) => count(values[name], values.quick ? quick : fallback),
  rates: (values.rates ?? "100,1000").split(",").map((rate) => (rate === "0" ? 0 : count(rate, 0))),
  logs: values.logs.split(",").filter((log) => log === "embedded" || log === "kafka"),
  only: values.only?.split(",") ?? null,
  profile: values.profile ?? null,
  say: (text) => process.stderr.write(`${text}\n`),
};

const [name = ""] = positionals;
const bench = benches[name];
if (bench === undefined) {
  process.stderr.write(`bench: ${Object.keys(benches).join(" | ")}\n`);
  process.exitCode = 2;
} else {
  const before = describeMachine();
  printReport({ bench: name, machine: before, report: await bench(options), loadAfter: describeMachine().load }, values.json);
}
