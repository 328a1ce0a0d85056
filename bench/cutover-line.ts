/** A pipeline in full run, with an application that follows its route at a steady rate: what cutovers and rollbacks are measured on. */
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { cutoverStates } from "../core/cutover/states.js";
import type { PauseSeen } from "./cutover-writer.js";
import type { BenchOptions, LogKind } from "./options.js";
import { fillOrders, openApplication } from "./orders.js";
import { BenchPipeline } from "./pipeline.js";
import type { BenchPlace } from "./place.js";
import { percentile, rounded } from "./report.js";

export interface Figure {
  readonly log: LogKind;
  readonly kind: SwitchKind;
  readonly pauseMs: number;
  readonly toolPauseMs: number;
  readonly steps: Readonly<Record<string, number>>;
}
export type SwitchKind = "rehearse" | "run" | "rollback";
export interface Line {
  readonly pipeline: BenchPipeline;
  readonly writer: Writer;
}

const steps = cutoverStates.filter((state) => state !== "done" && state !== "undone");
const settleMs = 1_000;
const goesTo: Readonly<Record<SwitchKind, PauseSeen["side"]>> = { rehearse: "source", run: "target", rollback: "source" };
const words: Readonly<Record<SwitchKind, readonly string[]>> = {
  rehearse: ["cutover", "rehearse", "--max-lag", "10s"],
  run: ["cutover", "run", "--max-lag", "10s"],
  rollback: ["rollback", "run"],
};

export async function withLine<T>(
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

export async function measured(
  { pipeline, writer }: Line,
  log: LogKind,
  kind: SwitchKind,
  { say }: Pick<BenchOptions, "say">,
): Promise<readonly Figure[]> {
  writer.mark();
  const { code, stdout, stderr } = await pipeline.verb(...words[kind], "--json", "--progress", "json", "--max-pause", "60s");
  if (code !== 0) throw new Error(`${kind} ended with ${code}: ${stdout}${stderr}`);
  const { pauseMs } = await goneOn(writer, goesTo[kind]);
  const { pauseMs: toolPauseMs } = JSON.parse(stdout) as { pauseMs: number };
  const events = stderr.split("\n").flatMap((text) => (text.startsWith('{"event":"step"') ? [JSON.parse(text) as StepEvent] : []));
  const ended = events.flatMap(({ step, ms }): readonly [string, number][] => (ms === undefined ? [] : [[step, ms]]));
  say(`${log} ${kind}: the application waited ${rounded(pauseMs, 0)} ms, the tool says ${rounded(toolPauseMs, 0)} ms`);
  return [{ log, kind, pauseMs, toolPauseMs, steps: Object.fromEntries(ended) }];
}

/** A pause has ended when the application has written where it was sent. */
async function goneOn(writer: Writer, side: PauseSeen["side"]): Promise<PauseSeen> {
  for (;;) {
    await sleep(300);
    const seen = await writer.report();
    if (seen.side === side && seen.commits > 0) return seen;
  }
}

interface StepEvent {
  readonly step: string;
  readonly ms?: number;
}

export class Writer {
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

export function stepTimes(figures: readonly Figure[], logs: readonly LogKind[]) {
  const rows = logs.flatMap((log) =>
    steps.map((step) => {
      const found = figures.filter((figure) => figure.log === log).flatMap((figure) => figure.steps[step] ?? []);
      return [log, step, found.length, rounded(percentile(found, 0.5), 1), rounded(percentile(found, 0.99), 1)];
    }),
  );
  return { title: "time per step, ms", columns: ["log", "step", "n", "p50", "p99"], rows };
}
