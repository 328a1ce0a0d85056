/**
 * A LogStore in memory, exact to the contract, for tests of what stands above it (the log protocol, the schema registry). `MemoryLog` is
 * the broker: it outlives its clients and can be told to go wrong. `MemoryLog.store()` makes a client; several may exist at once.
 *
 * What goes wrong is decided per append and partition (`onAppend`): stored; lost; stored later, at a moment the test picks
 * (`deliverLate`). Whenever one partition is not `stored`, or the fate says so, the append rejects and its appender is dead. Tails are cut
 * by `loseTail`, heads by `forget`. As in Kafka, offsets of a lost tail are given out again.
 */
import type {
  Bounds,
  LogAppender,
  LogStore,
  LogTail,
  OutgoingRecord,
  PartitionBounds,
  StoredRecord,
  TopicSpec,
} from "../../core/contracts/log-store.js";
import { TailraceError } from "../../core/errors.js";
import { recordBytes, recordBytesMax } from "../../core/record-size.js";
import { type Offset, offset, type Topic } from "../../core/vocabulary/ids.js";
import { MemoryTail } from "./memory-log-tail.js";

export type PartitionFate = "stored" | "lost" | "late";
export interface AppendFate {
  /** What becomes of each partition's records. */
  readonly partition: (topic: Topic, partition: number) => PartitionFate;
  /** True: the answer never comes back, though everything may have been stored. */
  readonly answerLost: boolean;
}
export interface PartitionWrite {
  readonly topic: Topic;
  readonly partition: number;
  readonly records: readonly OutgoingRecord[];
}

export const fates = {
  stored: { partition: () => "stored", answerLost: false },
  answerLost: { partition: () => "stored", answerLost: true },
  lost: { partition: () => "lost", answerLost: true },
  late: { partition: () => "late", answerLost: true },
} as const satisfies Record<string, AppendFate>;

interface Partition {
  first: number;
  end: number;
  /** By offset; with gaps where a trim kept single records. */
  records: StoredRecord[];
}
interface TopicState {
  readonly spec: TopicSpec;
  readonly partitions: readonly Partition[];
}

export type Timer = (ms: number, fire: () => void) => () => void;
const realTimer: Timer = (ms, fire) => {
  const timer = setTimeout(fire, ms);
  return () => clearTimeout(timer);
};

export class MemoryLog {
  /** Asked before each append is carried out. */
  onAppend: (writes: readonly PartitionWrite[]) => AppendFate = () => fates.stored;
  /** Most records that scan and tail hand over at once. */
  pageRecords: number;
  /** How long a tail waits; simulations have their own time. Returns what cancels it. */
  readonly timer: Timer;
  readonly #topics = new Map<Topic, TopicState>();
  readonly #late: PartitionWrite[] = [];
  readonly #listeners = new Set<() => void>();

  constructor(options: { readonly pageRecords?: number; readonly timer?: Timer } = {}) {
    this.pageRecords = options.pageRecords ?? 500;
    this.timer = options.timer ?? realTimer;
  }

  store(): LogStore {
    return new MemoryLogStore(this);
  }

  /** Number of partition writes that are on their way. */
  get lateWrites(): number {
    return this.#late.length;
  }

