/** A broker that is killed, and answers that are lost: what an appender and a tail make of it. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { openKafkaLog } from "../../../connectors/kafka/kafka-log.js";
import type { LogAppender, LogStore, LogTail } from "../../../core/contracts/log-store.js";
import { asTailraceError } from "../../../core/errors.js";
import type { Topic } from "../../../core/vocabulary/ids.js";
import { at, numbered, patience, randomTopic, record, rejection, scanAll, spec, take, text } from "../../contracts/log-store-host.js";
import { type KafkaBroker, startKafka } from "../../support/kafka.js";
import { freePorts } from "../../support/ports.js";
import { kafkaJars } from "../../support/kafka-jars.js";
import { type KafkaProxy, startKafkaProxy } from "../../support/kafka-proxy.js";
import { kafkaSettings } from "../../support/kafka-settings.js";

const jars = await kafkaJars();
const missing = "missing" in jars ? jars.missing : null;

// skipped without Java or Maven: the line says why.
describe.skipIf(missing !== null)(`a Kafka broker in trouble${missing === null ? "" : ` (${missing})`}`, () => {
  let broker: KafkaBroker;
  let proxy: KafkaProxy;
  let store: LogStore;

  beforeAll(async () => {
    const [proxyPort = 0, port = 0] = await freePorts(2);
    proxy = await startKafkaProxy(proxyPort, port);
    broker = await startKafka({ port, advertisedPort: proxyPort });
    store = await openKafkaLog(kafkaSettings([`127.0.0.1:${proxyPort}`]), { clientId: "faults" });
  });
  afterAll(async () => {
    await store?.[Symbol.asyncDispose]();
    await proxy?.[Symbol.asyncDispose]();
    await broker?.stop();
  });

  it("makes topics that the broker which is asked about them has not heard of yet", async () => {
    const topic = randomTopic();
    proxy.forget(topic, 8);
    await store.ensure([spec(topic)], patience());
    expect((await store.bounds([topic], patience())).get(topic)).toEqual([{ first: 0, end: 0 }]);
  });

  it("is asked for a backlog in few requests: as many as its bytes need", async () => {
    const topic = randomTopic();
    await store.ensure([spec(topic)], patience());
    const value = Buffer.alloc(300, 7);
    await withNewAppender(store, async (appender) => {
      const some = Array.from({ length: 1_000 }, () => record(topic, "", { value }));
      for (let i = 0; i < 10; i++) await appender.append(some, patience());
    });
    const before = proxy.fetched;
    await using tail = await store.tail(new Map([[topic, at(0)]]), patience());
    expect(await take(tail, 10_000)).toHaveLength(10_000);
    // 3.1 MB in answers of 256 KiB a partition are 12, of 64 KiB would be 48; some come early, short or empty while others are worked on.
    expect(proxy.fetched - before).toBeLessThanOrEqual(45);
  });

  it("is ridden over by one appender and one tail when it is killed and started again", async () => {
    const topic = randomTopic();
    await store.ensure([spec(topic)], patience());
    const appender = await store.appender(patience());
    const tail = await store.tail(new Map([[topic, at(0)]]), patience());
    await appender.append(numbered(topic, 0, 10), patience());
    expect((await take(tail, 10)).map(text)).toEqual(numbered(topic, 0, 10).map(text));
    await broker.kill();
    const appending = appender.append(numbered(topic, 10, 10), patience());
    // On a slow machine it may give up before the broker is back, and then nobody awaits it yet.
    appending.catch(() => undefined);
    await broker.restart();
    // Either outcome is right: what matters is that nothing is lost, doubled or out of order, and that no error is final.
    const stored = await appending.then(
      () => true,
      (error: unknown) => (expect(asTailraceError(error).verdict).toBe("retry"), false),
    );
    await appender[Symbol.asyncDispose]();
    await withNewAppender(store, async (next) => {
      const end = (await store.bounds([topic], patience())).get(topic)?.[0]?.end;
      expect([10, 20]).toContain(end);
      if (stored) expect(end).toBe(20);
      if (end === 10) await next.append(numbered(topic, 10, 10), patience());
    });
    const seen = await followOn(store, tail, topic, 10, 10);
    expect(seen).toEqual(numbered(topic, 10, 10).map(text));
    expect((await scanAll(store, topic)).map(text)).toEqual(numbered(topic, 0, 20).map(text));
  });

  it("says unavailable within seconds while it is gone, to everybody who asks, and goes on afterwards", async () => {
    const topic = randomTopic();
    await store.ensure([spec(topic)], patience());
    const tail = await store.tail(new Map([[topic, at(0)]]), patience());
    await broker.kill();
    expect((await rejection(store.bounds([topic], patience()))).code).toBe("log.unavailable");
    expect((await rejection(store.appender(patience()))).code).toBe("log.unavailable");
    expect((await rejection(take(tail, 1))).code).toBe("log.unavailable");
    expect((await rejection(take(tail, 1))).code).toBe("log.unavailable");
    await tail[Symbol.asyncDispose]();
    await broker.restart();
    await withNewAppender(store, (appender) => appender.append(numbered(topic, 0, 1), patience()));
    expect((await scanAll(store, topic)).map(text)).toEqual(["0"]);
  });

  it("loses and doubles nothing when answers and requests are lost on the way", async () => {
    const topic = randomTopic();
    await store.ensure([spec(topic)], patience());
    proxy.decide = (produce) => (produce % 7 === 3 ? "drop-answer" : produce % 7 === 5 ? "drop-request" : "pass");
    const before = proxy.lost;
    await withNewAppender(store, async (appender) => {
      for (let round = 0; round < 60; round++) {
        expect(await appender.append(numbered(topic, round * 3, 3), patience())).toEqual([{ topic, partition: 0, base: round * 3 }]);
      }
    });
    proxy.decide = () => "pass";
    expect(proxy.lost - before).toBeGreaterThan(10);
    expect((await scanAll(store, topic)).map(text)).toEqual(numbered(topic, 0, 180).map(text));
  });

  it("ends an appender whose answer never comes, though the records are stored, and never lets it send again", async () => {
    const topic = randomTopic();
    await store.ensure([spec(topic)], patience());
    const appender = await store.appender(patience());
    await appender.append(numbered(topic, 0, 1), patience());
    proxy.decide = () => "swallow";
    const giveUp = new AbortController();
    const appending = appender.append(numbered(topic, 1, 1), giveUp.signal);
    await grownTo(store, topic, 2);
    giveUp.abort();
    await expect(appending).rejects.toMatchObject({ name: "AbortError" });
    proxy.decide = () => "pass";
    // The dangerous case: as many records again would be acknowledged as duplicates, and lost.
    expect((await rejection(appender.append(numbered(topic, 2, 1), patience()))).code).toBe("log.append-failed");
    await appender[Symbol.asyncDispose]();
    await withNewAppender(store, async (next) => {
      expect(await next.append(numbered(topic, 2, 1), patience())).toEqual([{ topic, partition: 0, base: 2 }]);
    });
    expect((await scanAll(store, topic)).map(text)).toEqual(["0", "1", "2"]);
  });

  it("ends an appender when its topic was deleted and made again under it", async () => {
    const topic = randomTopic();
    await store.ensure([spec(topic)], patience());
    const appender = await store.appender(patience());
    await appender.append(numbered(topic, 0, 5), patience());
    await store.destroy([topic], patience());
    await store.ensure([spec(topic)], patience());
    const error = await rejection(appender.append([record(topic, "5")], patience()));
    expect([error.code, error.verdict]).toEqual(["log.append-failed", "retry"]);
    await appender[Symbol.asyncDispose]();
  });
});

async function withNewAppender<T>(store: LogStore, work: (appender: LogAppender) => Promise<T>): Promise<T> {
  const appender = await store.appender(patience());
  try {
    return await work(appender);
  } finally {
    await appender[Symbol.asyncDispose]();
  }
}

/** Takes `count` records; a tail that has died of something transient is opened again where it was. */
async function followOn(store: LogStore, first: LogTail, topic: Topic, from: number, count: number): Promise<string[]> {
  let tail = first;
  const seen: string[] = [];
  while (seen.length < count) {
    try {
      seen.push(...((await tail.next(1_000, patience())) ?? []).map(text));
    } catch (error) {
      expect(asTailraceError(error).verdict).toBe("retry");
      await tail[Symbol.asyncDispose]();
      tail = await store.tail(new Map([[topic, at(from + seen.length)]]), patience());
    }
  }
  await tail[Symbol.asyncDispose]();
  return seen;
}

async function grownTo(store: LogStore, topic: Topic, end: number): Promise<void> {
  while ((await store.bounds([topic], patience())).get(topic)?.[0]?.end !== end);
}
