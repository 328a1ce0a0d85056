/**
 * Kills on the real thing: a hostile application writes while source, sink, broker and the application itself are killed or frozen at random
 * moments. At the end every oracle is asked.
 *
 * TAILRACE_FAULT_SEED=7 repeats a run; `npm run fault -- --minutes 60 --seed 7` makes it long.
 */
import { randomInt } from "node:crypto";
import { describe, expect, it } from "vitest";
import { startKafka } from "../support/kafka.js";
import { kafkaJars } from "../support/kafka-jars.js";
import { faultRun } from "./harness/run.js";

const seed = Number(process.env["TAILRACE_FAULT_SEED"] ?? randomInt(1, 1_000_000));
const faults = Number(process.env["TAILRACE_FAULT_COUNT"] ?? 6);

describe("kills at random moments", () => {
  it("lose, double and half show nothing over the embedded log", { timeout: 600_000 }, async () => {
    expect((await faultRun({ seed, faults, broker: null, server: true })).found).toEqual([]);
  });

  it("lose, double and half show nothing over Kafka", { timeout: 600_000 }, async (context) => {
    const jars = await kafkaJars();
    if ("missing" in jars) return context.skip(`no Kafka: ${jars.missing}`);
    const broker = await startKafka();
    try {
      expect((await faultRun({ seed: seed + 1, faults, broker, server: true })).found).toEqual([]);
    } finally {
      await broker.stop();
    }
  });
});
