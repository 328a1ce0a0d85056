/**
 * DuckDB as a source. Cycles: a table of so many rows, 0.1 % of them changed, side by side or scattered; copy, comparison, CPU and memory of the
 * process that compares. Snapshot: one table to PostgreSQL through the embedded log, against COPY TO csv by DuckDB and COPY by hand.
 */
import { copyFileSync, createReadStream, mkdirSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { pipeline as pipe } from "node:stream/promises";
import { DuckDBInstance } from "@duckdb/node-api";
import { from as copyFrom } from "pg-copy-streams";
import { LiveCopier, type PrivateCopy } from "../connectors/duckdb/copy/live-copy.js";
import { removeDatabase } from "../connectors/duckdb/copy/private-file.js";
import type { DuckTable } from "../connectors/duckdb/duck-table.js";
import { defaultMemoryMb } from "../connectors/duckdb/duckdb-source.js";
import type { CycleAnswer } from "../connectors/duckdb/engine/engine.js";
import { EngineProcess } from "../connectors/duckdb/engine/engine-process.js";
import { systemClock } from "../core/clock.js";
import { schemaVersion, tableId, theGroup } from "../core/vocabulary/ids.js";
import type { Bench } from "./options.js";
import { BenchPipeline } from "./pipeline.js";
import { type BenchPlace, connect, openPlace } from "./place.js";
import { CpuMeter, memoryMiB, treeCpuUs } from "./process-figures.js";
import { rounded } from "./report.js";

const memoryMb = defaultMemoryMb;
const never = new AbortController().signal;
const columns = {
  id: "BIGINT",
  c1: "INTEGER",
  c2: "VARCHAR",
  c3: "DECIMAL(18,4)",
  c4: "TIMESTAMP",
  c5: "DATE",
  c6: "DOUBLE",
  c7: "VARCHAR",
} as const;
const classes = {
  BIGINT: "integer",
  INTEGER: "integer",
  VARCHAR: "text",
  "DECIMAL(18,4)": "decimal",
  TIMESTAMP: "integer",
  DATE: "integer",
  DOUBLE: "real",
} as const;

interface CycleFigure {
  readonly rows: number;
  readonly what: string;
  readonly copyMs: number;
  readonly compareMs: number;
  readonly changes: number;
  readonly cpuSecondsPerMillion: number;
  readonly peakMiB: number;
}

export const duckdb: Bench = async (options) => {
  const largest = options.count("rows", 20_000_000, 1_000_000);
  const sizes = [1_000_000, 5_000_000, 20_000_000].filter((rows) => rows <= largest);
  const snapshotRows = Math.min(largest, 1_000_000);
  await using place = await openPlace(["embedded"]);
  const figures: CycleFigure[] = [];
  const wants = (name: string): boolean => options.only === null || options.only.includes(name);
  for (const rows of wants("cycle") ? sizes : []) {
    for (const figure of await cycles(place.folder, rows)) {
      figures.push(figure);
      options.say(`${rows} rows, ${figure.what}: copy ${rounded(figure.copyMs, 0)} ms, compare ${rounded(figure.compareMs, 0)} ms`);
    }
  }
  const snapshots = wants("snapshot") ? await snapshot(place, snapshotRows) : [];
  return {
    setup: [
      `cycles: 8 columns, DuckDB's memory_limit ${memoryMb} MB, 2 threads; the file is free while it is copied`,
      `snapshot: ${snapshotRows} rows, from the start of both services' processes to the commit of the snapshot's end`,
      place.postgres,
    ],
    tables: [
      {
        title: "cycles: time, CPU seconds per million rows of the table, peak RSS of the comparing process",
        columns: ["rows", "what", "copy ms", "compare ms", "changes", "cpu s/1M", "peak MiB"],
        rows: figures.map((f) => [
          rounded(f.rows, 0),
          f.what,
          rounded(f.copyMs, 0),
          rounded(f.compareMs, 0),
          rounded(f.changes, 0),
          rounded(f.cpuSecondsPerMillion, 2),
          rounded(f.peakMiB, 0),
        ]),
      },
      {
        title: "snapshot",
        columns: ["through", "rows/s", "source µs", "sink µs", "postgres µs", "source MiB", "sink MiB"],
        rows: snapshots,
      },
    ],
    skipped: [],
    rounds: figures,
  };
};

async function fill(path: string, rows: number): Promise<void> {
  await change(
    path,
    `CREATE TABLE t AS SELECT range AS id, (hash(range) % 1000000)::INTEGER AS c1, 'customer ' || (hash(range + 1) % 500000) AS c2,
       ((hash(range + 2) % 100000000) / 10000)::DECIMAL(18,4) AS c3, TIMESTAMP '2024-01-01' + to_seconds((hash(range + 3) % 30000000)::BIGINT) AS c4,
       DATE '2020-01-01' + (hash(range + 4) % 2000)::INTEGER AS c5, (hash(range + 5) % 1000000) / 7.0 AS c6, md5(range::VARCHAR) AS c7
     FROM range(${rows})`,
  );
}

/** As an application that opens the file, writes and closes it. */
async function change(path: string, sql: string): Promise<void> {
  const instance = await DuckDBInstance.create(path, { memory_limit: "2GB", threads: "2" });
  const connection = await instance.connect();
  await connection.run(sql);
  await connection.run("CHECKPOINT");
  connection.closeSync();
  instance.closeSync();
}

async function cycles(folder: string, rows: number): Promise<readonly CycleFigure[]> {
  const directory = join(folder, `cycle-${rows}`);
  const path = join(directory, "t.duckdb");
  mkdirSync(join(directory, "copies"), { recursive: true });
  await fill(path, rows);
  const copier = new LiveCopier({ path, directory: join(directory, "copies"), clock: systemClock, bytesPerSecond: null });
  await using engine = new EngineProcess({ kind: "compare", clock: systemClock, memoryMb });
  await engine.call("open", [{ options: { directory, memoryMb, threads: 2 }, tables: [table] }], never);
  const figures: CycleFigure[] = [];
  let order = 1;
  let before: PrivateCopy | null = null;
  const tenth = Math.round(rows / 1_000);
  const steps = [
    ["first state", null],
    ["0.1 % side by side", `UPDATE t SET c1 = c1 + 1, c2 = 'changed ' || id WHERE id >= ${rows / 2} AND id < ${rows / 2 + tenth}`],
    ["0.1 % scattered", "UPDATE t SET c1 = c1 + 1, c2 = 'changed again ' || id WHERE hash(id + 7) % 1000 = 0"],
    ["nothing", "CREATE TABLE IF NOT EXISTS other (x INTEGER)"],
  ] as const;
  for (const [what, sql] of steps) {
    if (sql !== null) await change(path, sql);
    const copy: PrivateCopy | null = await copier.take(before, never);
    if (copy === null) throw new Error("the file did not change");
    const cpu = treeCpuUs(engine.pid ?? 0);
    const beganMs = performance.now();
    await engine.call("attach", [{ path: copy.path }], never);
    const establish = before === null ? [1] : [];
    const cycle = {
      compare: before === null ? [] : [1],
      establish,
      doubtAbove: null,
      firstOrder: order,
      changesMax: 2_000_000,
      frozen: null,
    };
    const answer: CycleAnswer = await engine.call("cycle", [cycle], never);
    const compareMs = performance.now() - beganMs;
    order = answer.lastOrder + 1;
    if (before !== null) removeDatabase(before.path);
    before = copy;
    figures.push({
      rows,
      what: `${what} (${Math.round(statSync(path).size / 1e6)} MB)`,
      copyMs: copy.tookMs,
      compareMs,
      changes: answer.changes.reduce((sum, { count }) => sum + count, 0),
      cpuSecondsPerMillion: (treeCpuUs(engine.pid ?? 0) - cpu) / rows,
      peakMiB: memoryMiB(engine.pid ?? 0).most,
    });
  }
  rmSync(directory, { recursive: true });
  return figures;
}

const table: DuckTable = {
  number: 1,
  schema: "main",
  name: "t",
  mode: "keyed",
  description: {
    table: tableId("t"),
    group: theGroup,
    schema: schemaVersion(1),
    columns: Object.entries(columns).map(([name, declaredType]) => ({
      name,
      declaredType,
      nullable: name !== "id",
      generated: false,
      classes: [classes[declaredType]],
    })),
    key: [0],
  },
};

async function snapshot(place: BenchPlace, rows: number): Promise<readonly (readonly (string | null)[])[]> {
  const path = join(place.folder, "snapshot.duckdb");
  await fill(path, rows);
  await change(path, "ALTER TABLE t ADD PRIMARY KEY (id)");
  const file = join(place.folder, "snapshot-live.duckdb");
  copyFileSync(path, file);
  await using pipeline = await BenchPipeline.make(place, { name: "duckdb_snapshot", log: "embedded", file, kind: "duckdb" });
  const began = performance.now();
  const pids = new Map([
    ["source", pipeline.start("source")],
    ["sink", pipeline.start("sink")],
    ["postgres", place.postgresPid],
  ]);
  const meter = new CpuMeter(pids);
  await pipeline.until("the snapshot ends", ({ phase }) => phase === "streaming", 20);
  const seconds = (performance.now() - began) / 1000;
  const cpu = meter.perRow(rows);
  const { rows: found } = await pipeline.client.query<{ n: string }>("SELECT count(*) AS n FROM public.t");
  if (Number(found[0]?.n) !== rows) throw new Error(`${found[0]?.n ?? 0} rows arrived, not ${rows}`);
  const rss = (role: "source" | "sink"): string => rounded(memoryMiB(pipeline.pid(role)).most, 0);
  const ours = [
    "tailrace, embedded log",
    rounded(rows / seconds, 0),
    ...["source", "sink", "postgres"].map((p) => rounded(cpu[p] ?? 0, 2)),
    rss("source"),
    rss("sink"),
  ];
  return [ours, await byHand(place, path, rows)];
}

async function byHand(place: BenchPlace, path: string, rows: number): Promise<readonly (string | null)[]> {
  const url = await place.database("duckdb_by_hand");
  const client = await connect(url);
  await client.query(
    "CREATE TABLE t (id bigint PRIMARY KEY, c1 integer, c2 text, c3 numeric(18,4), c4 timestamp, c5 date, c6 double precision, c7 text)",
  );
  const csv = join(place.folder, "by-hand.csv");
  const meter = new CpuMeter(new Map([["postgres", place.postgresPid]]));
  const began = performance.now();
  await change(path, `COPY t TO '${csv}' (FORMAT csv, HEADER false)`);
  await pipe(createReadStream(csv, { highWaterMark: 1 << 20 }), client.query(copyFrom("COPY t FROM STDIN (FORMAT csv)")));
  const seconds = (performance.now() - began) / 1000;
  const cpu = meter.perRow(rows);
  await client.end();
  return ["COPY TO csv, COPY FROM", rounded(rows / seconds, 0), null, null, rounded(cpu.postgres ?? 0, 2), null, null];
}
