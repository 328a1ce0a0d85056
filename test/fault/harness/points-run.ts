/**
 * One pipeline that dies at one named crash point after the other while the hostile application writes, and the verdict at the end. A point that
 * is not reached fails the run: it would prove nothing.
 */
import { crashPoints, type CrashPoint } from "../../../core/crash-points.js";
import { randomOf } from "../../support/hostile/random.mjs";
import type { KafkaBroker } from "../../support/kafka.js";
import { until } from "../../support/oracles/until.js";
import { caughtUp, judge, streaming, watch } from "./judge.js";
import { TestPipeline } from "./pipeline.js";
import { bigRows, fullSpeed, stretched } from "./pace.js";
import type { Role } from "./role-process.js";
import { type RunRecord, Tally } from "./tally.js";
import { whatWentWrong } from "./what-went-wrong.js";

interface Stage {
  readonly points: readonly CrashPoint[];
  /** What runs beside the one that dies. */
  readonly beside: Role | null;
  readonly application: "writes" | "writes much at once" | "writes a little";
}

/** What ends with the snapshot comes while it lasts; the log is shortened only while the application leaves it time. */
const stages: readonly Stage[] = [
  {
    points: ["source.chunk-read", "source.chunk-produced", "source.handoff-before", "source.handoff-after"],
    beside: null,
    application: "writes",
  },
  {
    points: ["sink.own-before", "sink.owned", "sink.seek-before", "sink.begun", "sink.fenced", "sink.rows-part"],
    beside: "source",
    application: "writes",
  },
  { points: ["sink.ddl-before", "sink.ddl-part", "sink.ddl-after"], beside: "source", application: "writes" },
  {
    points: ["source.claiming", "source.claimed", "source.picked", "source.started"],
    beside: "sink",
    application: "writes",
  },
  {
    points: ["source.read", "source.produce-before", "source.produce-sent", "source.produce-part", "source.produce-acked"],
    beside: "sink",
    application: "writes much at once",
  },
  {
    points: ["source.position-before", "source.position-after", "source.schema-seen", "source.schema-registered"],
    beside: "sink",
    application: "writes",
  },
  {
    points: ["sink.fetched", "sink.decoded", "sink.commit-before", "sink.commit-sent", "sink.commit-done", "sink.applied-published"],
    beside: "source",
    application: "writes",
  },
  { points: ["source.log-pruned", "source.store-trimmed"], beside: "sink", application: "writes a little" },
];

/** Passed many times in one life; there a later pass is another place. */
const oftenPassed: ReadonlySet<CrashPoint> = new Set([
  ...(["source.read", "source.chunk-read", "source.produce-before", "source.produce-sent", "source.produce-acked"] as const),
  ...(["source.position-before", "source.position-after", "source.schema-seen", "source.schema-registered"] as const),
  ...(["sink.fetched", "sink.decoded", "sink.ddl-part"] as const),
  ...(["sink.commit-before", "sink.commit-sent", "sink.commit-done", "sink.applied-published"] as const),
]);

export const pointsDriven: readonly CrashPoint[] = stages.flatMap(({ points }) => points);
export const pointsKnown = Object.keys(crashPoints);

/** One request holds 800 kB of a topic. */
const bigForSeveralRequests = 6_000;
const reachedWithinMs = 60_000;
/** A fast machine is through with few points before the watcher has looked often. */
const glancesPerPoint = 3;

export interface PointsRun {
  readonly seed: number;
  readonly broker: KafkaBroker | null;
  /** Default: all. */
  readonly only?: ReadonlySet<CrashPoint>;
  readonly rows?: number;
}

export async function pointsRun({ seed, broker, only = new Set(pointsDriven), rows = 12_000 }: PointsRun): Promise<RunRecord> {
  const log = broker === null ? ({ kind: "embedded" } as const) : ({ kind: "kafka", brokers: broker.brokers } as const);
  const tally = new Tally(log.kind);
  const random = randomOf(seed);
  const began = performance.now();
  const end = { transactions: 0, glances: 0, found: [] as readonly string[] };
  let at = "the beginning";
  try {
    await using pipeline = await TestPipeline.make({ seed, log, rows });
    await pipeline.apply();
    await using watcher = watch(pipeline);
    watcher.start();
    let life = 0;
    let now: Stage["application"] = "writes a little";
    for (const { points, beside, application } of stages) {
      if (application !== now) {
        await pipeline.application.stop();
        const big = application === "writes" ? bigRows : bigForSeveralRequests;
        if (application !== "writes a little") await pipeline.application.start({ seed: seed + ++life, rate: fullSpeed(), big });
        now = application;
      }
      if (beside !== null && !pipeline.isUp(beside)) pipeline.start(beside);
      for (const point of points.filter((each) => only.has(each))) {
        const pass = oftenPassed.has(point) ? random.between(1, 3) : 1;
        at = `${point}:${pass}`;
        const meanwhile = async (): Promise<void> => {
          if (application !== "writes a little") return;
          await pipeline.application.start({ seed: seed + ++life, transactions: 40, big: bigRows });
          await pipeline.application.finished();
        };
        await dieAt(pipeline, { point, pass }, meanwhile);
        tally.add(`crash at ${point}`);
      }
    }
    at = "the end";
    await pipeline.application.stop();
    pipeline.revive();
    await streaming(pipeline);
    await caughtUp(pipeline);
    end.found = await judge(pipeline, { watcher, history: 1, glances: glancesPerPoint * only.size });
    end.transactions = pipeline.application.report().acknowledged.size;
    end.glances = watcher.looked;
  } catch (error) {
    end.found = [`at ${at}: ${whatWentWrong(error)}`];
  }
  const seconds = Math.round((performance.now() - began) / 1000);
  const found = end.found.length === 0 ? [] : [`crash points with seed ${seed} over the ${log.kind} log`, ...end.found];
  console.log(
    `${log.kind}, crash points with seed ${seed}: ${end.transactions} transactions, ${seconds} s: ${found.join("\n") || "nothing found"}`,
  );
  return { seed, log: log.kind, kind: "points", faults: only.size, counts: tally.counts(), ...end, found, seconds };
}

interface Death {
  readonly point: CrashPoint;
  readonly pass: number;
}

async function dieAt(pipeline: TestPipeline, { point, pass }: Death, meanwhile: () => Promise<void>): Promise<void> {
  const role: Role = point.startsWith("sink.") ? "sink" : "source";
  await pipeline.process(role)?.kill();
  const armed = pipeline.start(role, { point, pass });
  await meanwhile();
  const dead = (): boolean => {
    if (armed.end === null) pipeline.revive();
    return armed.end !== null;
  };
  await until(dead, stretched(reachedWithinMs), () => `${point} was not passed ${pass} times\n${pipeline.describe()}`);
  if (armed.end?.signal !== "SIGKILL") throw new Error(`the ${role} ended by itself before ${point}\n${pipeline.describe()}`);
}
