/** `npm run fault -- …`: what test/fault/long.mjs says. Ends with a table of what was survived, and the same as one line of JSON. */
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { startKafka } from "../support/kafka.js";
import { pointsRun } from "./harness/points-run.js";
import { faultRun } from "./harness/run.js";
import { jsonLine, keep, kept, type LogKind, type RunRecord, table } from "./harness/tally.js";

interface Options {
  readonly minutes: string;
  readonly runs: string;
  readonly points: string;
  readonly seed: string;
  readonly faults: string;
  readonly log: string;
  readonly out: string;
  readonly replay?: string;
  readonly sum: boolean;
}
const given = process.env["TAILRACE_FAULT_LONG"];
const hourMs = 3_600_000;

describe("faults for as long as asked", () => {
  // Skipped unless `npm run fault` asks for it: it takes as long as it is told.
  it.skipIf(given === undefined)("find nothing", { timeout: 48 * hourMs }, async () => {
    const options = JSON.parse(given ?? "{}") as Options;
    const runs = join(options.out, "runs.jsonl");
    const failing = join(options.out, "failing.jsonl");
    const done: RunRecord[] = [];
    for await (const record of options.sum ? [] : asked(options)) {
      done.push(record);
      keep(runs, record);
      if (record.found.length > 0) keep(failing, record);
    }
    const told = options.sum ? kept(runs) : done;
    console.log(`${table(told)}\n${jsonLine(told)}`);
    expect(told.flatMap(({ found }) => found)).toEqual([]);
  });
});

async function* asked(options: Options): AsyncIterable<RunRecord> {
  const faults = Number(options.faults);
  const seed = Number(options.seed);
  const logs = options.log.split(",") as LogKind[];
  if (options.replay !== undefined) {
    for (const { seed: of, kind, log, faults: count } of kept(options.replay)) yield await one({ seed: of, kind, log, faults: count });
    return;
  }
  if (Number(options.points) > 0) {
    for (let n = 0; n < Number(options.points); n++)
      for (const log of logs) yield await one({ seed: seed + n, kind: "points", log, faults });
    return;
  }
  // What has failed before comes first.
  for (const { seed: of, kind, log, faults: count } of kept(join(options.out, "failing.jsonl"))) {
    yield await one({ seed: of, kind, log, faults: count });
  }
  const end = performance.now() + Number(options.minutes) * 60_000;
  const most = Number(options.runs);
  for (let n = 0; most > 0 ? n < most : performance.now() < end; n++) {
    yield await one({ seed: seed + n, kind: "blind", log: logs[n % logs.length] ?? "embedded", faults });
  }
}

/** A broker of its own for each: its topics go with it. */
async function one({ seed, kind, log, faults }: Pick<RunRecord, "seed" | "kind" | "log" | "faults">): Promise<RunRecord> {
  const broker = log === "kafka" ? await startKafka() : null;
  try {
    return await (kind === "points" ? pointsRun({ seed, broker }) : faultRun({ seed, faults, broker, server: true }));
  } finally {
    await broker?.stop();
  }
}
