/**
 * How long can the application not write when it is switched over? Everything runs: an application that follows its route at a steady rate, source, log,
 * sink. Rehearsals on one pipeline, then cutovers, each on a pipeline of its own; the pause is what the application saw, the steps what the tool measured.
 */
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import type { PauseSeen } from "./cutover-writer.js";
import type { Bench, BenchOptions, LogKind } from "./options.js";
import { fillOrders, openApplication } from "./orders.js";
import { BenchPipeline } from "./pipeline.js";
import { type BenchPlace, openPlace } from "./place.js";
import { median, percentile, rounded } from "./report.js";

interface Figure {
  readonly log: LogKind;
  readonly kind: "rehearse" | "run";
  readonly pauseMs: number;
  readonly toolPauseMs: number;
  readonly steps: Readonly<Record<string, number>>;
}
interface Line {
  readonly pipeline: BenchPipeline;
  readonly writer: Writer;
}

const steps = [
  "preparing",
  "pausing",
  "fencing",
  "draining",
  "checking",
  "readying",
  "keeping",
  "switching",
  "undoing",
  "switched",
] as const;
const settleMs = 1_000;

export const cutover: Bench = async (options) => {
  const rounds = options.count("rounds", 50, 5);
  const rows = options.count("rows", 10_000, 2_000);
  const rate = options.rates.at(-1) ?? 1_000;
  // Every fifth is a cutover: it costs a pipeline of its own.
  const cutovers = Math.max(1, Math.floor(rounds / 5));
  await using place = await openPlace(options.logs);
  const figures: Figure[] = [];
  for (const log of place.logs) {
    figures.push(
      ...(await withLine(place, { log, name: `cutover_${log}`, rows, rate }, (line) => rehearsals(line, log, rounds - cutovers, options))),
    );
    for (let n = 1; n <= cutovers; n++) {
      figures.push(
        ...(await withLine(place, { log, name: `cutover_${log}_${n}`, rows, rate }, (line) => measured(line, log, "run", options))),
      );
    }
  }
  return {
    setup: [
      `one-row transactions at ${rate}/s through tailrace/routing; ${rows} orders with two secondary indexes, 1,000 customers with a UNIQUE column`,
      `pause: from the application's last success before to its first after; ${rounds - cutovers} rehearsals and ${cutovers} cutovers a log`,
      place.postgres,
    ],
    tables: [pauses(figures, place.logs), times(figures, place.logs)],
    skipped: place.skipped,
    rounds: figures,
  };
};

function pauses(figures: readonly Figure[], logs: readonly LogKind[]) {
  const rows = logs.flatMap((log) =>
    (["rehearse", "run"] as const).map((kind) => {
      const found = figures.filter((figure) => figure.log === log && figure.kind === kind);
      const seen = found.map(({ pauseMs }) => pauseMs);
      const tool = found.map(({ toolPauseMs }) => toolPauseMs);
      return [
        log,
        kind,
        found.length,
        ...[0.5, 0.99].map((share) => rounded(percentile(seen, share), 0)),
        rounded(Math.max(...seen), 0),
        rounded(median(tool), 0),
      ];
    }),
  );
  return { title: "write pause, ms", columns: ["log", "kind", "n", "p50", "p99", "most", "tool p50"], rows };
}

function times(figures: readonly Figure[], logs: readonly LogKind[]) {
  const rows = logs.flatMap((log) =>
    steps.map((step) => {
      const found = figures.filter((figure) => figure.log === log).flatMap((figure) => figure.steps[step] ?? []);
      return [log, step, found.length, rounded(percentile(found, 0.5), 1), rounded(percentile(found, 0.99), 1)];
    }),
  );
  return { title: "time per step, ms", columns: ["log", "step", "n", "p50", "p99"], rows };
}

async function withLine<T>(
  place: BenchPlace,
  { log, name, rows, rate }: { readonly log: LogKind; readonly name: string; readonly rows: number; readonly rate: number },
  work: (line: Line) => Promise<T>,
): Promise<T> {
  const file = join(place.folder, `${name}.db`);
  fillOrders(file, rows, true);
  const database = openApplication(file);
  database.exec("CREATE TABLE customers (id INTEGER PRIMARY KEY, email TEXT NOT NULL UNIQUE)");
  database.exec(
    "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000) INSERT INTO customers SELECT i, 'c' || i || '@example.net' FROM n",
  );
  database.close();
  await using pipeline = await BenchPipeline.make(place, { name, log, file });
  return await pipeline.run(["source", "sink", "reverse"], async () => {
    await pipeline.until("everything is there", ({ phase }) => phase === "streaming");
    const writer = await Writer.start(file, pipeline, { rate, rows });
    await sleep(settleMs);
    try {
      return await work({ pipeline, writer });
    } finally {
      await writer.stop();
    }
  });
}

async function rehearsals(line: Line, log: LogKind, count: number, options: BenchOptions): Promise<readonly Figure[]> {
  const figures: Figure[] = [];
  for (let n = 1; n <= count; n++) figures.push(...(await measured(line, log, "rehearse", options)));
  return figures;
}

async function measured({ pipeline, writer }: Line, log: LogKind, kind: Figure["kind"], { say }: BenchOptions): Promise<readonly Figure[]> {
  writer.mark();
  const { code, stdout, stderr } = await pipeline.verb(
    "cutover",
    kind,
    "--json",
    "--progress",
    "json",
    "--max-pause",
    "20s",
    "--max-lag",
    "10s",
  );
  if (code !== 0) throw new Error(`cutover ${kind} ended with ${code}: ${stdout}${stderr}`);
  // Until it has gone on.
  await sleep(300);
  const { pauseMs } = await writer.report();
  const { pauseMs: toolPauseMs } = JSON.parse(stdout) as { pauseMs: number };
  const events = stderr.split("\n").flatMap((text) => (text.startsWith('{"event":"step"') ? [JSON.parse(text) as StepEvent] : []));
  const ended = events.flatMap(({ step, ms }): readonly [string, number][] => (ms === undefined ? [] : [[step, ms]]));
  say(`${log} ${kind}: the application waited ${rounded(pauseMs, 0)} ms, the tool says ${rounded(toolPauseMs, 0)} ms`);
  return [{ log, kind, pauseMs, toolPauseMs, steps: Object.fromEntries(ended) }];
}

interface StepEvent {
  readonly step: string;
  readonly ms?: number;
}

class Writer {
  private constructor(private readonly child: ChildProcess) {}

  static async start(
    file: string,
    pipeline: BenchPipeline,
    { rate, rows }: { readonly rate: number; readonly rows: number },
  ): Promise<Writer> {
    const program = fileURLToPath(new URL("./cutover-writer.js", import.meta.url));
    const child = fork(program, [file, pipeline.name, String(rate), String(rows)], { env: { ...process.env, BENCH_URL: pipeline.url } });
    await once(child, "message");
    return new Writer(child);
  }

  mark(): void {
    this.child.send("mark");
  }

  async report(): Promise<PauseSeen> {
    const answer = once(this.child, "message");
    this.child.send("report");
    return ((await answer) as [PauseSeen])[0];
  }

  async stop(): Promise<void> {
    if (!this.child.connected) return;
    const ended = once(this.child, "exit");
    this.child.send("stop");
    await ended;
  }
}
