/**
 * Short stories in which a planted bug must show itself. Each ends with every oracle's word; without a bug all of them find nothing, which
 * test/fault/canaries.test.ts holds as well. A story that cannot go on throws, and that is a finding too.
 */
import { copyFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import Database from "better-sqlite3";
import { until } from "../../support/oracles/until.js";
import { alive } from "./faults.js";
import { caughtUp, judge, watch } from "./judge.js";
import { stretched } from "./pace.js";
import type { TestPipeline } from "./pipeline.js";
import { knownPlace } from "./place.js";

export type Scenario = (pipeline: TestPipeline, seed: number) => Promise<readonly string[]>;

const transactions = 250;

export const scenarios = {
  /** No fault at all: the application is hostile enough. */
  "a hostile application": async (pipeline, seed) => {
    await begin(pipeline);
    await using watcher = watch(pipeline);
    watcher.start();
    await pipeline.application.start({ seed, rate: 150, transactions: 2 * transactions, big: 200 });
    await pipeline.application.finished();
    await caughtUp(pipeline);
    return judge(pipeline, { watcher, history: 1 });
  },

  /** The last thing that happens changes no row. */
  "a transaction that changes nothing": async (pipeline, seed) => {
    await begin(pipeline);
    await write(pipeline, seed, 50);
    await caughtUp(pipeline);
    const before = pipeline.newestCaptured();
    sql(
      pipeline,
      "INSERT OR IGNORE INTO person (id, email, handle, version) SELECT 9999, email, 'nobody', 1 FROM person WHERE email IS NOT NULL LIMIT 1",
    );
    if (pipeline.newestCaptured() === before) return ["the scenario is wrong: nothing was logged"];
    await caughtUp(pipeline);
    return judge(pipeline, { history: 1 });
  },

  /** It has a window in hand and is stopped; when it goes on, a successor is far ahead. */
  "a sink that is stopped with a window in hand": async (pipeline, seed) => {
    await begin(pipeline);
    await using watcher = watch(pipeline);
    watcher.start();
    await pipeline.process("sink")?.kill();
    const first = pipeline.start("sink", { point: "sink.commit-before", pass: 2, how: "stop" });
    await pipeline.application.start({ seed, rate: 150, big: 200 });
    await pipeline.stopped(first);
    const before = (await knownPlace(pipeline)).order;
    pipeline.replace("sink");
    const ahead = async (): Promise<boolean> => {
      pipeline.revive();
      return ((await pipeline.place())?.order ?? 0) > before + 500;
    };
    await until(ahead, stretched(30_000), () => `the successor does not take over\n${pipeline.describe()}`);
    await pipeline.application.stop();
    await caughtUp(pipeline);
    first.continue();
    await alive(pipeline, stretched(800));
    await pipeline.bury();
    await caughtUp(pipeline);
    return judge(pipeline, { watcher, history: 1 });
  },

  /** PostgreSQL holds a window up for so long that everything that may be forgotten is forgotten; then the sink dies with its window. */
  "a window that waits, then a kill": async (pipeline, seed) => {
    await begin(pipeline);
    await pipeline.process("sink")?.kill();
    await write(pipeline, seed, transactions);
    await allInLog(pipeline);
    const locker = await pipeline.client();
    try {
      await locker.query("BEGIN; LOCK TABLE public.tx_ledger IN ACCESS EXCLUSIVE MODE");
      pipeline.start("sink");
      await untilOrLate(() => firstInLog(pipeline, "tx_ledger") > 1);
      await pipeline.process("sink")?.kill();
    } finally {
      await locker.end();
    }
    await caughtUp(pipeline);
    return judge(pipeline, { history: 1 });
  },

  /** The sink dies between the parts of what must be one transaction, if it is not one. */
  "a sink that dies at COMMIT": async (pipeline, seed) => {
    await begin(pipeline);
    await pipeline.process("sink")?.kill();
    const sink = pipeline.start("sink", { point: "sink.commit-before", pass: 1 });
    await pipeline.application.start({ seed, rate: 300, transactions, big: 200 });
    await until(
      () => sink.end !== null,
      30_000,
      () => `the sink lives on\n${pipeline.describe()}`,
    );
    await pipeline.application.finished();
    await caughtUp(pipeline);
    return judge(pipeline, { history: 1 });
  },

  /** A table's topic loses its end while the sink is away; the cuts that count on it are still there. */
  "a log that loses the tail of one topic": (pipeline, seed) => loseTail(pipeline, seed, ["account", "tx_ledger"]),

  /** All of it is lost at once, as by a broker that comes back with an older disk. */
  "a log that loses its tail": (pipeline, seed) => loseTail(pipeline, seed, "all"),

  /** It has a request in hand, and the lock does not keep its successor away: as on two machines. */
  "a source that is stopped with a request in hand": async (pipeline, seed) => {
    await begin(pipeline);
    await pipeline.process("source")?.kill();
    const first = pipeline.start("source", { point: "source.produce-before", pass: 3, how: "stop" });
    await pipeline.application.start({ seed, rate: 150, big: 200 });
    await pipeline.stopped(first);
    pipeline.replace("source", { lockLost: true });
    const newest = pipeline.newestCaptured();
    const ahead = async (): Promise<boolean> => {
      pipeline.revive();
      return ((await pipeline.place())?.order ?? 0) >= newest;
    };
    await until(ahead, stretched(30_000), () => `the successor does not take over\n${pipeline.describe()}`);
    first.continue();
    await alive(pipeline, stretched(800));
    await pipeline.application.stop();
    await pipeline.bury();
    await caughtUp(pipeline);
    return judge(pipeline, { history: 1 });
  },

  /** Somebody wrote a row to the target; reading the table again must take it away. */
  "a row too many, then a re-read": async (pipeline, seed) => {
    await begin(pipeline);
    const client = await pipeline.client();
    try {
      await client.query("INSERT INTO public.bulk SELECT 1000000 + n, 1, 'ghost' FROM generate_series(1, 3) AS n");
      await client.query("INSERT INTO public.bulk SELECT -n, 1, 'ghost' FROM generate_series(1, 3) AS n");
    } finally {
      await client.end();
    }
    const asked = await pipeline.tailrace("snapshot", "bulk");
    if (asked.code !== 0) return [`snapshot bulk ended with ${asked.code}: ${asked.stderr}`];
    await write(pipeline, seed, 20);
    await caughtUp(pipeline);
    return judge(pipeline, { history: 1 });
  },

  /** Yesterday's file takes the place of today's, and the application goes on with it. */
  "a restored source": async (pipeline, seed) => {
    await begin(pipeline);
    const yesterday = `${pipeline.file}.yesterday`;
    await backup(pipeline.file, yesterday);
    await write(pipeline, seed, transactions);
    await caughtUp(pipeline);
    await pipeline.stopServices();
    for (const suffix of ["-wal", "-shm"]) rmSync(`${pipeline.file}${suffix}`, { force: true });
    copyFileSync(yesterday, pipeline.file);
    await write(pipeline, seed + 1, 2 * transactions);
    pipeline.start("source");
    pipeline.start("sink");
    await caughtUp(pipeline);
    return judge(pipeline, { ledger: false, history: 2 });
  },
} as const satisfies Record<string, Scenario>;
export type ScenarioName = keyof typeof scenarios;

async function begin(pipeline: TestPipeline): Promise<void> {
  await pipeline.apply();
  pipeline.start("source");
  const sink = pipeline.start("sink");
  await caughtUp(pipeline);
  // Indexes and keys are built after the snapshot's last window.
  await until(
    () => sink.lastLines.some((line) => line.includes('"sink.finished"')),
    stretched(20_000),
    () => `indexes and keys are not built\n${pipeline.describe()}`,
  );
}

async function write(pipeline: TestPipeline, seed: number, count: number): Promise<void> {
  await pipeline.application.start({ seed, transactions: count, big: 200 });
  await pipeline.application.finished();
}

function sql(pipeline: TestPipeline, text: string): void {
  const db = new Database(pipeline.file, { timeout: 10_000 });
  db.exec(text);
  db.close();
}

async function backup(file: string, to: string): Promise<void> {
  const db = new Database(file, { readonly: true });
  await db.backup(to);
  db.close();
}

async function allInLog(pipeline: TestPipeline): Promise<void> {
  const newest = pipeline.newestCaptured();
  const inLog = async (): Promise<boolean> => positionOrder((await pipeline.process("source")?.status())?.position) >= newest;
  await until(inLog, stretched(20_000), () => `the source does not come to ${newest}\n${pipeline.describe()}`);
}

/** Everything is in the log and none of it at the target when the tail goes. */
async function loseTail(pipeline: TestPipeline, seed: number, tables: readonly string[] | "all"): Promise<readonly string[]> {
  await begin(pipeline);
  await pipeline.process("sink")?.kill();
  await write(pipeline, seed, transactions);
  await allInLog(pipeline);
  const oldest = (await knownPlace(pipeline)).order;
  await untilOrLate(() => pipeline.oldestCaptured() > oldest + 1);
  await pipeline.process("source")?.kill();
  const db = openLogFile(pipeline);
  const partitions = partitionsIn(db);
  for (const { id, next, name } of partitions) {
    if (tables !== "all" && !tables.some((table) => name === `${pipeline.name}.${table}`)) continue;
    const begins = db
      .prepare("SELECT id - (? << 40) FROM batch WHERE id BETWEEN (? << 40) AND ((? << 40) | ?) ORDER BY id DESC LIMIT 3")
      .pluck()
      .all(id, id, id, next) as number[];
    const end = begins.at(-1);
    if (end === undefined || end === 0) continue;
    db.prepare("DELETE FROM batch WHERE id BETWEEN ((? << 40) | ?) AND ((? << 40) | ?)").run(id, end, id, next);
    db.prepare("UPDATE partition SET next = ?, first = min(first, ?) WHERE id = ?").run(end, end, id);
  }
  db.close();
  // What is written meanwhile goes into the log at once, at offsets that the target may remember from before.
  await write(pipeline, seed + 1, transactions);
  pipeline.start("source");
  await allInLog(pipeline);
  await untilOrLate(() => firstInLog(pipeline, "account") > 1);
  pipeline.start("sink");
  await caughtUp(pipeline);
  return judge(pipeline, { history: 1 });
}

interface Partition {
  readonly id: number;
  readonly name: string;
  readonly first: number;
  readonly next: number;
}

const openLogFile = (pipeline: TestPipeline): Database.Database =>
  new Database(join(pipeline.folder, ".tailrace", "log.db"), { timeout: 10_000 });

const partitionsIn = (db: Database.Database): readonly Partition[] =>
  db
    .prepare("SELECT p.id, t.name, p.first, p.next FROM partition AS p JOIN topic AS t ON t.id = p.topic WHERE t.cleanup = 'delete'")
    .all() as Partition[];

function firstInLog(pipeline: TestPipeline, table: string): number {
  const db = openLogFile(pipeline);
  try {
    return partitionsIn(db).find(({ name }) => name === `${pipeline.name}.${table}`)?.first ?? 0;
  } finally {
    db.close();
  }
}

/** Gives a bug its time: without one the condition never comes. */
async function untilOrLate(condition: () => boolean): Promise<void> {
  await until(condition, stretched(2_500), () => "late").catch(() => {});
}

/** Of `history:order:index`. */
const positionOrder = (text: string | null | undefined): number => Number(text?.split(":")[1] ?? -1);
