/** One fetch from one broker. */
import type { StoredRecord } from "../../core/contracts/log-store.js";
import { TailraceError } from "../../core/errors.js";
import { offset, type Topic } from "../../core/vocabulary/ids.js";
import { outOfRange } from "./kafka-errors.js";
import { type Cluster, type FetchedPartition, type FetchRequest, readUncommitted } from "./library.js";

export interface FetchWish {
  readonly topic: Topic;
  readonly partition: number;
  readonly position: number;
}
export interface FetchLimits {
  readonly waitMs: number;
  readonly partitionBytes: number;
  readonly bytes: number;
}
export interface Fetched {
  readonly topic: string;
  readonly partition: number;
  readonly records: readonly StoredRecord[];
  /** Where the next fetch begins: behind the last record, or behind control records that are not ours to hand on. */
  readonly next: number;
  /** The partition's end as this broker saw it. */
  readonly end: number;
}
export type FetchResult =
  | { readonly kind: "fetched"; readonly partitions: readonly Fetched[] }
  /** This partition holds no such offset; nothing of the others was handed over. */
  | { readonly kind: "out-of-range"; readonly topic: string; readonly partition: number };

export function leaderOf(cluster: Cluster, topic: Topic, partition: number): number {
  const leader = cluster.findTopicPartitionMetadata(topic).find(({ partitionId }) => partitionId === partition)?.leader;
  if (leader === undefined)
    throw new TailraceError("log.topic-missing", { what: `topic ${topic} has no partition ${partition}`, where: { topic, partition } });
  return leader;
}

export async function fetchFrom(cluster: Cluster, nodeId: number, wishes: readonly FetchWish[], limits: FetchLimits): Promise<FetchResult> {
  const broker = await cluster.findBroker({ nodeId });
  const positions = new Map(wishes.map(({ topic, partition, position }) => [`${partition} ${topic}`, { topic, position }]));
  const request: FetchRequest = {
    replicaId: -1,
    isolationLevel: readUncommitted,
    maxWaitTime: limits.waitMs,
    minBytes: 1,
    maxBytes: limits.bytes,
    topics: wishes.map(({ topic, partition, position }) => ({
      topic,
      partitions: [{ partition, fetchOffset: String(position), maxBytes: limits.partitionBytes }],
    })),
  };
  try {
    const { responses } = await broker.fetch(request);
    const partitions = responses.flatMap(({ topicName, partitions: of }) =>
      of.flatMap((each): Fetched[] => {
        const wish = positions.get(`${each.partition} ${topicName}`);
        return wish === undefined ? [] : [fetched(wish.topic, wish.position, each)];
      }),
    );
    return { kind: "fetched", partitions };
  } catch (error) {
    const out = outOfRange(error);
    if (out === null) throw error;
    return { kind: "out-of-range", ...out };
  }
}

function fetched(topic: Topic, position: number, { partition, highWatermark, messages }: FetchedPartition): Fetched {
  const records: StoredRecord[] = [];
  let next = position;
  for (const message of messages) {
    const at = message.offset;
    // A batch is handed over whole, also when only its end was asked for.
    if (at < position) continue;
    next = at + 1;
    if (message.isControlRecord) continue;
    const { key, value, headers } = message;
    records.push({ topic, partition, offset: offset(at), key, value, headers });
  }
  return { topic, partition, records, next, end: Number(highWatermark) };
}

export const recordsBytes = (records: readonly StoredRecord[]): number =>
  records.reduce((bytes, { key, value }) => bytes + 96 + (key?.length ?? 0) + (value?.length ?? 0), 0);
