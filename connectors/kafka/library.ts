/**
 * kafkajs, patched, and those of its inner parts that we drive ourselves. Its consumer is not among them: a consumer group brings
 * rebalances, commits, hidden seeks and silent jumps that a reader which keeps its own offsets has to fight; fetching a partition from its
 * leader needs none of them. What is declared here is all that is used of the inner parts.
 */
import { createRequire } from "node:module";
import type * as KafkaJs from "kafkajs";
import { patchLibrary } from "./library-patches.js";
import type { BatchedRecord } from "./record-batch.js";

patchLibrary();
const require = createRequire(import.meta.url);
const library = require("kafkajs") as typeof KafkaJs;

export const { Kafka, ConfigResourceTypes, logLevel } = library;
export type { Admin, KafkaConfig, Producer, RetryOptions } from "kafkajs";

export interface FetchedPartition {
  readonly partition: number;
  readonly highWatermark: string;
  /** As `patchLibrary` has them decoded. */
  readonly messages: readonly BatchedRecord[];
}
export interface FetchResponse {
  readonly responses: readonly { readonly topicName: string; readonly partitions: readonly FetchedPartition[] }[];
}
export interface FetchRequest {
  readonly replicaId: number;
  readonly isolationLevel: number;
  readonly maxWaitTime: number;
  readonly minBytes: number;
  readonly maxBytes: number;
  readonly topics: readonly {
    readonly topic: string;
    readonly partitions: readonly { readonly partition: number; readonly fetchOffset: string; readonly maxBytes: number }[];
  }[];
}
export interface LeaderBroker {
  fetch(request: FetchRequest): Promise<FetchResponse>;
}
export interface PartitionMetadata {
  readonly partitionId: number;
  readonly leader: number;
}
export interface TopicOffsets {
  readonly topic: string;
  readonly partitions: readonly { readonly partition: number; readonly offset: string }[];
}
export interface Cluster {
  connect(): Promise<void>;
  disconnect(): Promise<void>;
  addMultipleTargetTopics(topics: readonly string[]): Promise<void>;
  refreshMetadata(): Promise<void>;
  findTopicPartitionMetadata(topic: string): readonly PartitionMetadata[];
  findBroker(which: { readonly nodeId: number }): Promise<LeaderBroker>;
  fetchTopicsOffset(
    topics: readonly {
      readonly topic: string;
      readonly partitions: readonly { readonly partition: number }[];
      readonly fromBeginning: boolean;
    }[],
  ): Promise<readonly TopicOffsets[]>;
}

interface ClusterOptions {
  readonly metadataMaxAge: number;
  readonly allowAutoTopicCreation: boolean;
  readonly isolationLevel: number;
}

/** Offsets are counted, and records read, to the high watermark: nothing of ours is transactional. */
export const readUncommitted = 0;

export function createCluster(kafka: InstanceType<typeof Kafka>): Cluster {
  const create = Object.getOwnPropertySymbols(kafka).find((symbol) => symbol.description === "private:Kafka:createCluster");
  if (create === undefined) throw new Error("this is not the version of kafkajs that is pinned");
  const options: ClusterOptions = { metadataMaxAge: 300_000, allowAutoTopicCreation: false, isolationLevel: readUncommitted };
  const inner = kafka as unknown as Readonly<Record<symbol, (options: ClusterOptions) => Cluster>>;
  const make = inner[create];
  if (make === undefined) throw new Error("this is not the version of kafkajs that is pinned");
  return make(options);
}
