import type { LogTail, StoredRecord } from "../../core/contracts/log-store.js";
import { TailraceError } from "../../core/errors.js";
import type { Offset, Topic } from "../../core/vocabulary/ids.js";
import type { MemoryLog } from "./memory-log-store.js";

interface Place {
  readonly topic: Topic;
  readonly partition: number;
  at: number;
  paused: boolean;
}

/** Follows partitions of a MemoryLog, taking turns, a page at a time. */
export class MemoryTail implements LogTail {
  readonly #places: Place[] = [];
  #open = true;
  #stopWaiting: () => void = () => {};

  constructor(
    private readonly log: MemoryLog,
    from: ReadonlyMap<Topic, readonly Offset[]>,
  ) {
    for (const [topic, offsets] of from) {
      offsets.forEach((at, partition) => {
        const place = { topic, partition, at, paused: false };
        this.#assertNoGap(place);
        this.#places.push(place);
      });
    }
  }

  async next(waitMs: number, signal: AbortSignal): Promise<readonly StoredRecord[] | null> {
    signal.throwIfAborted();
    if (!this.#open) throw new TailraceError("log.unavailable", { what: "the tail is closed" });
    const page = this.#page();
    if (page !== null) return page;
    await this.#somethingHappens(waitMs, signal);
    signal.throwIfAborted();
    return this.#open ? this.#page() : null;
  }

  pause(topic: Topic, partition: number): void {
    this.#place(topic, partition).paused = true;
  }

  resume(topic: Topic, partition: number): void {
    this.#place(topic, partition).paused = false;
  }

  async seek(topic: Topic, partition: number, to: Offset): Promise<void> {
    this.#assertNoGap({ topic, partition, at: to });
    this.#place(topic, partition).at = to;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#open = false;
    this.#stopWaiting();
  }

  /** A record for a place that is not paused, the time is over, abort, or close. */
  #somethingHappens(waitMs: number, signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const cancel = this.log.timer(waitMs, () => this.#stopWaiting());
      const stopListening = this.log.listen(() => {
        if (this.#places.some((place) => !place.paused && (!this.log.has(place.topic) || this.#peek(place).length > 0)))
          this.#stopWaiting();
      });
      this.#stopWaiting = () => {
        cancel();
        stopListening();
        signal.removeEventListener("abort", this.#stopWaiting);
        resolve();
      };
      signal.addEventListener("abort", this.#stopWaiting);
    });
  }

  #peek(place: Place): readonly StoredRecord[] {
    return this.log.page(place.topic, place.partition, { from: place.at, until: Number.MAX_SAFE_INTEGER });
  }

  /** A place that gave a page goes to the end of the queue. */
  #page(): readonly StoredRecord[] | null {
    for (const [i, place] of this.#places.entries()) {
      if (place.paused) continue;
      this.#assertNoGap(place);
      const page = this.#peek(place);
      const last = page.at(-1);
      if (last === undefined) continue;
      place.at = last.offset + 1;
      this.#places.push(...this.#places.splice(i, 1));
      return page;
    }
    return null;
  }

  /** Rejects for a partition that is gone, too. */
  #assertNoGap({ topic, partition, at }: Pick<Place, "topic" | "partition" | "at">): void {
    const { first } = this.log.partition(topic, partition);
    if (at < first)
      throw new TailraceError("log.gap", { what: "records that are wanted are gone", where: { topic, partition, wanted: at, first } });
  }

  #place(topic: Topic, partition: number): Place {
    const found = this.#places.find((place) => place.topic === topic && place.partition === partition);
    if (found === undefined)
      throw new TailraceError("internal", { what: "the tail does not follow this partition", where: { topic, partition } });
    return found;
  }
}
