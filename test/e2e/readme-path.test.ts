/** The path of the README on a database that is being written to, over each log. */
import { existsSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { sharedKafka } from "../support/kafka.js";
import { until } from "../support/oracles/until.js";
import { RegistryServer } from "../support/registry.js";
import { Operator, type Status } from "./operator.js";
import { Topics } from "./topics.js";

describe("the path of the README", () => {
  it("moves a live database over the embedded log", { timeout: 480_000 }, async () => {
    await using operator = await Operator.make();
    rmSync(join(operator.folder, "tailrace.yaml"));
    const application = await operator.application();
    const init = await operator.answer("init", "--source", "shop.db", "--target", operator.database.url);
    expect(init).toMatchObject({ kind: "Init", pipeline: "shop", tables: ["customers", "orders"] });
    expect(init["leftOut"]).toMatchObject([{ table: "heap", code: "table.no-key" }]);
    const settings = join(operator.folder, "tailrace.yaml");
    expect(statSync(settings).mode & 0o777).toBe(0o600);
    writeFileSync(settings, `${readFileSync(settings, "utf8")}\nhttp: { listen: "127.0.0.1:${operator.port}" }\n`);
    expect(await operator.answer("doctor")).toMatchObject({ kind: "Doctor", ok: true, errors: 0 });
    expect(await operator.answer("plan")).toMatchObject({ kind: "Plan", leftOut: [{ table: "heap" }], refusedValues: [] });
    expect(await operator.answer("apply")).toMatchObject({ kind: "Apply", changed: true, leftOut: [{ table: "heap" }] });
    const running = operator.run();
    await operator.caughtUp();
    await whileItRuns(operator);
    expect(await application.stop()).toBeGreaterThan(50);
    await operator.caughtUp();
    expect(await operator.different()).toEqual([]);
    expect(await running.stop()).toMatchObject({ code: 0, signal: null });
    expect(await operator.status()).toMatchObject({ state: "down", behind: { changes: 0, ms: 0 }, next: ["tailrace run"] });
    operator.sql("UPDATE orders SET note = 'while nobody looked' WHERE id < 100; DELETE FROM orders WHERE id = 1500");
    await operator.status();
    const again = operator.run();
    await operator.caughtUp();
    expect(await operator.different()).toEqual([]);
    await again.stop();
    await destroyed(operator);
    expect(existsSync(join(operator.folder, ".tailrace", "log.db"))).toBe(false);
  });

  it("moves it through Kafka and a registry, in records that anybody reads", { timeout: 480_000 }, async (context) => {
    const kafka = await sharedKafka();
    if (kafka.kind === "missing") return context.skip(`no Kafka: ${kafka.why}`);
    await using registry = await RegistryServer.start();
    await using operator = await Operator.make({ log: { kind: "kafka", brokers: kafka.brokers, registry: registry.url } });
    await using topics = new Topics(kafka.brokers, registry);
    const { pipeline } = operator;
    expect(await operator.answer("doctor")).toMatchObject({ ok: true });
    await operator.answer("apply");
    const kept = { "cleanup.policy": "delete", "retention.ms": "-1", "retention.bytes": "-1", "max.message.bytes": "8388608" };
    const compacted = { ...kept, "cleanup.policy": "compact" };
    expect(Object.fromEntries(await topics.settings(pipeline))).toEqual({
      [`${pipeline}.applied`]: compacted,
      [`${pipeline}.customers`]: kept,
      [`${pipeline}.cuts`]: kept,
      [`${pipeline}.orders`]: kept,
      [`${pipeline}.schemas`]: compacted,
      [`${pipeline}.snapshot`]: kept,
    });
    const application = await operator.application();
    const running = operator.run();
    await operator.caughtUp();
    await operator.answer("snapshot", "--all");
    await application.stop();
    operator.sql(`BEGIN; INSERT INTO customers VALUES (9, 'Néw'); UPDATE customers SET name = 'Bea' WHERE id = 2; DELETE FROM customers WHERE id = 9; COMMIT;
      INSERT INTO customers VALUES (10, 'x'); UPDATE customers SET id = 11 WHERE id = 10; DELETE FROM customers WHERE id = 11`);
    await operator.caughtUp();
    expect(await operator.different()).toEqual([]);
    const seen = (await topics.records([`${pipeline}.customers`])).slice(-10);
    const told = seen.map(({ key, value }) => [(key as { id: unknown }).id, value === null ? "tombstone" : (value as Envelope).op]);
    expect(told).toEqual([
      [9n, "c"],
      [2n, "u"],
      [9n, "d"],
      [9n, "tombstone"],
      [10n, "c"],
      [10n, "d"],
      [10n, "tombstone"],
      [11n, "c"],
      [11n, "d"],
      [11n, "tombstone"],
    ]);
    expect(seen[0]?.value).toMatchObject({
      before: null,
      after: { id: 9n, name: "Néw" },
      op: "c",
      source: { connector: "sqlite", db: pipeline, table: "customers", snapshot: "false" },
      transaction: { id: expect.stringMatching(/^\d+:\d+$/) as unknown },
    });
    expect(registry.subjects()).toEqual(expect.arrayContaining([`${pipeline}.customers-key`, `${pipeline}.customers-value`]));
    await running.stop();
    await destroyed(operator);
    expect((await topics.settings(pipeline)).size).toBe(0);
  });

  it("moves it through Kafka without a registry", { timeout: 480_000 }, async (context) => {
    const kafka = await sharedKafka();
    if (kafka.kind === "missing") return context.skip(`no Kafka: ${kafka.why}`);
    await using operator = await Operator.make({ log: { kind: "kafka", brokers: kafka.brokers } });
    await operator.answer("apply");
    const application = await operator.application();
    const running = operator.run();
    await operator.caughtUp();
    await running.stop();
    const again = operator.run();
    await operator.caughtUp();
    await application.stop();
    await operator.caughtUp();
    expect(await operator.different()).toEqual([]);
    await again.stop();
  });
});

interface Envelope {
  readonly op: string;
}

/** The application writes: status, metrics and health say what is so; pause and a second copy of a table disturb nothing. */
async function whileItRuns(operator: Operator): Promise<void> {
  const base = `http://127.0.0.1:${operator.port}`;
  for (const [service, path] of [0, 1, 2].flatMap((n) => [[n, "health"] as const, [n, "ready"] as const])) {
    const asked = async (): Promise<number> => (await fetch(`${base.replace(/\d+$/, String(operator.port + service))}/${path}`)).status;
    // Whoever supervises knows of its services what they report twice a second.
    await expect.poll(asked, { message: `${service} ${path}`, timeout: 120_000 }).toBe(200);
  }
  await operator.answer("snapshot", "orders");
  await operator.caughtUp();
  await expect.poll(() => operator.status(), { timeout: 120_000 }).toMatchObject({ state: "running", needsPerson: [], next: [] });
  await operator.paused();
  const grown = async (): Promise<boolean> => ((await operator.metric("source", "tailrace_lag_changes")) ?? 0) > 100;
  await until(grown, 120_000, () => "the lag does not grow while the pipeline is paused");
  const paused: Status = await operator.status();
  expect(paused).toMatchObject({ state: "paused", next: ["tailrace resume"] });
  expect(paused.behind.changes).toBeGreaterThan(100);
  expect(paused.behind.ms).toBeGreaterThan(200);
  expect(await operator.metric("source", "tailrace_lag_seconds")).toBeGreaterThan(0.2);
  await expect.poll(() => operator.metric("sink", "tailrace_sink_paused"), { timeout: 120_000 }).toBe(1);
  expect((await operator.tailrace("status", "--fail-if", "behind>50")).code).toBe(5);
  expect((await operator.tailrace("wait", "caught-up", "--timeout", "200ms")).code).toBe(5);
  await operator.answer("resume");
  await operator.caughtUp();
  const shrunk = async (): Promise<boolean> => ((await operator.metric("source", "tailrace_lag_seconds")) ?? 9) < 2;
  await until(shrunk, 120_000, () => "the lag does not fall after resume");
}

async function destroyed(operator: Operator): Promise<void> {
  expect((await operator.tailrace("destroy")).code).toBe(2);
  const answer = await operator.answer("destroy", "--yes", "--tables");
  expect(answer["places"]).toMatchObject([
    { place: "source", error: null },
    { place: "log", error: null },
    { place: "target", error: null },
  ]);
  expect(operator.rows("SELECT name FROM sqlite_master WHERE name LIKE '%cdc%'")).toEqual([]);
  expect(
    await operator.database.query("SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'"),
  ).toEqual([]);
  expect(await operator.database.query("SELECT to_regnamespace('tailrace') AS state")).toEqual([{ state: null }]);
  expect(await operator.status()).toMatchObject({ state: "down", next: ["tailrace apply"] });
}
