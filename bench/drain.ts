/** A backlog that lies in the log, and who drains it: the steps that the measurements of streaming apply share. */
import { applyCeiling, type CeilingWindow } from "./ceiling.js";
import type { openApplication } from "./orders.js";
import type { BenchPipeline } from "./pipeline.js";
import { type BenchPlace, connect } from "./place.js";
import { CpuMeter, memoryMiB } from "./process-figures.js";
import { median, rounded, spread } from "./report.js";

export interface Drained {
  readonly changesPerSecond: number;
  /** µs per change, by process. */
  readonly cpu: Readonly<Record<string, number>>;
  readonly rssMiB: number | null;
  readonly windows: number | null;
}

/** The sink's own limit for merging cuts into one window. */
export const windowChanges = 20_000;

/** Writes, and has the source put all of it into the log. Returns the newest row of the capture log. */
export async function backlog(pipeline: BenchPipeline, application: ReturnType<typeof openApplication>, work: () => void): Promise<number> {
  let last = 0;
  await pipeline.run(["source"], async () => {
    work();
    last = Number(application.prepare("SELECT max(seq) FROM _cdc_log").pluck().get());
    await pipeline.untilRelayed(last);
  });
  return last;
}

/** No variant pays for what the one before it left behind. */
export async function settle({ client }: BenchPipeline, tables: readonly string[]): Promise<void> {
  for (const table of tables) await client.query(`VACUUM ANALYZE ${table}`);
  await client.query("CHECKPOINT");
}

/** From the moment the sink owns the target to the commit of the last change. */
export async function drainedBySink(place: BenchPlace, pipeline: BenchPipeline, changes: number, last: number): Promise<Drained> {
  const { owner } = await pipeline.applied();
  const sink = pipeline.start("sink");
  await pipeline.until("the sink owns the target", (applied) => applied.owner > owner, 2);
  const meter = new CpuMeter(
    new Map([
      ["sink", sink],
      ["postgres", place.postgresPid],
    ]),
  );
  const began = performance.now();
  await pipeline.until("the backlog is applied", ({ order }) => order >= last);
  const seconds = (performance.now() - began) / 1000;
  const cpu = meter.perRow(changes);
  const windows = Number((await pipeline.status("sink"))?.details["windows"] ?? Number.NaN);
  const figure = { changesPerSecond: changes / seconds, cpu, rssMiB: memoryMiB(sink).most, windows };
  await pipeline.stop("sink");
  return figure;
}

export async function drainedByCeiling(
  place: BenchPlace,
  pipeline: BenchPipeline,
  changes: number,
  windows: readonly CeilingWindow[],
): Promise<Drained> {
  const client = await connect(pipeline.url, true);
  const meter = new CpuMeter(new Map([["postgres", place.postgresPid]]));
  const began = performance.now();
  await applyCeiling(client, windows);
  const seconds = (performance.now() - began) / 1000;
  const cpu = meter.perRow(changes);
  await client.end();
  return { changesPerSecond: changes / seconds, cpu, rssMiB: null, windows: windows.length };
}

/** Two tables had the same changes: a figure for other work than it says is worth nothing. */
export async function refuseDifference({ client }: BenchPipeline, other: string): Promise<void> {
  const { rows } = await client.query<{ n: string }>(
    `SELECT count(*) AS n FROM public.orders FULL JOIN ${other} AS c USING (id) WHERE (orders.*) IS DISTINCT FROM (c.*)`,
  );
  if (rows[0]?.n !== "0") throw new Error(`${rows[0]?.n ?? "?"} rows of ${other} are not as our sink left them`);
}

/** One line of the table of drained backlogs. */
export function drainedCells(found: readonly Drained[], ceilings: readonly Drained[], changes: number): readonly (string | null)[] {
  const cpu = (process: string): string | null => {
    const values = found.flatMap((figure) => figure.cpu[process] ?? []);
    return values.length === 0 ? null : rounded(median(values), 1);
  };
  const ratios = found.map((f, i) => f.changesPerSecond / (ceilings[i]?.changesPerSecond ?? Number.NaN));
  const together = found.map((figure) => Object.values(figure.cpu).reduce((sum, us) => sum + us, 0));
  const perWindow = found.flatMap(({ windows }) => (windows === null ? [] : changes / windows));
  const rss = found.flatMap(({ rssMiB }) => rssMiB ?? []);
  return [
    spread(
      found.map((figure) => figure.changesPerSecond),
      0,
    ),
    spread(ratios),
    cpu("sink"),
    cpu("postgres"),
    rounded(median(together), 1),
    perWindow.length === 0 ? null : rounded(median(perWindow), 0),
    rss.length === 0 ? null : rounded(median(rss), 0),
  ];
}
export const drainedColumns = [
  "changes/s",
  "of ceiling",
  "sink µs",
  "postgres µs",
  "together µs",
  "changes per window",
  "sink MiB",
] as const;
