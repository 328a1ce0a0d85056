/**
 * The topics below the log protocol: what Kafka and the embedded log both are. The protocol (core/log) is written once above it.
 * Every partition is an append-only list of records with rising offsets; offsets may have gaps only below `first`.
 */
import type { Offset, Topic } from "../vocabulary/ids.js";

export type Header = readonly [name: string, value: Uint8Array];
export interface OutgoingRecord {
  readonly topic: Topic;
  readonly partition: number;
  readonly key: Uint8Array | null;
  readonly value: Uint8Array | null;
  readonly headers: readonly Header[];
}
export interface StoredRecord extends OutgoingRecord {
  readonly offset: Offset;
}
export interface TopicSpec {
  readonly topic: Topic;
  readonly partitions: number;
  readonly cleanup: "delete" | "compact";
}
/** `end`: offset of the next record. `first`: of the oldest that is still there. */
export interface PartitionBounds {
  readonly first: Offset;
  readonly end: Offset;
}
export type Bounds = ReadonlyMap<Topic, readonly PartitionBounds[]>;

export interface LogStore extends AsyncDisposable {
  /** Creates what is missing. An existing topic with settings that lose data rejects with `log.topic-settings`. Idempotent. */
  ensure(topics: readonly TopicSpec[], signal: AbortSignal): Promise<void>;
  /** Those of them that are there, by one question however many they are. */
  existing(topics: readonly Topic[], signal: AbortSignal): Promise<ReadonlySet<Topic>>;
  /** Rejects with `log.topic-missing` when one is not there, which may take a second: news of a topic travels. */
  bounds(topics: readonly Topic[], signal: AbortSignal): Promise<Bounds>;
  /** A new producer. At most one append in flight; after any rejection it is dead and must be disposed. */
  appender(signal: AbortSignal): Promise<LogAppender>;
  /** Records with from ≤ offset < until, in offset order, a page at a time. Starts at `first` when `from` lies below. */
  scan(
    topic: Topic,
    partition: number,
    range: { readonly from: Offset; readonly until: Offset },
    signal: AbortSignal,
  ): AsyncIterable<readonly StoredRecord[]>;
  /** Follows partitions from the given offsets on, for ever. Offsets above the end wait there until the partition has grown. */
  tail(from: ReadonlyMap<Topic, readonly Offset[]>, signal: AbortSignal): Promise<LogTail>;
  /** Deletes topics and all records. Idempotent. */
  destroy(topics: readonly Topic[], signal: AbortSignal): Promise<void>;
  /** Forgets records below the offsets, but for those to keep, where the store can (embedded); a hint. `first` becomes the oldest kept. */
  trim(below: ReadonlyMap<Topic, readonly Offset[]>, keep: ReadonlyMap<Topic, readonly Offset[]>): Promise<void>;
}

export interface LogAppender extends AsyncDisposable {
  /**
   * One request. Durable on return: all records. Not atomic over partitions: after a rejection any subset of partitions may hold
   * their records, or come to hold them later. Returns the base offset of each partition written.
   */
  append(
    records: readonly OutgoingRecord[],
    signal: AbortSignal,
  ): Promise<readonly { readonly topic: Topic; readonly partition: number; readonly base: Offset }[]>;
}

export interface LogTail extends AsyncDisposable {
  /**
   * The next records, all of one partition, in offset order; null when `waitMs` has passed without any. After an abort it may be called again:
   * nothing was skipped.
   */
  next(waitMs: number, signal: AbortSignal): Promise<readonly StoredRecord[] | null>;
  pause(topic: Topic, partition: number): void;
  resume(topic: Topic, partition: number): void;
  /** What was fetched and not yet returned for this partition is thrown away. */
  seek(topic: Topic, partition: number, to: Offset): Promise<void>;
}
