/**
 * Connections to the cluster for asking and fetching. `ask` tries for a while, each time over fresh connections and metadata: after an
 * error the library's own state (seed broker, cached leaders, half-open sockets) is not worth knowing.
 */
import { Backoff } from "../../core/clock.js";
import type { PartitionBounds } from "../../core/contracts/log-store.js";
import { isAbort, TailraceError } from "../../core/errors.js";
import { offset, type Topic } from "../../core/vocabulary/ids.js";
import { Client, type ClientOptions } from "./client.js";
import { asLogError, isUnknownTopic } from "./kafka-errors.js";
import { type Cluster, createCluster, type TopicOffsets } from "./library.js";
import { settle } from "./settle.js";

const askPatienceMs = 4_000;
/** A topic that was just made is not known to every broker at once. */
const missingPatienceMs = 800;
const answerPatienceMs = 15_000;

interface OpenLink {
  readonly client: Client;
  readonly cluster: Cluster;
  readonly connected: Promise<void>;
}

export class BrokerLink implements AsyncDisposable {
  #open: OpenLink | null = null;
  #closed = false;
  readonly #closing = new Set<Promise<void>>();

  constructor(readonly options: ClientOptions) {}

  /** The cluster's metadata know the topics when `work` is called, which may be more than once. */
  async ask<T>(topics: readonly Topic[], work: (cluster: Cluster) => Promise<T>, signal: AbortSignal): Promise<T> {
    const { clock } = this.options;
    const startMs = clock.monotonicMs();
    const backoff = new Backoff(50, 500);
    for (;;) {
      try {
        return await this.askOnce(topics, work, signal);
      } catch (error) {
        if (!(error instanceof TailraceError)) throw error;
        const elapsedMs = clock.monotonicMs() - startMs;
        if (error.code === "log.topic-missing" && isUnknownTopic(error.cause)) {
          if (elapsedMs > missingPatienceMs) throw await this.#naming(topics, error, signal);
        } else if (error.verdict !== "retry" || elapsedMs > askPatienceMs) throw error;
      }
      await clock.delay(backoff.next(), signal);
    }
  }

  /** One try. After an error of the library, or without an answer in time, the connections are given up. */
  async askOnce<T>(
    topics: readonly Topic[],
    work: (cluster: Cluster) => Promise<T>,
    signal: AbortSignal,
    patienceMs = answerPatienceMs,
  ): Promise<T> {
    const { clock, settings } = this.options;
    if (this.#closed) throw new TailraceError("log.unavailable", { what: "the log was closed" });
    const open = (this.#open ??= this.#connect());
    const asked = async (): Promise<T> => {
      await open.connected;
      await open.cluster.addMultipleTargetTopics(topics);
      return work(open.cluster);
    };
    try {
      return await settle(asked(), { ms: patienceMs, clock, signal });
    } catch (error) {
      if (!isAbort(error)) this.#giveUp(open);
      throw asLogError(settings.brokers, error);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true;
    if (this.#open !== null) this.#giveUp(this.#open);
    await Promise.all(this.#closing);
  }

  #connect(): OpenLink {
    // Every given broker is tried once; trying again is ours.
    const client = new Client(this.options, { retries: this.options.settings.brokers.length, initialRetryTime: 50, maxRetryTime: 300 });
    const cluster = createCluster(client.kafka);
    const connected = cluster.connect();
    // Whoever asks awaits it; this keeps the rejection from being unhandled when the asker has left.
    connected.catch(() => undefined);
    return { client, cluster, connected };
  }

  #giveUp(open: OpenLink): void {
    if (this.#open === open) this.#open = null;
    const closing = open.client.close(() => open.cluster.disconnect()).finally(() => this.#closing.delete(closing));
    this.#closing.add(closing);
  }

  /** The broker does not say which of the topics it does not know. */
  async #naming(topics: readonly Topic[], error: TailraceError, signal: AbortSignal): Promise<TailraceError> {
    for (const topic of topics) {
      const missing = await this.askOnce([topic], () => Promise.resolve(false), signal).catch((thrown: unknown) => isUnknownTopic(thrown));
      if (missing) return missingTopic(topic, error);
    }
    return error;
  }
}

export const missingTopic = (topic: Topic, cause?: unknown): TailraceError =>
  new TailraceError("log.topic-missing", { what: `topic ${topic} is not there`, where: { topic }, cause });

/** First and end of every partition, in two requests per broker for all topics. */
export async function fetchBounds(cluster: Cluster, topics: readonly Topic[]): Promise<Map<Topic, readonly PartitionBounds[]>> {
  const wanted = topics.map((topic) => {
    const partitions = cluster.findTopicPartitionMetadata(topic).map(({ partitionId }) => ({ partition: partitionId }));
    return { topic, partitions };
  });
  const ask = (fromBeginning: boolean): Promise<readonly TopicOffsets[]> =>
    cluster.fetchTopicsOffset(wanted.map((each) => ({ ...each, fromBeginning })));
  const [firsts, ends] = await Promise.all([ask(true).then(offsetsByPartition), ask(false).then(offsetsByPartition)]);
  return new Map(
    wanted.map(({ topic, partitions }) => {
      const bounds = partitions
        .map(({ partition }) => partition)
        .toSorted((a, b) => a - b)
        .map((partition) => ({ first: found(firsts, topic, partition), end: found(ends, topic, partition) }));
      return [topic, bounds];
    }),
  );
}

const partitionKey = (topic: string, partition: number): string => `${partition} ${topic}`;

const offsetsByPartition = (topics: readonly TopicOffsets[]): ReadonlyMap<string, number> =>
  new Map(topics.flatMap(({ topic, partitions }) => partitions.map((each) => [partitionKey(topic, each.partition), Number(each.offset)])));

function found(offsets: ReadonlyMap<string, number>, topic: Topic, partition: number): PartitionBounds["first"] {
  const at = offsets.get(partitionKey(topic, partition));
  if (at === undefined || at < 0)
    throw new TailraceError("log.unavailable", {
      what: `the broker does not say where ${topic} begins and ends`,
      where: { topic, partition },
    });
  return offset(at);
}
