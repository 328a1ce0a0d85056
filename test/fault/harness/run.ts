/** One fault run from an empty folder to the verdict. A failure names seed and plan. */
import type { KafkaBroker } from "../../support/kafka.js";
import { PostgresServer } from "../../support/postgres-server.js";
import { alive, carryOut, describePlan, planFaults } from "./faults.js";
import { caughtUp, judge, streaming, watch, watched } from "./judge.js";
import { bigRows, fullSpeed } from "./pace.js";
import { TestPipeline } from "./pipeline.js";
import { type RunRecord, Tally } from "./tally.js";
import { whatWentWrong } from "./what-went-wrong.js";

export interface FaultRun {
  readonly seed: number;
  readonly faults: number;
  readonly broker: KafkaBroker | null;
  /** Transactions a second. */
  readonly rate?: number;
  /** PostgreSQL is killed as well, so it is a server of the run's own. */
  readonly server?: boolean;
}

/** What was found; empty is a proof. */
export async function faultRun({ seed, faults, broker, rate = fullSpeed(), server: ownServer = false }: FaultRun): Promise<RunRecord> {
  const plan = planFaults(seed, faults, { broker: broker !== null, server: ownServer });
  const told = describePlan(seed, plan);
  const log = broker === null ? ({ kind: "embedded" } as const) : ({ kind: "kafka", brokers: broker.brokers } as const);
  const tally = new Tally(log.kind);
  const began = performance.now();
  const server = ownServer ? await PostgresServer.start() : null;
  const end = { transactions: 0, glances: 0, found: [] as readonly string[] };
  try {
    await using pipeline = await TestPipeline.make({ seed, log, rows: 20_000, ...(server === null ? {} : { server }) });
    await pipeline.apply();
    const { application } = pipeline;
    let life = 0;
    const write = () => application.start({ seed: seed + ++life, rate, big: bigRows });
    await write();
    await using watcher = watch(pipeline);
    watcher.start();
    await startTwice(pipeline, tally);
    const ground = { pipeline, broker, server, tally, restartApplication: write };
    // Some strike the snapshot, most the stream: only there can a half transaction be seen.
    const early = Math.ceil(plan.length / 4);
    await carryOut(plan.slice(0, early), ground);
    await streaming(pipeline);
    await carryOut(plan.slice(early), ground);
    await watched(pipeline, watcher);
    await application.stop();
    await caughtUp(pipeline);
    end.found = await judge(pipeline, { watcher, history: 1 });
    end.transactions = application.report().acknowledged.size;
    end.glances = watcher.looked;
  } catch (error) {
    end.found = [whatWentWrong(error)];
  } finally {
    await server?.[Symbol.asyncDispose]();
  }
  const seconds = Math.round((performance.now() - began) / 1000);
  const found = end.found.length === 0 ? [] : [told, ...end.found];
  console.log(
    `${log.kind}, ${told}\n${end.transactions} transactions, ${end.glances} glances, ${seconds} s: ${found.join("\n") || "nothing found"}`,
  );
  return { seed, log: log.kind, kind: "blind", faults, counts: tally.counts(), ...end, found, seconds };
}

/** Two of each from the first moment: one works, the other stands by until it is ended. */
async function startTwice(pipeline: TestPipeline, tally: Tally): Promise<void> {
  for (const role of ["source", "sink"] as const) {
    pipeline.start(role);
    pipeline.double(role);
    tally.add(`two ${role}s`);
  }
  await alive(pipeline, 1500);
  await pipeline.bury();
}
