/** The log on a Kafka cluster. Each appender and each tail has connections of its own; asking and scanning share one link. */
import { type Clock, systemClock } from "../../core/clock.js";
import type { Bounds, LogAppender, LogStore, LogTail, StoredRecord, TopicSpec } from "../../core/contracts/log-store.js";
import type { KafkaSettings } from "../../core/settings.js";
import type { Offset, Topic } from "../../core/vocabulary/ids.js";
import { BrokerLink, fetchBounds } from "./broker-link.js";
import { assertSafe, type ClientOptions } from "./client.js";
import { openAppender } from "./kafka-appender.js";
import { scanPartition } from "./kafka-scan.js";
import { openTail } from "./kafka-tail.js";
import { destroyTopics, ensureTopics, existingTopics } from "./kafka-topics.js";

export interface KafkaLogOptions {
  readonly clientId: string;
  readonly clock?: Clock;
}

/** Connects to nothing yet: the first call does. Refuses settings that would send a password in the clear. */
export async function openKafkaLog(settings: KafkaSettings, { clientId, clock = systemClock }: KafkaLogOptions): Promise<LogStore> {
  assertSafe(settings);
  return new KafkaLog({ settings, clientId, clock });
}

class KafkaLog implements LogStore {
  readonly #link: BrokerLink;

  constructor(private readonly options: ClientOptions) {
    this.#link = new BrokerLink(options);
  }

  ensure(topics: readonly TopicSpec[], signal: AbortSignal): Promise<void> {
    return ensureTopics(this.#link, topics, signal);
  }

  existing(topics: readonly Topic[], signal: AbortSignal): Promise<ReadonlySet<Topic>> {
    return existingTopics(this.options, topics, signal);
  }

  bounds(topics: readonly Topic[], signal: AbortSignal): Promise<Bounds> {
    return this.#link.ask(topics, (cluster) => fetchBounds(cluster, topics), signal);
  }

  async appender(signal: AbortSignal): Promise<LogAppender> {
    // A producer tries to connect for long, since it must ride over restarts; whether there is a broker at all is known sooner.
    await this.#link.ask([], () => Promise.resolve(), signal);
    return openAppender(this.options, signal);
  }

  scan(
    topic: Topic,
    partition: number,
    range: { readonly from: Offset; readonly until: Offset },
    signal: AbortSignal,
  ): AsyncIterable<readonly StoredRecord[]> {
    return scanPartition(this.#link, { topic, partition }, range, signal);
  }

  tail(from: ReadonlyMap<Topic, readonly Offset[]>, signal: AbortSignal): Promise<LogTail> {
    return openTail(this.options, from, signal);
  }

  destroy(topics: readonly Topic[], signal: AbortSignal): Promise<void> {
    return destroyTopics(this.options, topics, signal);
  }

  /** Kafka's topics are shared with other readers; how long they keep records is their owner's to say. */
  trim(): Promise<void> {
    return Promise.resolve();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#link[Symbol.asyncDispose]();
  }
}
