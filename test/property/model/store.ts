/**
 * The log store as one process of the model sees it. An append parks: whether and where it lands is the schedule's word. A tail shows only
 * what the schedule has let it see, partition by partition, and parks when that is nothing new.
 */
import type { Bounds, LogAppender, LogStore, LogTail, OutgoingRecord, StoredRecord, TopicSpec } from "../../../core/contracts/log-store.js";
import { TailraceError } from "../../../core/errors.js";
import { type Offset, offset, type Topic } from "../../../core/vocabulary/ids.js";
import type { MemoryLog, PartitionWrite } from "../../support/memory-log-store.js";

/** What becomes of one request. */
export type Fate =
  | { readonly kind: "stored" }
  /** Everything stored, the answer lost. */
  | { readonly kind: "unanswered" }
  /** Rows are taken for a repetition of this producer's last ones: acknowledged with their offset, and not stored. (Seen on real brokers.) */
  | { readonly kind: "repetition" }
  /** Each partition by the bits of `which`: stored, late or lost. */
  | { readonly kind: "partial"; readonly which: number };

/** False breaks the rule. */
export interface StoreRules {
  /** After an error a producer sends nothing more (false: it sends the same again, as clients do that retry). */
  readonly producerThrownAway: boolean;
}
export const allStoreRules: StoreRules = { producerThrownAway: true };

export type Parking = (place: string) => Promise<Fate>;
/** How far a reader sees each partition. */
export type Sight = Map<string, number>;

export const laneName = (topic: Topic, partition: number): string => `${topic}/${partition}`;

export function byPartition(records: readonly OutgoingRecord[]): readonly PartitionWrite[] {
  const writes = new Map<string, { topic: Topic; partition: number; records: OutgoingRecord[] }>();
  for (const record of records) {
    const name = laneName(record.topic, record.partition);
    const write = writes.get(name);
    if (write === undefined) writes.set(name, { topic: record.topic, partition: record.partition, records: [record] });
    else write.records.push(record);
  }
  return [...writes.values()];
}

export class ModelStore implements LogStore {
  /** The request that is on its way while its process is parked in it. */
  inFlight: readonly PartitionWrite[] = [];

  constructor(
    readonly log: MemoryLog,
    private readonly park: Parking,
    private readonly sight: Sight | null = null,
    private readonly rules: StoreRules = allStoreRules,
  ) {}

  async ensure(topics: readonly TopicSpec[]): Promise<void> {
    for (const spec of topics) this.log.create(spec);
  }

  async existing(topics: readonly Topic[]): Promise<ReadonlySet<Topic>> {
    return new Set(topics.filter((topic) => this.log.has(topic)));
  }

  async bounds(topics: readonly Topic[]): Promise<Bounds> {
    return new Map(topics.map((topic) => [topic, this.log.boundsOf(topic)]));
  }

  async appender(): Promise<LogAppender> {
    let dead = false;
    const last: LastBases = new Map();
    return {
      append: async (records) => {
        if (dead) throw new TailraceError("internal", { what: "append on a dead appender" });
        const send = async (): Promise<ReturnType<typeof carryOut>> => {
          this.inFlight = byPartition(records);
          const fate = await this.park("append");
          const writes = this.inFlight;
          this.inFlight = [];
          return carryOut(this.log, writes, fate, last);
        };
        let answer = await send();
        if (answer === null && !this.rules.producerThrownAway) answer = await send();
        dead = answer === null;
        if (answer === null) throw new TailraceError("log.append-failed", { what: "the append did not come back" });
        return answer;
      },
      [Symbol.asyncDispose]: async () => {
        dead = true;
      },
    };
  }

  async *scan(
    topic: Topic,
    partition: number,
    range: { readonly from: Offset; readonly until: Offset },
  ): AsyncIterable<readonly StoredRecord[]> {
    for (let from: number = range.from; ; ) {
      const page = this.log.page(topic, partition, { from, until: range.until });
      const last = page.at(-1);
      if (last === undefined) return;
      yield page;
      from = last.offset + 1;
    }
  }

  async tail(from: ReadonlyMap<Topic, readonly Offset[]>): Promise<LogTail> {
    return new ModelTail(this.log, from, this.park, this.sight ?? new Map());
  }

  async destroy(): Promise<void> {}
  async trim(): Promise<void> {}
  async [Symbol.asyncDispose](): Promise<void> {}
}

/** Where this producer's last records of each partition are. */
type LastBases = Map<string, number>;

/** null: no answer comes. */
export function carryOut(log: MemoryLog, writes: readonly PartitionWrite[], fate: Fate, last: LastBases = new Map()) {
  const answer: { topic: Topic; partition: number; base: Offset }[] = [];
  writes.forEach((write, i) => {
    const name = laneName(write.topic, write.partition);
    const before = last.get(name);
    if (fate.kind === "repetition" && before !== undefined && !write.topic.endsWith(".cuts")) {
      answer.push({ topic: write.topic, partition: write.partition, base: offset(before) });
      return;
    }
    const bits = fate.kind === "partial" ? (fate.which >> (2 * (i % 12))) & 3 : 0;
    // Half of the partitions are stored, of the others as many come late as never.
    if (bits < 2) {
      const base = log.write(write);
      last.set(name, base);
      answer.push({ topic: write.topic, partition: write.partition, base });
    } else if (bits === 2 && !isLogRecord(write)) log.keepForLater(write);
  });
  return fate.kind === "stored" || fate.kind === "repetition" ? answer : null;
}

/**
 * A second first record of a log, landing late, is passed over by everybody. Only together with a tail lost at its very place, grown again to
 * the same length, would it hide the loss; that is left out.
 */
const isLogRecord = ({ records }: PartitionWrite): boolean =>
  Buffer.from(records[0]?.value ?? [])
    .toString("latin1", 0, 13)
    .startsWith('{"kind":"log"');

class ModelTail implements LogTail {
  readonly #places: { topic: Topic; partition: number; at: number; paused: boolean }[] = [];

  constructor(
    private readonly log: MemoryLog,
    from: ReadonlyMap<Topic, readonly Offset[]>,
    private readonly park: Parking,
    private readonly sight: Sight,
  ) {
    for (const [topic, offsets] of from) offsets.forEach((at, partition) => this.#places.push({ topic, partition, at, paused: false }));
  }

  async next(waitMs: number): Promise<readonly StoredRecord[] | null> {
    const page = this.#page();
    if (page !== null || waitMs === 0) return page;
    await this.park("tail");
    return this.#page();
  }

  pause(topic: Topic, partition: number): void {
    this.#place(topic, partition).paused = true;
  }

  resume(topic: Topic, partition: number): void {
    this.#place(topic, partition).paused = false;
  }

  async seek(topic: Topic, partition: number, to: Offset): Promise<void> {
    this.#place(topic, partition).at = offset(to);
  }

  async [Symbol.asyncDispose](): Promise<void> {}

  #page(): readonly StoredRecord[] | null {
    for (const place of this.#places) {
      const until = this.sight.get(laneName(place.topic, place.partition)) ?? 0;
      if (place.paused || place.at >= until) continue;
      const page = this.log.page(place.topic, place.partition, { from: place.at, until });
      const last = page.at(-1);
      if (last === undefined) continue;
      place.at = last.offset + 1;
      return page;
    }
    return null;
  }

  #place(topic: Topic, partition: number): { at: number; paused: boolean } {
    const found = this.#places.find((place) => place.topic === topic && place.partition === partition);
    if (found === undefined) throw new Error(`the tail does not follow ${topic}/${partition}`);
    return found;
  }
}
