/**
 * One table from SQLite to PostgreSQL: services started, snapshot, end cut committed. Against COPY of a file that was prepared before (PostgreSQL's
 * own limit with the same table), and pgloader where it is installed.
 */
import { execFile } from "node:child_process";
import { copyFileSync, createReadStream } from "node:fs";
import { join } from "node:path";
import { pipeline as pipe } from "node:stream/promises";
import { promisify } from "node:util";
import { from as copyFrom } from "pg-copy-streams";
import type { Bench, BenchOptions } from "./options.js";
import { fillOrders, writeCopyFile } from "./orders.js";
import { BenchPipeline } from "./pipeline.js";
import { type BenchPlace, connect, findProgram, openPlace } from "./place.js";
import { CpuMeter, memoryMiB, treeCpuUs } from "./process-figures.js";
import { median, rounded, spread, turns } from "./report.js";

interface Figure {
  readonly variant: string;
  readonly round: number;
  readonly seconds: number;
  readonly rowsPerSecond: number;
  /** µs per row, by process. */
  readonly cpu: Readonly<Record<string, number>>;
  readonly rssMiB: Readonly<Record<string, number>>;
}
interface Stage {
  readonly place: BenchPlace;
  readonly rows: number;
  readonly database: string;
  readonly copyFile: string;
  readonly profile: string | null;
}
type Measure = (stage: Stage, round: number) => Promise<Figure>;

const run = promisify(execFile);

export const snapshot: Bench = async (options) => {
  const rounds = options.count("rounds", 3, 2);
  const rows = options.count("rows", 1_000_000, 200_000);
  await using place = await openPlace(options.logs);
  const stage: Stage = {
    place,
    rows,
    database: join(place.folder, "orders.db"),
    copyFile: join(place.folder, "orders.copy"),
    profile: options.profile,
  };
  options.say(`making ${rows} rows`);
  fillOrders(stage.database, rows, false);
  await writeCopyFile(stage.copyFile, rows);
  const { variants, skipped } = await variantsOf(options, place);
  const figures: Figure[] = [];
  for (let round = 1; round <= rounds; round++) {
    for (const [name, measure] of turns([...variants], round)) {
      const figure = await measure(stage, round);
      figures.push(figure);
      options.say(`round ${round} of ${rounds}: ${name} ${rounded(figure.rowsPerSecond, 0)} rows/s`);
    }
  }
  return {
    setup: [
      `${rows} rows of 8 columns, primary key present at the target; ${rounds} rounds, variants in turn`,
      "time: from the start of both services' processes to the commit of the snapshot's end; for copy and pgloader the whole command",
      place.postgres,
    ],
    tables: [tableOf(figures, [...variants.keys()])],
    skipped: [...place.skipped, ...skipped],
    rounds: figures,
  };
};

async function variantsOf(
  options: BenchOptions,
  place: BenchPlace,
): Promise<{ readonly variants: ReadonlyMap<string, Measure>; readonly skipped: readonly string[] }> {
  const variants = new Map<string, Measure>();
  const skipped: string[] = [];
  const psql = await findProgram("psql");
  const pgloader = await findProgram("pgloader");
  variants.set("copy", psql === null ? copyThroughNode : copyThroughPsql(psql));
  for (const log of place.logs) variants.set(log, (stage, round) => throughLog(stage, round, log));
  if (pgloader === null) skipped.push("pgloader: not installed");
  else variants.set("pgloader", throughPgloader(pgloader));
  if (options.only !== null) for (const name of variants.keys()) if (!options.only.includes(name)) variants.delete(name);
  return { variants, skipped };
}

function tableOf(figures: readonly Figure[], names: readonly string[]) {
  const of = (variant: string): readonly Figure[] => figures.filter((figure) => figure.variant === variant);
  const copyIn = (round: number): number => of("copy").find((figure) => figure.round === round)?.rowsPerSecond ?? Number.NaN;
  const cell = (found: readonly Figure[], what: "cpu" | "rssMiB", process: string, digits: number): string | null => {
    const values = found.flatMap((figure) => figure[what][process] ?? []);
    return values.length === 0 ? null : rounded(median(values), digits);
  };
  return {
    title: "snapshot: rows/s, part of COPY's rate in the same round, CPU µs per row, peak RSS",
    columns: ["through", "rows/s", "of copy", "client µs", "source µs", "sink µs", "postgres µs", "broker µs", "source MiB", "sink MiB"],
    rows: names.map((name) => {
      const found = of(name);
      return [
        name,
        spread(
          found.map((figure) => figure.rowsPerSecond),
          0,
        ),
        spread(found.map((figure) => figure.rowsPerSecond / copyIn(figure.round))),
        ...["client", "source", "sink", "postgres", "broker"].map((process) => cell(found, "cpu", process, 2)),
        ...["source", "sink"].map((process) => cell(found, "rssMiB", process, 0)),
      ];
    }),
  };
}

