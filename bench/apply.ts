/**
 * Streaming apply: a backlog that lies in the log is drained by the sink, against PostgreSQL's own limit for the same changes in windows of the same
 * size, in the same database, on a table with the same rows and indexes. The source does not run meanwhile.
 */
import { join } from "node:path";
import { applyCeiling, ceilingDdl, windowsOf } from "./ceiling.js";
import { OrderChanges, write } from "./changes.js";
import type { Bench, LogKind } from "./options.js";
import { fillOrders, openApplication } from "./orders.js";
import { BenchPipeline } from "./pipeline.js";
import { type BenchPlace, connect, openPlace } from "./place.js";
import { CpuMeter, memoryMiB } from "./process-figures.js";
import { median, rounded, spread, turns } from "./report.js";

interface Figure {
  readonly log: LogKind;
  readonly variant: "sink" | "ceiling";
  readonly round: number;
  readonly changesPerSecond: number;
  readonly cpu: Readonly<Record<string, number>>;
  readonly rssMiB: number | null;
  readonly windows: number | null;
}
interface Sizes {
  readonly rows: number;
  readonly changes: number;
  readonly perTransaction: number;
  readonly rounds: number;
}

/** The sink's own limit for merging cuts into one window. */
const windowChanges = 20_000;

export const apply: Bench = async (options) => {
  const sizes: Sizes = {
    rows: options.count("rows", 500_000),
    changes: options.count("changes", 300_000),
    perTransaction: options.count("transaction", 10),
    rounds: options.count("rounds", 3),
  };
  await using place = await openPlace(options.logs);
  const figures: Figure[] = [];
  for (const log of place.logs) figures.push(...(await ofLog(place, { log, sizes, profile: options.profile, say: options.say })));
  return {
    setup: [
      `${sizes.changes} changes a round (70/20/10 update/insert/delete, ${sizes.perTransaction} per transaction) to ${sizes.rows} rows of 8 columns with two secondary indexes; ${sizes.rounds} rounds, sink and ceiling in turn`,
      `ceiling: the same changes, folded and encoded beforehand, ${windowChanges} per window by unnest; vacuum and checkpoint before each measurement`,
      place.postgres,
    ],
    tables: [tableOf(figures, place.logs, sizes.changes)],
    skipped: place.skipped,
    rounds: figures,
  };
};

interface Options {
  readonly log: LogKind;
  readonly sizes: Sizes;
  readonly profile: string | null;
  readonly say: (text: string) => void;
}

async function ofLog(place: BenchPlace, { log, sizes, profile, say }: Options): Promise<readonly Figure[]> {
  const file = join(place.folder, `apply-${log}.db`);
  fillOrders(file, sizes.rows, true);
  await using pipeline = await BenchPipeline.make(place, { name: `apply_${log}`, log, file, profile });
  const application = openApplication(file);
  const changes = new OrderChanges(sizes.rows);
  const figures: Figure[] = [];
  try {
    say(`${log}: first snapshot of ${sizes.rows} rows`);
    await pipeline.run(["source", "sink"], async () => {
      await pipeline.until("the snapshot ends", ({ phase }) => phase === "streaming", 50);
    });
    for (const sql of ceilingDdl) await pipeline.client.query(sql);
    for (let round = 1; round <= sizes.rounds; round++) {
      const taken = changes.take(sizes.changes);
      const last = await backlog(pipeline, application, () => write(application, taken, sizes.perTransaction));
      const windows = windowsOf(taken, windowChanges);
      for (const variant of turns(["sink", "ceiling"] as const, round)) {
        await settle(pipeline);
        const figure =
          variant === "sink" ? await drained(place, pipeline, sizes.changes, last) : await ceiling(place, pipeline, sizes.changes, windows);
        figures.push({ ...figure, log, variant, round });
        say(`${log}: round ${round} of ${sizes.rounds}: ${variant} ${rounded(figure.changesPerSecond, 0)} changes/s`);
      }
      await refuseDifference(pipeline);
    }
  } finally {
    application.close();
  }
  return figures;
}

