/** Making, checking and deleting topics. */
import { Backoff } from "../../core/clock.js";
import type { TopicSpec } from "../../core/contracts/log-store.js";
import { TailraceError } from "../../core/errors.js";
import { topicBatchBytesMax } from "../../core/record-size.js";
import type { Topic } from "../../core/vocabulary/ids.js";
import type { BrokerLink } from "./broker-link.js";
import { Client, type ClientOptions } from "./client.js";
import { asLogError, isUnknownTopic } from "./kafka-errors.js";
import { type Admin, ConfigResourceTypes } from "./library.js";
import { settle } from "./settle.js";

const patienceMs = 60_000;
/** How long news of a topic may travel between brokers. */
const newsPatienceMs = 15_000;
const checkedSettings = ["cleanup.policy", "retention.ms", "retention.bytes", "max.message.bytes"];

/** What is missing is made; then all are looked at, also those just made: the broker may have its own mind about them. */
export async function ensureTopics(link: BrokerLink, topics: readonly TopicSpec[], signal: AbortSignal): Promise<void> {
  if (topics.length === 0) return;
  const names = topics.map(({ topic }) => topic);
  const { replicationFactor } = link.options.settings;
  await withAdmin(
    link.options,
    async (admin) => {
      const there = new Set(await admin.listTopics());
      const missing = topics.filter(({ topic }) => !there.has(topic));
      if (missing.length > 0)
        // The library would wait for their leaders, and fail if the broker it asks has not heard of them yet: that is waited for below.
        await admin.createTopics({
          topics: missing.map((spec) => creation(spec, replicationFactor)),
          timeout: 30_000,
          waitForLeaders: false,
        });
    },
    signal,
  );
  const counts = await partitionsOf(link, names, signal);
  const settings = await withAdmin(link.options, (admin) => describe(admin, names, link, signal), signal);
  for (const spec of topics) assertUsable(spec, counts.get(spec.topic) ?? 0, settings.get(spec.topic) ?? new Map());
}

export async function existingTopics(options: ClientOptions, topics: readonly Topic[], signal: AbortSignal): Promise<ReadonlySet<Topic>> {
  const there = new Set(await withAdmin(options, (admin) => admin.listTopics(), signal));
  return new Set(topics.filter((topic) => there.has(topic)));
}

/** They are there: who does not know them has not heard of them yet. */
async function partitionsOf(link: BrokerLink, names: readonly Topic[], signal: AbortSignal): Promise<ReadonlyMap<Topic, number>> {
  const { clock } = link.options;
  const untilMs = clock.monotonicMs() + newsPatienceMs;
  for (;;) {
    try {
      return await link.ask(
        names,
        (cluster) => Promise.resolve(new Map(names.map((name) => [name, cluster.findTopicPartitionMetadata(name).length]))),
        signal,
      );
    } catch (error) {
      const unheard = error instanceof TailraceError && error.code === "log.topic-missing";
      if (!unheard || clock.monotonicMs() > untilMs) throw error;
    }
  }
}

/** Returns when the topics are known no more. */
export async function destroyTopics(options: ClientOptions, topics: readonly Topic[], signal: AbortSignal): Promise<void> {
  const left = async (admin: Admin): Promise<readonly string[]> => {
    const there = new Set(await admin.listTopics());
    return topics.filter((topic) => there.has(topic));
  };
  await withAdmin(
    options,
    async (admin) => {
      const found = await left(admin);
      if (found.length === 0) return;
      await admin.deleteTopics({ topics: [...found], timeout: 30_000 }).catch((error: unknown) => {
        // Somebody else was quicker.
        if (!isUnknownTopic(error)) throw error;
      });
      const backoff = new Backoff(10, 200);
      while ((await left(admin)).length > 0) await options.clock.delay(backoff.next(), signal);
    },
    signal,
  );
}

async function withAdmin<T>(options: ClientOptions, work: (admin: Admin) => Promise<T>, signal: AbortSignal): Promise<T> {
  const client = new Client(options, { retries: 5, initialRetryTime: 100, maxRetryTime: 1_000 });
  const admin = client.kafka.admin({ retry: client.retry });
  const worked = async (): Promise<T> => {
    await admin.connect();
    return work(admin);
  };
  try {
    return await settle(worked(), { ms: patienceMs, clock: options.clock, signal });
  } catch (error) {
    throw asLogError(options.settings.brokers, error);
  } finally {
    await client.close(() => admin.disconnect());
  }
}

function creation(
  { topic, partitions, cleanup }: TopicSpec,
  replicationFactor: number,
): Parameters<Admin["createTopics"]>[0]["topics"][number] {
  return {
    topic,
    numPartitions: partitions,
    replicationFactor,
    configEntries: [
      { name: "cleanup.policy", value: cleanup },
      { name: "retention.ms", value: "-1" },
      { name: "retention.bytes", value: "-1" },
      { name: "max.message.bytes", value: String(topicBatchBytesMax) },
    ],
  };
}

type Settings = ReadonlyMap<string, string>;

async function describe(
  admin: Admin,
  names: readonly Topic[],
  link: BrokerLink,
  signal: AbortSignal,
): Promise<ReadonlyMap<string, Settings>> {
  const resources = names.map((name) => ({ type: ConfigResourceTypes.TOPIC, name, configNames: checkedSettings }));
  const backoff = new Backoff(50, 400);
  for (let tries = 1; ; tries++) {
    try {
      const described = await admin.describeConfigs({ resources, includeSynonyms: false });
      return new Map(
        described.resources.map(({ resourceName, configEntries }) => [
          resourceName,
          new Map(configEntries.map(({ configName, configValue }) => [configName, configValue])),
        ]),
      );
    } catch (error) {
      // The broker that answers may not have heard of a topic that was just made.
      if (!isUnknownTopic(error) || tries === 6) throw error;
      await link.options.clock.delay(backoff.next(), signal);
    }
  }
}

function assertUsable(spec: TopicSpec, partitions: number, settings: Settings): void {
  const { topic, cleanup } = spec;
  const refuse = (setting: string, is: string, wanted: string): never => {
    const what = `topic ${topic} has ${setting}=${is}, not ${wanted}`;
    throw new TailraceError("log.topic-settings", { what, where: { topic, setting, is, wanted } });
  };
  if (partitions !== spec.partitions) refuse("partitions", String(partitions), String(spec.partitions));
  const policy = settings.get("cleanup.policy") ?? "";
  if (policy !== cleanup) refuse("cleanup.policy", policy, cleanup);
  if (cleanup === "delete") {
    for (const setting of ["retention.ms", "retention.bytes"]) {
      const is = settings.get(setting) ?? "";
      if (is !== "-1") refuse(setting, is, "-1");
    }
  }
  const largest = settings.get("max.message.bytes") ?? "0";
  if (Number(largest) < topicBatchBytesMax) refuse("max.message.bytes", largest, `${topicBatchBytesMax} or more`);
}
