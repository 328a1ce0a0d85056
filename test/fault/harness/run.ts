/** One fault run from an empty folder to the verdict. A failure names seed and plan. */
import type { KafkaBroker } from "../../support/kafka.js";
import { carryOut, describePlan, planFaults } from "./faults.js";
import { caughtUp, judge, streaming, watch } from "./judge.js";
import { TestPipeline } from "./pipeline.js";

export interface FaultRun {
  readonly seed: number;
  readonly faults: number;
  readonly broker: KafkaBroker | null;
  /** Transactions a second. */
  readonly rate?: number;
}

export async function faultRun({ seed, faults, broker, rate = 300 }: FaultRun): Promise<readonly string[]> {
  const plan = planFaults(seed, faults, { broker: broker !== null });
  const told = describePlan(seed, plan);
  try {
    const log = broker === null ? ({ kind: "embedded" } as const) : ({ kind: "kafka", brokers: broker.brokers } as const);
    await using pipeline = await TestPipeline.make({ seed, log, rows: 20_000 });
    await pipeline.apply();
    const { application } = pipeline;
    let life = 0;
    const write = () => application.start({ seed: seed + ++life, rate, big: 1500 });
    await write();
    await using watcher = watch(pipeline);
    watcher.start();
    pipeline.start("source");
    pipeline.start("sink");
    const ground = { pipeline, broker, restartApplication: write };
    // Some strike the snapshot, most the stream: only there can a half transaction be seen.
    const early = Math.ceil(plan.length / 4);
    await carryOut(plan.slice(0, early), ground);
    await streaming(pipeline);
    await carryOut(plan.slice(early), ground);
    await application.stop();
    await caughtUp(pipeline);
    const found = await judge(pipeline, { watcher });
    const { acknowledged } = application.report();
    console.log(
      `${told}\n${acknowledged.size} transactions, ${watcher.looked} glances: ${found.length === 0 ? "nothing found" : found.join("\n")}`,
    );
    return found.length === 0 ? [] : [told, ...found];
  } catch (error) {
    throw new Error(`${told}\n${error instanceof Error ? error.message : String(error)}`, { cause: error });
  }
}
