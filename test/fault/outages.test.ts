/** A dependency that is away for long: the services wait and say so, and catch up when it is back. */
import { setTimeout as pause } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import { startKafka } from "../support/kafka.js";
import { kafkaJars } from "../support/kafka-jars.js";
import { until } from "../support/oracles/until.js";
import { TcpProxy } from "../support/tcp-proxy.js";
import { caughtUp, judge, watch, watched } from "./harness/judge.js";
import { TestPipeline } from "./harness/pipeline.js";
import type { Role } from "./harness/role-process.js";

/** How long something is away once the services have noticed. */
const awayMs = Number(process.env["TAILRACE_OUTAGE_MS"] ?? 8_000);

describe("a long outage", () => {
  it("of PostgreSQL: the sink waits, says so, and catches up", { timeout: 240_000 }, async () => {
    await using pipeline = await TestPipeline.make({ seed: 21, log: { kind: "embedded" }, through: proxyTo });
    await begin(pipeline);
    await using watcher = watch(pipeline);
    watcher.start();
    await caughtUp(pipeline);
    await pipeline.application.start({ seed: 22, rate: 200, big: 1000 });
    await pipeline.proxy?.down();
    await says(pipeline, "sink", "target.unavailable");
    await away(pipeline);
    await pipeline.proxy?.up();
    await watched(pipeline, watcher);
    await pipeline.application.stop();
    await caughtUp(pipeline);
    expect(await judge(pipeline, { watcher })).toEqual([]);
  });

  it("of the broker: source and sink wait, say so, and catch up", { timeout: 300_000 }, async (context) => {
    const jars = await kafkaJars();
    if ("missing" in jars) return context.skip(`no Kafka: ${jars.missing}`);
    const broker = await startKafka();
    try {
      await using pipeline = await TestPipeline.make({ seed: 23, log: { kind: "kafka", brokers: broker.brokers } });
      await begin(pipeline);
      await using watcher = watch(pipeline);
      watcher.start();
      await caughtUp(pipeline);
      await pipeline.application.start({ seed: 24, rate: 200, big: 1000 });
      await broker.kill();
      await says(pipeline, "source", "log.unavailable");
      await says(pipeline, "sink", "log.unavailable");
      await away(pipeline);
      await broker.restart();
      await watched(pipeline, watcher);
      await pipeline.application.stop();
      await caughtUp(pipeline);
      expect(await judge(pipeline, { watcher })).toEqual([]);
    } finally {
      await broker.stop();
    }
  });
});

async function begin(pipeline: TestPipeline): Promise<void> {
  await pipeline.apply();
  pipeline.start("source");
  pipeline.start("sink");
}

async function says(pipeline: TestPipeline, role: Role, code: string): Promise<void> {
  const seen = { status: "nothing" };
  const waiting = async (): Promise<boolean> => {
    const status = await pipeline.process(role)?.status();
    seen.status = JSON.stringify(status);
    return status?.state === "waiting" && status.code === code;
  };
  await until(waiting, 60_000, () => `${role} does not say that it waits (${code}): ${seen.status}\n${pipeline.describe()}`);
}

async function away(pipeline: TestPipeline): Promise<void> {
  const end = performance.now() + awayMs;
  while (performance.now() < end) {
    await pause(100);
    pipeline.revive();
  }
}

async function proxyTo(url: string): Promise<TcpProxy> {
  const { hostname, port } = new URL(url);
  const proxy = new TcpProxy({ host: hostname, port: Number(port) });
  await proxy.up();
  return proxy;
}
