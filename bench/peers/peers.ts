/**
 * Our sink and Debezium's JDBC sink on the very same records: a backlog of changes that our source has put into a topic, in Avro with a registry, is
 * drained by each of them into a table of its own, in turn with PostgreSQL's own limit. Afterwards all tables must hold the same rows, so every run
 * also proves that a sink written for Debezium takes our records as they are.
 */
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { ceilingDdl, windowsOf } from "../ceiling.js";
import { OrderChanges, type OrderChange, write } from "../changes.js";
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
} from "../drain.js";
import type { Bench, BenchOptions } from "../options.js";
import { fillOrders, openApplication, order } from "../orders.js";
import { BenchPipeline } from "../pipeline.js";
import { type BenchPlace, openPlace } from "../place.js";
import { CpuMeter, memoryMiB } from "../process-figures.js";
import { rounded, spread, turns } from "../report.js";
import { JdbcSink, tunings } from "./jdbc-sink.js";
import { jdbcSinkVersion, type PeerParts, peerParts } from "./parts.js";
import { type PeerRegistry, startRegistry } from "./registry.js";

type Variant = "tailrace" | "jdbc-default" | "jdbc-best" | "ceiling";
const all: readonly Variant[] = ["tailrace", "jdbc-default", "jdbc-best", "ceiling"];
interface Figure extends Drained {
  readonly variant: Variant;
  readonly round: number;
}
interface Sizes {
  readonly rows: number;
  readonly changes: number;
  readonly perTransaction: number;
  readonly rounds: number;
}

/** Rows that nothing else touches, first and last of a round: the peer tells nobody how far it is, so its table is asked. */
const marker = (round: number, end: "first" | "last"): number => 9_000_000_000_000 + 2 * round + (end === "first" ? 0 : 1);
const patienceMs = 600_000;

export const peers: Bench = async (options) => {
  const sizes: Sizes = {
    rows: options.count("rows", 500_000, 100_000),
    changes: options.count("changes", 300_000, 60_000),
    perTransaction: options.count("transaction", 10, 10),
    rounds: options.count("rounds", 3, 1),
  };
  const setup = [
    `Debezium JDBC sink ${jdbcSinkVersion} on Kafka Connect with Apicurio's Avro converter and registry, and our sink, on the same records of the same topic: ${sizes.changes} changes a round (70/20/10 update/insert/delete, ${sizes.perTransaction} per transaction) to ${sizes.rows} rows of 8 columns with two secondary indexes; ${sizes.rounds} rounds, in turn, each with a fresh process`,
    "from the first change of the round to the last, as the table shows them: starting the processes is not counted; all tables must be equal afterwards",
    `ceiling: the same changes, folded and encoded beforehand, ${windowChanges} per window by unnest; vacuum and checkpoint before each measurement`,
  ];
  const parts = await peerParts(options.say);
  if ("missing" in parts) return { setup, tables: [], skipped: [`Debezium's JDBC sink: ${parts.missing}`], rounds: [] };
  await using place = await openPlace(["kafka"]);
  if (place.kafka === null) return { setup, tables: [], skipped: place.skipped, rounds: [] };
  await using registry = await startRegistry(parts, place.folder);
  const variants = all.filter((variant) => options.only === null || options.only.includes(variant));
  const figures = await measured({ place, parts, registry, sizes, variants, options });
  const of = (variant: Variant): readonly Figure[] =>
    figures.filter((figure) => figure.variant === variant).toSorted((a, b) => a.round - b.round);
  return {
    setup: [...setup, place.postgres],
    tables: [
      {
        title: "the same Avro topic, drained: changes/s, CPU µs per change; ours over it: rates of the same round",
        columns: ["who", ...drainedColumns, "ours over it"],
        rows: variants.map((variant) => [
          variant,
          ...drainedCells(of(variant), of("ceiling"), sizes.changes),
          spread(of("tailrace").map((ours, i) => ours.changesPerSecond / (of(variant)[i]?.changesPerSecond ?? Number.NaN))),
        ]),
      },
    ],
    skipped: [],
    rounds: figures,
  };
};

interface Stage {
  readonly place: BenchPlace;
  readonly parts: PeerParts;
  readonly registry: PeerRegistry;
  readonly sizes: Sizes;
  readonly variants: readonly Variant[];
  readonly options: BenchOptions;
}

