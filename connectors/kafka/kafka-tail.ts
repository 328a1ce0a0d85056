/**
 * Follows partitions by fetching them from their leaders, one request at a time per broker, over connections of its own.
 *
 * Promises: every record from the given offset on, once, in order, or an error; never a jump. An offset below what is there is `log.gap`;
 * one above the end is asked about until the partition has grown to it. What is held for a slow consumer is bounded in bytes and records:
 * a partition with enough in hand, and everything when all together is enough, is not fetched. Short trouble with a broker is ridden
 * over; after `patienceMs` without a good answer the tail is dead and says `log.unavailable`.
 */
import { Backoff } from "../../core/clock.js";
import type { LogTail, PartitionBounds, StoredRecord } from "../../core/contracts/log-store.js";
import { isAbort, TailraceError } from "../../core/errors.js";
import type { Offset, Topic } from "../../core/vocabulary/ids.js";
import { BrokerLink, fetchBounds, missingTopic } from "./broker-link.js";
import type { ClientOptions } from "./client.js";
import { partitionsToFetch } from "./fetch-choice.js";
import { type Fetched, fetchFrom, leaderOf, recordsBytes } from "./fetching.js";
import { isStaleLeader } from "./kafka-errors.js";
import type { Cluster } from "./library.js";
import { Wakeup } from "./wakeup.js";

interface Slot {
  readonly topic: Topic;
  readonly partition: number;
  /** As of the last fetch; null: not fetched yet. */
  leader: number | null;
  /** Of the next fetch. */
  position: number;
  /** The partition's end, as far as is known. */
  end: number;
  /** The request that it is part of. An answer to any other (asked before a seek, or given up) is not taken. */
  request: object | null;
  paused: boolean;
  /** Its position is above the end: not fetched until the partition has grown. */
  aboveEnd: boolean;
  /** Answers in a row that were empty although the end is further on. */
  emptyAnswers: number;
  pages: Page[];
  bytes: number;
  records: number;
}
interface Page {
  readonly records: readonly StoredRecord[];
  readonly bytes: number;
}

const partitionBytes = 256 * 1024;
const requestBytes = 2 * 1024 * 1024;
/**
 * A broker answers at the first byte, so this only delays what becomes fetchable in the meantime: requests of one connection are
 * answered in turn. Hence shorter when something may soon be taken or resumed.
 */
const idleWaitMs = 100;
const pausedWaitMs = 20;
const fullWaitMs = 5;
/**
 * A partition that holds so much is not fetched; so nothing is when all together hold so much. A little more than one answer, so that the
 * next is on its way while one is worked on.
 */
const slotBytesMax = 384 * 1024;
const slotRecordsMax = 2_000;
const totalBytesMax = 4 * 1024 * 1024;
const totalRecordsMax = 6_000;
const patienceMs = 10_000;
/** The broker answers a fetch at once or after `idleWaitMs`; far beyond it the way to it is dead, whether or not anybody says so. */
const fetchPatienceMs = 8_000;
const growthCheckMs = 100;
const emptyAnswersMax = 3;

export async function openTail(options: ClientOptions, from: ReadonlyMap<Topic, readonly Offset[]>, signal: AbortSignal): Promise<LogTail> {
  const topics = [...from.keys()];
  const link = new BrokerLink(options);
  try {
    const bounds = await link.ask(topics, (cluster) => fetchBounds(cluster, topics), signal);
    const slots = [...from].flatMap(([topic, offsets]) => {
      const count = bounds.get(topic)?.length ?? 0;
      if (count !== offsets.length) throw new Error(`${topic} has ${count} partitions, ${offsets.length} offsets were given`);
      return offsets.map((position, partition) => slotAt(topic, partition, position));
    });
    for (const slot of slots) place(slot, bounds.get(slot.topic)?.[slot.partition]);
    return new KafkaTail(link, topics, slots);
  } catch (error) {
    await link[Symbol.asyncDispose]();
    throw error;
  }
}

export class KafkaTail implements LogTail {
  readonly #backoff = new Backoff(20, 1_000);
  readonly #closing = new AbortController();
  readonly #arrived: Wakeup;
  #turn = 0;
  #resting = false;
  #checkingGrowth = false;
  /** Since when no request has been answered well; null: the last one was. */
  #troubleSinceMs: number | null = null;
  #failure: unknown = null;

  constructor(
    private readonly link: BrokerLink,
    private readonly topics: readonly Topic[],
    private readonly slots: readonly Slot[],
  ) {
    this.#arrived = new Wakeup(link.options.clock);
    this.#pump();
  }

  /** What is in memory for a consumer that has not asked yet. */
  held(): { readonly records: number; readonly bytes: number } {
    return this.slots.reduce((sum, { records, bytes }) => ({ records: sum.records + records, bytes: sum.bytes + bytes }), {
      records: 0,
      bytes: 0,
    });
  }

