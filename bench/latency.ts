/**
 * Commit in SQLite ▸ visible in PostgreSQL, with everything running: an application at a steady rate, source, log, sink, and an onlooker that
 * asks PostgreSQL again and again for the newest row. Rounds of the logs and rates take turns.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import type pg from "pg";
import type { Commits } from "./latency-writer.js";
import type { Bench, LogKind } from "./options.js";
import { fillOrders } from "./orders.js";
import { BenchPipeline } from "./pipeline.js";
import { type BenchPlace, connect, openPlace } from "./place.js";
import { CpuMeter } from "./process-figures.js";
import { median, percentile, rounded, spread, turns } from "./report.js";

interface Figure {
  readonly log: LogKind;
  readonly rate: number;
  readonly round: number;
  readonly commits: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly mostMs: number;
  /** µs per commit. */
  readonly cpu: Readonly<Record<string, number>>;
  /** Part of a core, in percent. */
  readonly core: Readonly<Record<string, number>>;
}
interface Line {
  readonly log: LogKind;
  readonly pipeline: BenchPipeline;
  readonly file: string;
  nextId: number;
}

const warmUpSeconds = 5;
const preloaded = 10_000;
const lookEveryMs = 1;

export const latency: Bench = async (options) => {
  const rounds = options.count("rounds", 3, 1);
  const seconds = options.count("seconds", 15, 6);
  await using place = await openPlace(options.logs);
  const figures: Figure[] = [];
  const open: Line[] = [];
  for (const log of place.logs) open.push(await openLine(place, log, options.profile));
  const variants = open.flatMap((line) => options.rates.map((rate) => ({ line, rate })));
  try {
    for (let round = 1; round <= rounds; round++) {
      for (const { line, rate } of turns(variants, round)) {
        const figure = await line.pipeline.run(["source", "sink"], () => measured(place, line, { rate, seconds, round }));
        figures.push(figure);
        const found = rate === 0 ? "" : `: p50 ${rounded(figure.p50Ms, 1)} ms, p99 ${rounded(figure.p99Ms, 1)} ms`;
        options.say(`round ${round} of ${rounds}: ${line.log} ${rate}/s${found}`);
      }
    }
  } finally {
    for (const { pipeline } of open) await pipeline[Symbol.asyncDispose]();
  }
  return {
    setup: [
      `one-row transactions at a steady rate for ${warmUpSeconds} + ${seconds} s: the first ${warmUpSeconds} s of each measurement (fresh processes) are warm-up and dropped, of CPU as well; ${rounds} rounds, rates and logs in turn`,
      `the onlooker asks every ${lookEveryMs} ms: about a millisecond of each figure is its own`,
      place.postgres,
    ],
    tables: [
      tableOf(
        figures,
        variants.map(({ line, rate }) => ({ log: line.log, rate })),
      ),
    ],
    skipped: place.skipped,
    rounds: figures,
  };
};

function tableOf(figures: readonly Figure[], variants: readonly { readonly log: LogKind; readonly rate: number }[]) {
  return {
    title: "commit ▸ visible: ms, median (least-most) of the rounds; CPU µs per commit, and part of a core",
    columns: [
      "log",
      "transactions/s",
      "p50 ms",
      "p99 ms",
      "most ms",
      "source µs",
      "sink µs",
      "postgres µs",
      "broker µs",
      "source %",
      "sink %",
    ],
    rows: variants.map(({ log, rate }) => {
      const found = figures.filter((figure) => figure.log === log && figure.rate === rate);
      const cpu = (process: string): string | null => {
        const values = found.flatMap((figure) => figure.cpu[process] ?? []);
        return values.length === 0 || rate === 0 ? null : rounded(median(values), 0);
      };
      const core = (process: string): string => rounded(median(found.map((figure) => figure.core[process] ?? Number.NaN)), 1);
      const ms = (values: readonly number[], digits: number): string | null => (rate === 0 ? null : spread(values, digits));
      return [
        log,
        rate,
        ms(
          found.map((figure) => figure.p50Ms),
          1,
        ),
        ms(
          found.map((figure) => figure.p99Ms),
          1,
        ),
        ms(
          found.map((figure) => figure.mostMs),
          0,
        ),
        cpu("source"),
        cpu("sink"),
        cpu("postgres"),
        cpu("broker"),
        core("source"),
        core("sink"),
      ];
    }),
  };
}

async function openLine(place: BenchPlace, log: LogKind, profile: string | null): Promise<Line> {
  const file = join(place.folder, `latency-${log}.db`);
  fillOrders(file, preloaded, true);
  const pipeline = await BenchPipeline.make(place, { name: `latency_${log}`, log, file, profile });
  return { log, pipeline, file, nextId: preloaded + 1 };
}

async function measured(
  place: BenchPlace,
  line: Line,
  { rate, seconds, round }: { readonly rate: number; readonly seconds: number; readonly round: number },
): Promise<Figure> {
  const { pipeline, log } = line;
  const firstId = line.nextId;
  const commits = rate * (warmUpSeconds + seconds);
  line.nextId += commits;
  await pipeline.until("everything is there", ({ phase }) => phase === "streaming");
  const onlooker = await connect(pipeline.url);
  const seen = look(onlooker, firstId, commits, () => pipeline.refuseEnded());
  const writing = writer(line.file, [rate, warmUpSeconds + seconds, firstId]);
  await sleep(warmUpSeconds * 1_000);
  const meter = new CpuMeter(
    new Map([
      ["source", pipeline.pid("source")],
      ["sink", pipeline.pid("sink")],
      ["postgres", place.postgresPid],
      ...(log === "kafka" && place.kafka !== null ? ([["broker", place.kafka.pid()]] as const) : []),
    ]),
  );
  const began = performance.now();
  const { atUs } = await writing;
  const seenUs = await seen;
  const cpu = meter.perRow(Math.max(1, rate * seconds));
  const tookUs = (performance.now() - began) * 1_000;
  const core = Object.fromEntries(Object.entries(cpu).map(([name, us]) => [name, (100 * us * Math.max(1, rate * seconds)) / tookUs]));
  await onlooker.end();
  const ms = atUs.map((committed, i) => ((seenUs[i] ?? Number.NaN) - committed) / 1000).slice(rate * warmUpSeconds);
  return {
    log,
    rate,
    round,
    commits: ms.length,
    p50Ms: percentile(ms, 0.5),
    p99Ms: percentile(ms, 0.99),
    mostMs: Math.max(...ms),
    cpu,
    core,
  };
}

async function writer(file: string, words: readonly number[]): Promise<Commits> {
  const program = fileURLToPath(new URL("./latency-writer.js", import.meta.url));
  const child = spawn(process.execPath, [program, file, ...words.map(String)], { stdio: ["ignore", "inherit", "inherit", "ipc"] });
  const [commits] = (await once(child, "message")) as [Commits];
  return commits;
}

/** When each row was there first, on the monotonic clock. Rows become visible in the order of their ids: one transaction each. */
async function look(client: pg.Client, firstId: number, count: number, check: () => void): Promise<readonly number[]> {
  const seenUs: number[] = [];
  while (seenUs.length < count) {
    const { rows } = await client.query<{ newest: string | null }>({ name: "newest", text: "SELECT max(id) AS newest FROM public.orders" });
    const nowUs = Number(process.hrtime.bigint() / 1000n);
    const newest = Number(rows[0]?.newest ?? 0);
    while (firstId + seenUs.length <= newest) seenUs.push(nowUs);
    check();
    await sleep(lookEveryMs);
  }
  return seenUs;
}