async function measured(stage: Stage): Promise<readonly Figure[]> {
  const { place, registry, sizes, variants, options } = stage;
  const file = join(place.folder, "peers.db");
  fillOrders(file, sizes.rows, true);
  const { confluentUrl } = registry;
  await using pipeline = await BenchPipeline.make(place, {
    name: "peers",
    log: "kafka",
    file,
    registry: confluentUrl,
    profile: options.profile,
  });
  const application = openApplication(file);
  const changes = new OrderChanges(sizes.rows);
  const figures: Figure[] = [];
  try {
    options.say(`first snapshot of ${sizes.rows} rows`);
    await pipeline.run(["source", "sink"], async () => {
      await pipeline.until("the snapshot ends", ({ phase }) => phase === "streaming", 50);
    });
    for (const sql of [...ceilingDdl, ...variants.filter(isPeer).flatMap(peerDdl)]) await pipeline.client.query(sql);
    const tables = ["public.orders", "ceiling.orders", ...variants.filter(isPeer).map(tableOf)];
    for (let round = 1; round <= sizes.rounds; round++) {
      const taken: readonly OrderChange[] = [
        inserted(marker(round, "first")),
        ...changes.take(sizes.changes - 2),
        inserted(marker(round, "last")),
      ];
      const last = await backlog(pipeline, application, () => write(application, taken, sizes.perTransaction));
      const windows = windowsOf(taken, windowChanges);
      for (const variant of turns(variants, round)) {
        await settle(pipeline, tables);
        const drained =
          variant === "tailrace"
            ? await drainedBySink(place, pipeline, sizes.changes, last)
            : variant === "ceiling"
              ? await drainedByCeiling(place, pipeline, sizes.changes, windows)
              : await drainedByPeer(stage, pipeline, { variant, round });
        figures.push({ ...drained, variant, round });
        options.say(`round ${round} of ${sizes.rounds}: ${variant} ${rounded(drained.changesPerSecond, 0)} changes/s`);
      }
      for (const table of tables.slice(1)) if (variants.includes("tailrace")) await refuseDifference(pipeline, table);
    }
  } finally {
    application.close();
  }
  return figures;
}

type PeerVariant = "jdbc-default" | "jdbc-best";
const isPeer = (variant: Variant): variant is PeerVariant => variant === "jdbc-default" || variant === "jdbc-best";
const tableOf = (variant: PeerVariant): string => `${variant.replace("-", "_")}.orders`;
const inserted = (id: number): OrderChange => ({ kind: "insert", id, row: order(id, 0) });

const peerDdl = (variant: PeerVariant): readonly string[] => [
  `CREATE SCHEMA ${variant.replace("-", "_")}`,
  `CREATE TABLE ${tableOf(variant)} (LIKE public.orders INCLUDING ALL)`,
  `INSERT INTO ${tableOf(variant)} SELECT * FROM public.orders`,
];

async function drainedByPeer(
  { place, parts, registry, sizes }: Stage,
  { url, client }: BenchPipeline,
  { variant, round }: { readonly variant: PeerVariant; readonly round: number },
): Promise<Drained> {
  await using sink = await JdbcSink.start(parts, {
    name: variant,
    brokers: place.kafka?.brokers ?? [],
    registryUrl: registry.apicurioUrl,
    topic: "peers.orders",
    table: tableOf(variant),
    url,
    folder: place.folder,
    tuning: tunings[variant === "jdbc-best" ? "best" : "default"],
  });
  const there = async (id: number): Promise<boolean> =>
    (await client.query({ name: `there ${variant}`, text: `SELECT FROM ${tableOf(variant)} WHERE id = $1`, values: [id] })).rowCount === 1;
  const until = async (id: number, everyMs: number): Promise<void> => {
    const deadline = performance.now() + patienceMs;
    for (let looks = 0; !(await there(id)); looks++) {
      if (looks % 50 === 0) await sink.refuseFailed();
      if (performance.now() > deadline) throw new Error(`in vain: row ${id} at ${variant}`);
      await sleep(everyMs);
    }
  };
  await until(marker(round, "first"), 5);
  const meter = new CpuMeter(
    new Map([
      ["sink", sink.pid],
      ["postgres", place.postgresPid],
    ]),
  );
  const began = performance.now();
  await until(marker(round, "last"), 10);
  const seconds = (performance.now() - began) / 1000;
  const cpu = meter.perRow(sizes.changes);
  return { changesPerSecond: sizes.changes / seconds, cpu, rssMiB: memoryMiB(sink.pid).most, windows: null };
}
