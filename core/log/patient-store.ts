/**
 * A LogStore whose every call comes back: with its answer, or with `session.stuck` when it has taken far longer than the store itself would ever let
 * it. Stores bound their own waiting; this is for the promise that a library, or we, forgot to settle. Making, deleting and trimming topics may take
 * as long as they like.
 */
import type { Clock } from "../clock.js";
import type { Bounds, LogAppender, LogStore, LogTail, StoredRecord, TopicSpec } from "../contracts/log-store.js";
import { Patience } from "../in-time.js";
import type { Offset, Topic } from "../vocabulary/ids.js";

export class PatientStore implements LogStore {
  readonly #patience: Patience;

  constructor(
    private readonly store: LogStore,
    clock: Clock,
    patienceMs = 45_000,
  ) {
    this.#patience = new Patience(clock, patienceMs);
  }

  ensure(topics: readonly TopicSpec[], signal: AbortSignal): Promise<void> {
    return this.store.ensure(topics, signal);
  }

  existing(topics: readonly Topic[], signal: AbortSignal): Promise<ReadonlySet<Topic>> {
    return this.#patience.inTime("asking which topics there are", this.store.existing(topics, signal));
  }

  bounds(topics: readonly Topic[], signal: AbortSignal): Promise<Bounds> {
    return this.#patience.inTime("asking where topics begin and end", this.store.bounds(topics, signal));
  }

  async appender(signal: AbortSignal): Promise<LogAppender> {
    const appender = await this.#patience.inTime("opening a producer", this.store.appender(signal));
    return {
      append: (records, until) => this.#patience.inTime("appending to the log", appender.append(records, until)),
      [Symbol.asyncDispose]: () => this.#patience.inTime("closing a producer", appender[Symbol.asyncDispose]()),
    };
  }

  async *scan(
    topic: Topic,
    partition: number,
    range: { readonly from: Offset; readonly until: Offset },
    signal: AbortSignal,
  ): AsyncGenerator<readonly StoredRecord[]> {
    const pages = this.store.scan(topic, partition, range, signal)[Symbol.asyncIterator]();
    try {
      for (;;) {
        const page = await this.#patience.inTime("reading from the log", pages.next());
        if (page.done === true) return;
        yield page.value;
      }
    } finally {
      await pages.return?.();
    }
  }

  async tail(from: ReadonlyMap<Topic, readonly Offset[]>, signal: AbortSignal): Promise<LogTail> {
    const tail = await this.#patience.inTime("opening a reader", this.store.tail(from, signal));
    return {
      next: (waitMs, until) => this.#patience.inTime("reading from the log", tail.next(waitMs, until), waitMs),
      pause: (topic, partition) => tail.pause(topic, partition),
      resume: (topic, partition) => tail.resume(topic, partition),
      seek: (topic, partition, to) => this.#patience.inTime("going to another place in the log", tail.seek(topic, partition, to)),
      [Symbol.asyncDispose]: () => this.#patience.inTime("closing a reader", tail[Symbol.asyncDispose]()),
    };
  }

  destroy(topics: readonly Topic[], signal: AbortSignal): Promise<void> {
    return this.store.destroy(topics, signal);
  }

  trim(below: ReadonlyMap<Topic, readonly Offset[]>, keep: ReadonlyMap<Topic, readonly Offset[]>): Promise<void> {
    return this.store.trim(below, keep);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    using patience = this.#patience;
    await patience.inTime("closing the log", this.store[Symbol.asyncDispose]());
  }
}
