/**
 * Streaming apply: a backlog that lies in the log is drained by the sink, against PostgreSQL's own limit for the same changes in windows of the same
 * size, in the same database, on a table with the same rows and indexes. The source does not run meanwhile.
 */
import { join } from "node:path";
import { ceilingDdl, windowsOf } from "./ceiling.js";
import { OrderChanges, write } from "./changes.js";
import {
  backlog,
  type Drained,
  drainedByCeiling,
  drainedBySink,
  drainedCells,
  drainedColumns,
  refuseDifference,
  settle,
  windowChanges,
} from "./drain.js";
import type { Bench, BenchOptions, LogKind } from "./options.js";
import { fillOrders, openApplication } from "./orders.js";
import { BenchPipeline } from "./pipeline.js";
import { type BenchPlace, openPlace } from "./place.js";
import { rounded, turns } from "./report.js";

type Variant = "sink" | "ceiling";
interface Figure extends Drained {
  readonly log: LogKind;
  readonly variant: Variant;
  readonly round: number;
}
interface Sizes {
  readonly rows: number;
  readonly changes: number;
  readonly perTransaction: number;
  readonly rounds: number;
}

export const apply: Bench = async (options) => {
  const sizes: Sizes = {
    rows: options.count("rows", 500_000, 100_000),
    changes: options.count("changes", 300_000, 60_000),
    perTransaction: options.count("transaction", 10, 10),
    rounds: options.count("rounds", 3, 2),
  };
  await using place = await openPlace(options.logs);
  const figures: Figure[] = [];
  for (const log of place.logs) figures.push(...(await ofLog(place, { log, sizes, options })));
  const of = (log: LogKind, variant: Variant): readonly Figure[] =>
    figures.filter((figure) => figure.log === log && figure.variant === variant).toSorted((a, b) => a.round - b.round);
  return {
    setup: [
      `${sizes.changes} changes a round (70/20/10 update/insert/delete, ${sizes.perTransaction} per transaction) to ${sizes.rows} rows of 8 columns with two secondary indexes; ${sizes.rounds} rounds, sink and ceiling in turn`,
      `ceiling: the same changes, folded and encoded beforehand, ${windowChanges} per window by unnest; vacuum and checkpoint before each measurement`,
      place.postgres,
    ],
    tables: [
      {
        title: "streaming apply: changes/s, part of the ceiling in the same round, CPU µs per change",
        columns: ["what", ...drainedColumns],
        rows: place.logs.flatMap((log) =>
          (["sink", "ceiling"] as const).map((variant) => [
            `${log} log: ${variant}`,
            ...drainedCells(of(log, variant), of(log, "ceiling"), sizes.changes),
          ]),
        ),
      },
    ],
    skipped: place.skipped,
    rounds: figures,
  };
};

async function ofLog(
  place: BenchPlace,
  { log, sizes, options }: { readonly log: LogKind; readonly sizes: Sizes; readonly options: BenchOptions },
): Promise<readonly Figure[]> {
  const { changes: n, perTransaction, rounds, rows } = sizes;
  const file = join(place.folder, `apply-${log}.db`);
  fillOrders(file, rows, true);
  await using pipeline = await BenchPipeline.make(place, { name: `apply_${log}`, log, file, profile: options.profile });
  const application = openApplication(file);
  const changes = new OrderChanges(rows);
  const figures: Figure[] = [];
  try {
    options.say(`${log}: first snapshot of ${rows} rows`);
    await pipeline.run(["source", "sink"], async () => {
      await pipeline.until("the snapshot ends", ({ phase }) => phase === "streaming", 50);
    });
    for (const sql of ceilingDdl) await pipeline.client.query(sql);
    for (let round = 1; round <= rounds; round++) {
      const taken = changes.take(n);
      const last = await backlog(pipeline, application, () => write(application, taken, perTransaction));
      const windows = windowsOf(taken, windowChanges);
      for (const variant of turns(["sink", "ceiling"] as const, round)) {
        await settle(pipeline, ["public.orders", "ceiling.orders"]);
        const drained =
          variant === "sink" ? await drainedBySink(place, pipeline, n, last) : await drainedByCeiling(place, pipeline, n, windows);
        figures.push({ ...drained, log, variant, round });
        options.say(`${log}: round ${round} of ${rounds}: ${variant} ${rounded(drained.changesPerSecond, 0)} changes/s`);
      }
      await refuseDifference(pipeline, "ceiling.orders");
    }
  } finally {
    application.close();
  }
  return figures;
}
