import { describe, expect, it } from "vitest";
import { openKafkaLog } from "../../../connectors/kafka/kafka-log.js";
import { KafkaTail } from "../../../connectors/kafka/kafka-tail.js";
import { type Admin, Kafka, logLevel } from "../../../connectors/kafka/library.js";
import type { LogStore } from "../../../core/contracts/log-store.js";
import { Secret } from "../../../core/secret.js";
import type { KafkaSettings } from "../../../core/settings.js";
import { describeLogStore } from "../../contracts/log-store-contract.js";
import { patience, randomTopic, rejection, spec } from "../../contracts/log-store-host.js";
import { sharedKafka } from "../../support/kafka.js";
import { kafkaSettings } from "../../support/kafka-settings.js";
import { runOtherProcess } from "../../support/other-process.js";

const shared = await sharedKafka();
const brokers = shared.kind === "ready" ? shared.brokers : [];
const settings = kafkaSettings(brokers);
const open = (changed: Partial<KafkaSettings> = {}): Promise<LogStore> => openKafkaLog({ ...settings, ...changed }, { clientId: "test" });

/** A client of its own each time: one that has asked about a topic which was deleted since can ask about nothing else. */
async function asAdmin<T>(work: (admin: Admin) => Promise<T>): Promise<T> {
  const admin = new Kafka({ brokers: [...brokers], logLevel: logLevel.NOTHING }).admin();
  await admin.connect();
  try {
    return await work(admin);
  } finally {
    await admin.disconnect();
  }
}

// skipped without a broker: the line says why.
describe.skipIf(shared.kind === "missing")(`the Kafka log${shared.kind === "missing" ? ` (${shared.why})` : ""}`, () => {
  describe("as a log store", () => {
    describeLogStore({
      open: () => open(),
      held: (tail) => (tail instanceof KafkaTail ? tail.held() : null),
      writeFromAnotherProcess: (topic, count) => runOtherProcess("append-numbered.mjs", JSON.stringify(settings), topic, String(count)),
      forgetBelow: (_store, topic, below) =>
        asAdmin(async (admin) => {
          await admin.fetchTopicOffsets(topic);
          await admin.deleteTopicRecords({ topic, partitions: [{ partition: 0, offset: String(below) }] });
        }),
    });
  });

  describe("topics that exist", () => {
    const existing = async (entries: Readonly<Record<string, string>>): Promise<string> => {
      const topic = randomTopic();
      const configEntries = Object.entries({
        "cleanup.policy": "delete",
        "retention.ms": "-1",
        "retention.bytes": "-1",
        "max.message.bytes": "8388608",
        ...entries,
      }).map(([name, value]) => ({ name, value }));
      await asAdmin((admin) => admin.createTopics({ topics: [{ topic, numPartitions: 1, configEntries }] }));
      await using store = await open();
      const error = await store.ensure([spec(topic)], patience()).then(
        () => null,
        (thrown: unknown) => thrown,
      );
      await store.destroy([topic], patience());
      return error instanceof Error ? error.message.replace(topic, "T") : "taken";
    };

    it("are taken when they lose nothing and refused by setting when they do", async () => {
      expect(await existing({})).toBe("taken");
      expect(await existing({ "retention.ms": "604800000" })).toBe("topic T has retention.ms=604800000, not -1");
      expect(await existing({ "retention.bytes": "1000000" })).toBe("topic T has retention.bytes=1000000, not -1");
      expect(await existing({ "cleanup.policy": "compact" })).toBe("topic T has cleanup.policy=compact, not delete");
      expect(await existing({ "cleanup.policy": "compact,delete" })).toBe("topic T has cleanup.policy=compact,delete, not delete");
      expect(await existing({ "max.message.bytes": "1048588" })).toBe("topic T has max.message.bytes=1048588, not 8388608 or more");
    });

    it("are made as asked, compacted ones too", async () => {
      await using store = await open();
      const topic = randomTopic();
      await store.ensure([spec(topic, { cleanup: "compact" })], patience());
      await store.ensure([spec(topic, { cleanup: "compact" })], patience());
      expect((await rejection(store.ensure([spec(topic)], patience()))).code).toBe("log.topic-settings");
      await store.destroy([topic], patience());
    });

    it("cannot be made with more copies than there are brokers, or under a name that is not legal", async () => {
      await using store = await open({ replicationFactor: 3 });
      const error = await rejection(store.ensure([spec(randomTopic())], patience()));
      expect([error.code, error.verdict]).toEqual(["log.refused", "stop"]);
    });
  });
});

describe("settings of the Kafka log", () => {
  const secret = { username: "u", password: new Secret("p") };

  it("refuse a password in the clear, but for a broker on this host", async () => {
    const plain = { sasl: { mechanism: "plain", ...secret } } as const;
    expect((await rejection(openKafkaLog({ ...kafkaSettings(["kafka.example:9092"]), ...plain }, { clientId: "t" }))).code).toBe(
      "settings.refused",
    );
    const local = await openKafkaLog({ ...kafkaSettings(["127.0.0.1:9092", "localhost:9093"]), ...plain }, { clientId: "t" });
    await local[Symbol.asyncDispose]();
  });

  it("refuse certificates that cannot be read before anything is sent", async () => {
    const tls = { ca: "-----BEGIN CERTIFICATE-----\nno\n-----END CERTIFICATE-----\n", cert: null, key: null, verify: true };
    expect((await rejection(openKafkaLog({ ...kafkaSettings(["127.0.0.1:9092"]), tls }, { clientId: "t" }))).code).toBe("log.tls");
  });

  it("say that a broker is not there, within seconds", async () => {
    await using store = await openKafkaLog(kafkaSettings(["127.0.0.1:1"]), { clientId: "t" });
    const calls = [
      () => store.bounds([randomTopic()], patience()),
      () => store.appender(patience()),
      () => store.ensure([spec(randomTopic())], patience()),
    ];
    for (const call of calls) {
      const error = await rejection(call());
      expect([error.code, error.verdict]).toEqual(["log.unavailable", "retry"]);
    }
  });
});