  async next(waitMs: number, signal: AbortSignal): Promise<readonly StoredRecord[] | null> {
    const { clock } = this.link.options;
    const deadline = clock.monotonicMs() + waitMs;
    for (;;) {
      signal.throwIfAborted();
      if (this.#failure !== null) throw this.#failure;
      const page = this.#takePage();
      if (page !== null) {
        this.#pump();
        return page;
      }
      const leftMs = deadline - clock.monotonicMs();
      if (leftMs <= 0) return null;
      await this.#arrived.wait(leftMs, signal);
    }
  }

  pause(topic: Topic, partition: number): void {
    this.#slot(topic, partition).paused = true;
    this.#pump();
  }

  resume(topic: Topic, partition: number): void {
    this.#slot(topic, partition).paused = false;
    this.#arrived.wake();
    this.#pump();
  }

  async seek(topic: Topic, partition: number, to: Offset): Promise<void> {
    const slot = this.#slot(topic, partition);
    // Not fetched until it is known where the offset lies.
    Object.assign(slot, { ...slotAt(topic, partition, to), leader: slot.leader, paused: slot.paused, aboveEnd: true });
    const { signal } = this.#closing;
    const bounds = await this.link.ask(this.topics, (cluster) => fetchBounds(cluster, [topic]), signal);
    if (slot.position === to) place(slot, bounds.get(topic)?.[partition]);
    this.#pump();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closing.abort();
    this.#failure ??= new TailraceError("log.unavailable", { what: "the tail was closed" });
    this.#arrived.wake();
    await this.link[Symbol.asyncDispose]();
  }

  /** Partitions take turns, so that a busy one does not starve the others. */
  #takePage(): readonly StoredRecord[] | null {
    for (let step = 0; step < this.slots.length; step++) {
      const slot = this.slots[(this.#turn + step) % this.slots.length];
      if (slot === undefined || slot.paused) continue;
      const page = slot.pages.shift();
      if (page === undefined) continue;
      slot.bytes -= page.bytes;
      slot.records -= page.records.length;
      this.#turn = (this.#turn + step + 1) % this.slots.length;
      return page.records;
    }
    return null;
  }

  /** Asks for everything that may be fetched and is not being fetched. Called whenever that may have changed. */
  #pump(): void {
    if (this.#failure !== null || this.#resting) return;
    if (this.slots.some(({ aboveEnd }) => aboveEnd)) void this.#checkGrowth();
    const wanted = this.#fetchable();
    if (wanted.length > 0) void this.#fetch(wanted);
  }

  #fetchable(): readonly Slot[] {
    // What paused partitions hold is given back before it keeps the others from being fetched: nobody takes it until they are resumed.
    if (this.#holdsEnough()) for (const slot of this.slots) if (slot.paused) giveBack(slot);
    return this.#holdsEnough() ? [] : partitionsToFetch(this.slots, isFull);
  }

  #holdsEnough(): boolean {
    const { bytes, records } = this.held();
    return bytes >= totalBytesMax || records >= totalRecordsMax;
  }

  /** Never rejects: what goes wrong ends up in `next`. */
  async #fetch(wanted: readonly Slot[]): Promise<void> {
    const request = {};
    const startedMs = this.link.options.clock.monotonicMs();
    for (const slot of wanted) slot.request = request;
    try {
      await this.link.askOnce(
        this.topics,
        async (cluster) => {
          const byBroker = new Map<number, Slot[]>();
          for (const slot of wanted) {
            const leader = leaderOf(cluster, slot.topic, slot.partition);
            slot.leader = leader;
            byBroker.set(leader, [...(byBroker.get(leader) ?? []), slot]);
          }
          await Promise.all([...byBroker].map(([broker, slots]) => this.#fetchFrom(cluster, broker, slots, request)));
        },
        this.#closing.signal,
        fetchPatienceMs,
      );
    } catch (error) {
      for (const slot of wanted) if (slot.request === request) slot.request = null;
      await this.#recover(error, startedMs);
    }
    this.#pump();
  }

  async #fetchFrom(cluster: Cluster, broker: number, slots: readonly Slot[], request: object): Promise<void> {
    const current = slots.filter((slot) => slot.request === request);
    if (current.length === 0) return;
    const result = await fetchFrom(cluster, broker, current, { waitMs: this.#waitMs(), partitionBytes, bytes: requestBytes });
    this.#troubleSinceMs = null;
    this.#backoff.reset();
    const answered = current.filter((slot) => slot.request === request);
    for (const slot of answered) {
      slot.request = null;
      if (result.kind === "out-of-range") {
        if (slot.topic === result.topic && slot.partition === result.partition) slot.aboveEnd = true;
        continue;
      }
      const fetched = result.partitions.find((each) => each.topic === slot.topic && each.partition === slot.partition);
      if (fetched !== undefined) this.#store(slot, fetched, current.length === 1);
    }
    this.#pump();
  }

  #waitMs(): number {
    if (this.slots.some((slot) => !slot.paused && isFull(slot))) return fullWaitMs;
    return this.slots.some(({ paused }) => paused) ? pausedWaitMs : idleWaitMs;
  }

  #store(slot: Slot, { records, next, end }: Fetched, alone: boolean): void {
    slot.emptyAnswers = next === slot.position && end > slot.position ? slot.emptyAnswers + 1 : 0;
    slot.position = next;
    slot.end = end;
    // Nothing but what compaction left of batches: it has no offsets to go by, so the end is the next place to look.
    if (alone && slot.emptyAnswers >= emptyAnswersMax) {
      slot.position = end;
      slot.emptyAnswers = 0;
    }
    if (records.length === 0) return;
    const bytes = recordsBytes(records);
    slot.pages.push({ records, bytes });
    slot.bytes += bytes;
    slot.records += records.length;
    this.#arrived.wake();
  }

  /** Partitions whose offset was not there: below the first it is a gap, above the end it is asked again. */
  async #checkGrowth(): Promise<void> {
    if (this.#checkingGrowth) return;
    this.#checkingGrowth = true;
    const { signal } = this.#closing;
    try {
      while (this.slots.some(({ aboveEnd }) => aboveEnd)) {
        const waiting = this.slots.filter(({ aboveEnd }) => aboveEnd).map((slot) => ({ slot, position: slot.position }));
        const topics = [...new Set(waiting.map(({ slot }) => slot.topic))];
        const bounds = await this.link.ask(this.topics, (cluster) => fetchBounds(cluster, topics), signal);
        for (const { slot, position } of waiting)
          if (slot.aboveEnd && slot.position === position) place(slot, bounds.get(slot.topic)?.[slot.partition]);
        if (waiting.some(({ slot }) => !slot.aboveEnd)) this.#pump();
        if (waiting.some(({ slot }) => slot.aboveEnd)) await this.link.options.clock.delay(growthCheckMs, signal);
      }
    } catch (error) {
      this.#fail(error);
    } finally {
      this.#checkingGrowth = false;
    }
  }

  /** `startedMs`: when that was asked which was not answered. */
  async #recover(error: unknown, startedMs: number): Promise<void> {
    if (this.#failure !== null || this.#resting) return;
    const { clock } = this.link.options;
    const missing = error instanceof TailraceError && error.code === "log.topic-missing";
    const transient = error instanceof TailraceError && (error.verdict === "retry" || isStaleLeader(error.cause));
    this.#troubleSinceMs ??= startedMs;
    if ((!missing && !transient) || clock.monotonicMs() - this.#troubleSinceMs > patienceMs) return this.#fail(error);
    this.#resting = true;
    try {
      await clock.delay(this.#backoff.next(), this.#closing.signal);
      // Asks again for a while before it says that a topic is missing, and names it.
      if (missing) await this.link.ask(this.topics, () => Promise.resolve(), this.#closing.signal);
    } catch (next) {
      this.#fail(next);
    } finally {
      this.#resting = false;
    }
    this.#pump();
  }

  #fail(error: unknown): void {
    if (isAbort(error) && this.#closing.signal.aborted) return;
    this.#failure ??= error;
    this.#arrived.wake();
  }

  #slot(topic: Topic, partition: number): Slot {
    const slot = this.slots.find((candidate) => candidate.topic === topic && candidate.partition === partition);
    if (slot === undefined) throw new Error(`partition ${partition} of ${topic} is not followed`);
    return slot;
  }
}

const slotAt = (topic: Topic, partition: number, position: number): Slot => ({
  topic,
  partition,
  leader: null,
  position,
  end: position,
  request: null,
  paused: false,
  aboveEnd: false,
  emptyAnswers: 0,
  pages: [],
  bytes: 0,
  records: 0,
});

/** Fetched again from its first record when it is resumed. An answer that is on its way is not taken. */
function giveBack(slot: Slot): void {
  const first = slot.pages[0]?.records[0];
  if (first === undefined) return;
  Object.assign(slot, { position: first.offset, request: null, emptyAnswers: 0, pages: [], bytes: 0, records: 0 });
}

const isFull = ({ bytes, records }: Slot): boolean => bytes >= slotBytesMax || records >= slotRecordsMax;

/** Where a slot's position lies in its partition. */
function place(slot: Slot, bounds: PartitionBounds | undefined): void {
  const { topic, partition, position } = slot;
  if (bounds === undefined) throw missingTopic(topic);
  if (position < bounds.first)
    throw new TailraceError("log.gap", {
      what: `records of ${topic} from ${position} on are wanted, but it begins at ${bounds.first}`,
      where: { topic, partition, wanted: position, first: bounds.first },
    });
  slot.end = bounds.end;
  slot.aboveEnd = position > bounds.end;
}
