/** Every named crash point, under a hostile application, judged by every oracle. `npm run fault -- --points 3` does it three times per log. */
import { randomInt } from "node:crypto";
import { describe, expect, it } from "vitest";
import type { CrashPoint } from "../../core/crash-points.js";
import { startKafka } from "../support/kafka.js";
import { kafkaJars } from "../support/kafka-jars.js";
import { pointsDriven, pointsKnown, pointsRun } from "./harness/points-run.js";

const seed = Number(process.env["TAILRACE_FAULT_SEED"] ?? randomInt(1, 1_000_000));
/** Where a broker makes a difference. */
const atTheBroker: ReadonlySet<CrashPoint> = new Set([
  "source.claimed",
  "source.produce-sent",
  "source.produce-part",
  "sink.seek-before",
  "sink.commit-sent",
]);

describe("a process that dies at a crash point", () => {
  it("is tried at every point there is", () => {
    expect([...pointsDriven].sort()).toEqual([...pointsKnown].sort());
  });

  it("loses, doubles and half shows nothing over the embedded log", { timeout: 600_000 }, async () => {
    const { found, counts } = await pointsRun({ seed, broker: null });
    expect(found).toEqual([]);
    expect(Object.keys(counts).length).toBe(pointsKnown.length);
  });

  it("loses, doubles and half shows nothing over Kafka", { timeout: 600_000 }, async (context) => {
    const jars = await kafkaJars();
    if ("missing" in jars) return context.skip(`no Kafka: ${jars.missing}`);
    const broker = await startKafka();
    try {
      expect((await pointsRun({ seed: seed + 1, broker, only: atTheBroker })).found).toEqual([]);
    } finally {
      await broker.stop();
    }
  });
});