  /** Lets the oldest (or the n-th oldest) late write arrive now; false when there is none. */
  deliverLate(n = 0): boolean {
    const [write] = this.#late.splice(n, 1);
    if (write === undefined) return false;
    if (this.#topics.has(write.topic)) this.write(write);
    return true;
  }

  deliverAllLate(): void {
    while (this.deliverLate());
  }

  /** They never arrive. */
  dropLate(): void {
    this.#late.length = 0;
  }

  /** The partition ends at `end` from now on. */
  loseTail(topic: Topic, end: number, partition = 0): void {
    const found = this.partition(topic, partition);
    found.end = Math.max(found.first, Math.min(found.end, end));
    found.records = found.records.filter((record) => record.offset < end);
  }

  /** Records below `below` are gone, but for those to keep: retention, or trim. */
  forget(topic: Topic, below: number, partition = 0, keep: readonly number[] = []): void {
    const found = this.partition(topic, partition);
    found.records = found.records.filter((record) => record.offset >= below || keep.includes(record.offset));
    found.first = found.records[0]?.offset ?? Math.max(found.first, Math.min(below, found.end));
  }

  records(topic: Topic, partition = 0): readonly StoredRecord[] {
    return [...this.partition(topic, partition).records];
  }

  has(topic: Topic): boolean {
    return this.#topics.has(topic);
  }

  topics(): readonly Topic[] {
    return [...this.#topics.keys()];
  }

  create(spec: TopicSpec): void {
    const existing = this.#topics.get(spec.topic)?.spec;
    if (existing === undefined) {
      const partitions = Array.from({ length: spec.partitions }, (): Partition => ({ first: 0, end: 0, records: [] }));
      this.#topics.set(spec.topic, { spec, partitions });
      return;
    }
    if (existing.cleanup === spec.cleanup && existing.partitions === spec.partitions) return;
    const what = `topic ${spec.topic} has cleanup.policy ${existing.cleanup} and ${existing.partitions} partitions`;
    throw new TailraceError("log.topic-settings", { what, where: { topic: spec.topic } });
  }

  delete(topic: Topic): void {
    this.#topics.delete(topic);
    this.#wake();
  }

  /** Appends as it is, whoever sent it; also for tests that write as a stranger. Returns the base offset. */
  write(write: PartitionWrite): Offset {
    const partition = this.partition(write.topic, write.partition);
    const base = partition.end;
    partition.end += write.records.length;
    write.records.forEach((record, i) => partition.records.push({ ...copyOf(record), offset: offset(base + i) }));
    this.#wake();
    return offset(base);
  }

  keepForLater(write: PartitionWrite): void {
    this.#late.push({ ...write, records: write.records.map(copyOf) });
  }

  boundsOf(topic: Topic): readonly PartitionBounds[] {
    return this.#topic(topic).partitions.map((p): PartitionBounds => ({ first: offset(p.first), end: offset(p.end) }));
  }

  /** Next page at or above `from`; from `first` when that is gone. */
  page(topic: Topic, number: number, range: { readonly from: number; readonly until: number }): readonly StoredRecord[] {
    const partition = this.partition(topic, number);
    const start = indexOf(partition.records, range.from);
    const end = Math.min(indexOf(partition.records, range.until), start + this.pageRecords);
    return partition.records.slice(start, Math.max(start, end)).map((record) => ({ ...copyOf(record), offset: record.offset }));
  }

  partition(topic: Topic, partition: number): Partition {
    const found = this.#topic(topic).partitions[partition];
    if (found === undefined)
      throw new TailraceError("log.topic-missing", { what: "the partition is not there", where: { topic, partition } });
    return found;
  }

  /** Calls after anything was written or deleted, until the returned function is called. */
  listen(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  #topic(topic: Topic): TopicState {
    const found = this.#topics.get(topic);
    if (found === undefined) throw new TailraceError("log.topic-missing", { what: "the topic is not there", where: { topic } });
    return found;
  }

  #wake(): void {
    for (const listener of [...this.#listeners]) listener();
  }
}

class MemoryLogStore implements LogStore {
  constructor(private readonly log: MemoryLog) {}

  async ensure(topics: readonly TopicSpec[], signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    for (const spec of topics) this.log.create(spec);
  }

  async existing(topics: readonly Topic[], signal: AbortSignal): Promise<ReadonlySet<Topic>> {
    signal.throwIfAborted();
    return new Set(topics.filter((topic) => this.log.has(topic)));
  }

  async bounds(topics: readonly Topic[], signal: AbortSignal): Promise<Bounds> {
    signal.throwIfAborted();
    return new Map(topics.map((topic) => [topic, this.log.boundsOf(topic)]));
  }

  async appender(signal: AbortSignal): Promise<LogAppender> {
    signal.throwIfAborted();
    return new MemoryAppender(this.log);
  }

  async *scan(
    topic: Topic,
    partition: number,
    range: { readonly from: Offset; readonly until: Offset },
    signal: AbortSignal,
  ): AsyncIterable<readonly StoredRecord[]> {
    let from: number = range.from;
    for (;;) {
      signal.throwIfAborted();
      const page = this.log.page(topic, partition, { from, until: range.until });
      const last = page.at(-1);
      if (last === undefined) return;
      yield page;
      from = last.offset + 1;
    }
  }

  async tail(from: ReadonlyMap<Topic, readonly Offset[]>, signal: AbortSignal): Promise<LogTail> {
    signal.throwIfAborted();
    return new MemoryTail(this.log, from);
  }

  async destroy(topics: readonly Topic[], signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    for (const topic of topics) this.log.delete(topic);
  }

  async trim(below: ReadonlyMap<Topic, readonly Offset[]>, keep: ReadonlyMap<Topic, readonly Offset[]>): Promise<void> {
    for (const [topic, offsets] of below) offsets.forEach((at, partition) => this.log.forget(topic, at, partition, keep.get(topic)));
  }

  async [Symbol.asyncDispose](): Promise<void> {}
}

class MemoryAppender implements LogAppender {
  #state: "ready" | "appending" | "dead" = "ready";

  constructor(private readonly log: MemoryLog) {}

  async append(
    records: readonly OutgoingRecord[],
    signal: AbortSignal,
  ): Promise<readonly { readonly topic: Topic; readonly partition: number; readonly base: Offset }[]> {
    if (this.#state !== "ready") throw new TailraceError("log.append-failed", { what: `the appender is ${this.#state}` });
    this.#state = "appending";
    try {
      const answer = await this.#carryOut(records, signal);
      this.#state = "ready";
      return answer;
    } catch (error) {
      this.#state = "dead";
      throw error;
    }
  }

  async #carryOut(records: readonly OutgoingRecord[], signal: AbortSignal) {
    signal.throwIfAborted();
    const writes = byPartition(records);
    for (const { topic, partition } of writes) this.log.partition(topic, partition);
    for (const record of records) checkSize(record);
    const fate = this.log.onAppend(writes);
    // The answer travels: whoever does not wait for it is found out.
    await new Promise<void>((resolve) => setImmediate(resolve));
    const answer: { topic: Topic; partition: number; base: Offset }[] = [];
    for (const write of writes) {
      const { topic, partition } = write;
      const what = fate.partition(topic, partition);
      if (what === "stored") answer.push({ topic, partition, base: this.log.write(write) });
      if (what === "late") this.log.keepForLater(write);
    }
    if (fate.answerLost || answer.length !== writes.length)
      throw new TailraceError("log.append-failed", { what: "the append did not come back with success" });
    return answer;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#state = "dead";
  }
}

function byPartition(records: readonly OutgoingRecord[]): readonly PartitionWrite[] {
  const writes = new Map<string, { topic: Topic; partition: number; records: OutgoingRecord[] }>();
  for (const record of records) {
    const name = `${record.topic}/${record.partition}`;
    const write = writes.get(name) ?? { topic: record.topic, partition: record.partition, records: [] };
    write.records.push(record);
    writes.set(name, write);
  }
  return [...writes.values()];
}

function checkSize(record: OutgoingRecord): void {
  const bytes = recordBytes(record);
  if (bytes > recordBytesMax)
    throw new TailraceError("log.record-too-large", { what: "a record is too large", where: { topic: record.topic, bytes } });
}

/** Of the first record at or above the offset. */
function indexOf(records: readonly StoredRecord[], at: number): number {
  let low = 0;
  let high = records.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((records[middle]?.offset ?? at) < at) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** Bytes are copied both ways: nobody may count on sharing memory with a broker. */
function copyOf(record: OutgoingRecord): OutgoingRecord {
  return {
    topic: record.topic,
    partition: record.partition,
    key: record.key === null ? null : Buffer.from(record.key),
    value: record.value === null ? null : Buffer.from(record.value),
    headers: record.headers.map(([name, value]) => [name, Buffer.from(value)]),
  };
}