/** Writes, and has the source put all of it into the log. Returns the newest row of the capture log. */
async function backlog(pipeline: BenchPipeline, application: ReturnType<typeof openApplication>, work: () => void): Promise<number> {
  let last = 0;
  await pipeline.run(["source"], async () => {
    work();
    last = Number(application.prepare("SELECT max(seq) FROM _cdc_log").pluck().get());
    await pipeline.untilRelayed(last);
  });
  return last;
}

async function settle({ client }: BenchPipeline): Promise<void> {
  for (const sql of ["VACUUM ANALYZE public.orders", "VACUUM ANALYZE ceiling.orders", "CHECKPOINT"]) await client.query(sql);
}

type Measured = Pick<Figure, "changesPerSecond" | "cpu" | "rssMiB" | "windows">;

/** From the moment the sink owns the target to the commit of the last change. */
async function drained(place: BenchPlace, pipeline: BenchPipeline, changes: number, last: number): Promise<Measured> {
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

async function ceiling(
  place: BenchPlace,
  pipeline: BenchPipeline,
  changes: number,
  windows: ReturnType<typeof windowsOf>,
): Promise<Measured> {
  const client = await connect(pipeline.url, true);
  const meter = new CpuMeter(new Map([["postgres", place.postgresPid]]));
  const began = performance.now();
  await applyCeiling(client, windows);
  const seconds = (performance.now() - began) / 1000;
  const cpu = meter.perRow(changes);
  await client.end();
  return { changesPerSecond: changes / seconds, cpu, rssMiB: null, windows: windows.length };
}

/** Both tables had the same changes: a figure for other work than it says is worth nothing. */
async function refuseDifference({ client }: BenchPipeline): Promise<void> {
  const { rows } = await client.query<{ n: string }>(
    "SELECT count(*) AS n FROM public.orders FULL JOIN ceiling.orders AS c USING (id) WHERE (orders.*) IS DISTINCT FROM (c.*)",
  );
  if (rows[0]?.n !== "0") throw new Error(`${rows[0]?.n ?? "?"} rows differ between sink and ceiling`);
}

function tableOf(figures: readonly Figure[], logs: readonly LogKind[], changes: number) {
  const of = (log: LogKind, variant: string): readonly Figure[] => figures.filter((f) => f.log === log && f.variant === variant);
  const cell = (found: readonly Figure[], process: string): string | null => {
    const values = found.flatMap((figure) => figure.cpu[process] ?? []);
    return values.length === 0 ? null : rounded(median(values), 1);
  };
  return {
    title: "streaming apply: changes/s, part of the ceiling in the same round, CPU µs per change",
    columns: ["what", "changes/s", "of ceiling", "sink µs", "postgres µs", "together µs", "changes per window", "sink MiB"],
    rows: logs.flatMap((log) =>
      (["sink", "ceiling"] as const).map((variant) => {
        const found = of(log, variant);
        const limits = of(log, "ceiling").toSorted((a, b) => a.round - b.round);
        const ratios = found
          .toSorted((a, b) => a.round - b.round)
          .map((f, i) => f.changesPerSecond / (limits[i]?.changesPerSecond ?? Number.NaN));
        const together = found.map(({ cpu }) => (cpu["sink"] ?? 0) + (cpu["postgres"] ?? 0));
        const rss = found.flatMap((figure) => figure.rssMiB ?? []);
        return [
          `${log} log: ${variant}`,
          spread(
            found.map((figure) => figure.changesPerSecond),
            0,
          ),
          spread(ratios),
          cell(found, "sink"),
          cell(found, "postgres"),
          rounded(median(together), 1),
          rounded(median(found.map((figure) => changes / (figure.windows ?? Number.NaN))), 0),
          rss.length === 0 ? null : rounded(median(rss), 0),
        ];
      }),
    ),
  };
}