async function throughLog({ place, rows, database, profile }: Stage, round: number, log: "embedded" | "kafka"): Promise<Figure> {
  const name = `snapshot_${log}_${round}`;
  const file = join(place.folder, `${name}.db`);
  copyFileSync(database, file);
  await using pipeline = await BenchPipeline.make(place, { name, log, file, profile });
  const began = performance.now();
  const pids = new Map([
    ["source", pipeline.start("source")],
    ["sink", pipeline.start("sink")],
    ["postgres", place.postgresPid],
    ...(place.kafka === null || log !== "kafka" ? [] : ([["broker", place.kafka.pid()]] as const)),
  ]);
  // Processes that have just been started have used nothing worth mentioning yet.
  const meter = new CpuMeter(pids);
  await pipeline.until("the snapshot ends", ({ phase }) => phase === "streaming", 20);
  const seconds = (performance.now() - began) / 1000;
  const cpu = meter.perRow(rows);
  const rssMiB = { source: memoryMiB(pipeline.pid("source")).most, sink: memoryMiB(pipeline.pid("sink")).most };
  const { rows: found } = await pipeline.client.query<{ n: string }>("SELECT count(*) AS n FROM public.orders");
  if (Number(found[0]?.n) !== rows) throw new Error(`${found[0]?.n ?? 0} rows arrived, not ${rows}`);
  return { variant: log, round, seconds, rowsPerSecond: rows / seconds, cpu, rssMiB };
}

/** The target as Tailrace makes it, without Tailrace. */
const targetDdl =
  "CREATE TABLE orders (id bigint PRIMARY KEY, customer_id bigint, sku text, qty bigint, price double precision, status text, updated_at bigint, note text)";

async function copied(stage: Stage, round: number, work: (url: string) => Promise<number>): Promise<Figure> {
  const { place, rows } = stage;
  const url = await place.database(`copy_${round}`);
  const client = await connect(url);
  await client.query(targetDdl);
  const meter = new CpuMeter(new Map([["postgres", place.postgresPid]]));
  const began = performance.now();
  const clientUs = await work(url);
  const seconds = (performance.now() - began) / 1000;
  const cpu = { ...meter.perRow(rows), client: clientUs / rows };
  await client.end();
  return { variant: "copy", round, seconds, rowsPerSecond: rows / seconds, cpu, rssMiB: {} };
}

const copyThroughPsql =
  (psql: string): Measure =>
  (stage, round) =>
    copied(stage, round, async (url) => {
      const before = process.resourceUsage();
      const ended = treeCpuUs(process.pid);
      await run(psql, [url, "-q", "-c", `\\copy orders from '${stage.copyFile}'`]);
      const after = process.resourceUsage();
      return treeCpuUs(process.pid) - ended - (after.userCPUTime + after.systemCPUTime - before.userCPUTime - before.systemCPUTime);
    });

const copyThroughNode: Measure = (stage, round) =>
  copied(stage, round, async (url) => {
    const client = await connect(url);
    const before = process.cpuUsage();
    await pipe(createReadStream(stage.copyFile, { highWaterMark: 1 << 20 }), client.query(copyFrom("COPY orders FROM STDIN")));
    const { user, system } = process.cpuUsage(before);
    await client.end();
    return user + system;
  });

const throughPgloader =
  (pgloader: string): Measure =>
  async ({ place, rows, database }, round) => {
    const url = await place.database(`pgloader_${round}`);
    const meter = new CpuMeter(new Map([["postgres", place.postgresPid]]));
    const began = performance.now();
    await run(pgloader, ["--with", "workers = 2", `sqlite://${database}`, url]);
    const seconds = (performance.now() - began) / 1000;
    return { variant: "pgloader", round, seconds, rowsPerSecond: rows / seconds, cpu: meter.perRow(rows), rssMiB: {} };
  };
