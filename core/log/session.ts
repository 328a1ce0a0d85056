/**
 * One writer's session: from its start record to the first error. The cut rides in the same request as the last of its records; a larger batch
 * goes out in several requests with the cut in the last one only. After any error the session is dead, because a producer that has seen an
 * error may lose what it sends next without saying so.
 */
import type { Clock } from "../clock.js";
import type { Control } from "../contracts/change.js";
import type { Cut, EncodedBatch, EncodedRecord, LogSession } from "../contracts/log.js";
import type { LogAppender, LogStore, OutgoingRecord } from "../contracts/log-store.js";
import type { BatchEnd, Beginning } from "../contracts/source.js";
import { leaving, passing } from "../crash-points.js";
import { TailraceError } from "../errors.js";
import { type LogId, type Offset, offset, type Topic, type WriterEpoch } from "../vocabulary/ids.js";
import { formatPosition, isAbove, type Position } from "../vocabulary/position.js";
import { type CutRecord, encodeCutsRecord, type StartRecord } from "./cut-records.js";
import type { ProtocolRules } from "./rules.js";

/** Kafka limits the records of one partition in one request by max.message.bytes; this is far below it, and below the broker's default. */
const requestBytesPerPartition = 800_000;
const requestBytes = 4_000_000;
const recordBytesMost = 8 * 1024 * 1024 - 1024;
const verifyEveryMs = 30_000;

export interface WriterSessionOptions {
  readonly store: LogStore;
  readonly appender: LogAppender;
  readonly clock: Clock;
  readonly cutsTopic: Topic;
  readonly logId: LogId;
  readonly start: StartRecord;
  readonly startAt: Offset;
  readonly beginning: Beginning;
  readonly rules: ProtocolRules;
}

export class WriterSession implements LogSession {
  readonly logId: LogId;
  readonly epoch: WriterEpoch;
  readonly startOffset: Offset;
  readonly beginning: Beginning;
  readonly #options: WriterSessionOptions;
  /** Totals of topics that changed since the start; all others are as the start says. */
  readonly #counts = new Map<Topic, number>();
  /** Expected end of each partition: a sole writer knows it. */
  readonly #ends = new Map<Topic, number[]>();
  readonly #lastOwn = new Map<string, OutgoingRecord>();
  #position: Position;
  /** What ended it. */
  #ended: { readonly by: unknown } | null = null;
  #turn: Promise<unknown> = Promise.resolve();
  #verifiedMs: number;

  constructor(options: WriterSessionOptions) {
    this.#options = options;
    this.logId = options.logId;
    this.epoch = options.start.epoch;
    this.startOffset = options.startAt;
    this.beginning = options.beginning;
    this.#position = options.start.position;
    for (const [topic, ends] of options.start.ends) this.#ends.set(topic, [...ends]);
    this.#ends.set(options.cutsTopic, [options.startAt + 1]);
    this.#verifiedMs = options.clock.monotonicMs();
    const start = { topic: options.cutsTopic, partition: 0, key: null, value: encodeCutsRecord(options.start), headers: [] };
    this.#lastOwn.set(laneName(start), start);
  }

  async append(batch: EncodedBatch, signal: AbortSignal): Promise<Cut> {
    return this.#guarded(async () => {
      if (!isAbove(batch.position, this.#position)) {
        throw new TailraceError("internal", {
          what: "a batch does not go beyond the last cut",
          where: { batch: formatPosition(batch.position), last: formatPosition(this.#position) },
        });
      }
      if (this.#options.clock.monotonicMs() - this.#verifiedMs > verifyEveryMs) await this.#verify(signal);
      let request = new Request();
      const controls: Control[] = [];
      for await (const part of batch.parts) {
        signal.throwIfAborted();
        if (part.kind === "control") controls.push(part.control);
        else {
          for (const record of part.records) {
            // Awaited only where something is sent: this runs once per record.
            if (!this.#fits(request, record)) {
              await this.#send(request, signal);
              passing("source.produce-part");
              request = new Request();
            }
            this.#add(request, record);
          }
        }
      }
      return this.#cut(request, controls, batch, signal);
    });
  }

  async verifyTail(signal: AbortSignal): Promise<void> {
    if (this.#options.clock.monotonicMs() - this.#verifiedMs <= verifyEveryMs) return;
    await this.#guarded(() => this.#verify(signal));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#ended ??= { by: new TailraceError("log.append-failed", { what: "the session was closed" }) };
    await this.#options.appender[Symbol.asyncDispose]();
  }

  #fits(request: Request, record: EncodedRecord): boolean {
    const bytes = bytesOf(record);
    if (bytes <= recordBytesMost) return request.fits(record, bytes);
    throw new TailraceError("log.record-too-large", { what: `a record of ${bytes} bytes`, where: { topic: record.topic, bytes } });
  }

  #add(request: Request, record: EncodedRecord): void {
    request.add(record);
    if (record.counts === 1) this.#counts.set(record.topic, this.#countOf(record.topic) + 1);
  }

  #countOf(topic: Topic): number {
    return this.#counts.get(topic) ?? this.#options.start.counts.get(topic) ?? 0;
  }

  async #cut(request: Request, controls: readonly Control[], batch: EncodedBatch, signal: AbortSignal): Promise<Cut> {
    const { cutsTopic } = this.#options;
    const end: BatchEnd = batch.end();
    // Controls are counted as well: a log that has lost its tail may hold this cut without the one that carried them.
    if (controls.length > 0) this.#counts.set(cutsTopic, this.#countOf(cutsTopic) + controls.length);
    const ends = this.#expectedEnds(request);
    const changed = new Map([...ends].filter(([topic]) => this.#counts.has(topic)));
    const record: CutRecord = {
      kind: "cut",
      epoch: this.epoch,
      position: batch.position,
      counts: new Map(this.#counts),
      ends: changed,
      ...end,
    };
    const toCuts = [...controls.map((control) => ({ kind: "control" as const, epoch: this.epoch, control })), record];
    const cutsAt = this.#ends.get(cutsTopic)?.[0] ?? 0;
    for (const r of toCuts) request.add({ topic: cutsTopic, partition: 0, key: null, value: encodeCutsRecord(r), headers: [] });
    await this.#send(request, signal);
    this.#position = batch.position;
    return {
      position: batch.position,
      epoch: this.epoch,
      offset: offset(cutsAt + toCuts.length - 1),
      counts: record.counts,
      ends: changed,
      anchor: end.anchor,
      resume: end.resume,
      phases: end.phases,
    };
  }

  #expectedEnds(request: Request): ReadonlyMap<Topic, readonly Offset[]> {
    const ends = new Map([...this.#ends].map(([topic, partitions]) => [topic, [...partitions]]));
    for (const { topic, partition, count } of request.lanes()) {
      const of = ends.get(topic) ?? [];
      of[partition] = (of[partition] ?? 0) + count;
      ends.set(topic, of);
    }
    return new Map([...ends].map(([topic, partitions]) => [topic, partitions.map(offset)]));
  }

  async #send(request: Request, signal: AbortSignal): Promise<void> {
    passing("source.produce-before");
    const sending = this.#options.appender.append(request.records, signal);
    leaving("source.produce-sent");
    const written = await sending;
    passing("source.produce-acked");
    for (const { topic, partition, base } of written) {
      const expected = this.#ends.get(topic)?.[partition] ?? 0;
      // A lower one: the broker took our records for a repetition. A higher one: somebody else writes.
      if (base !== expected && this.#options.rules.baseOffsets) {
        throw new TailraceError("log.append-failed", {
          what: "records were not stored where they must be",
          where: { topic, partition, expected, found: base },
        });
      }
      if (base !== expected) this.#ends.get(topic)?.splice(partition, 1, base);
    }
    for (const { topic, partition, count, last } of request.lanes()) {
      const of = this.#ends.get(topic) ?? [];
      of[partition] = (of[partition] ?? 0) + count;
      this.#ends.set(topic, of);
      this.#lastOwn.set(laneName(last), last);
    }
  }

  /** The log holds what it acknowledged: same ends, and our own last record in each partition. */
  async #verify(signal: AbortSignal): Promise<void> {
    const { store } = this.#options;
    const bounds = await store.bounds([...this.#ends.keys()], signal);
    for (const [topic, expected] of this.#ends) {
      for (const [partition, end] of expected.entries()) {
        const found = bounds.get(topic)?.[partition]?.end ?? 0;
        if (found !== end) throw tailLost(topic, partition, { expected: end, found });
      }
    }
    for (const record of this.#lastOwn.values()) {
      const last = (this.#ends.get(record.topic)?.[record.partition] ?? 0) - 1;
      if (!(await this.#isAt(record, last, signal)) && !(await this.#isTrimmed(record, last, signal)))
        throw tailLost(record.topic, record.partition, { expected: last, found: "another record" });
    }
    this.#verifiedMs = this.#options.clock.monotonicMs();
  }

  async #isAt(record: OutgoingRecord, at: number, signal: AbortSignal): Promise<boolean> {
    const range = { from: offset(at), until: offset(at + 1) };
    try {
      for await (const page of this.#options.store.scan(record.topic, record.partition, range, signal)) {
        const stored = page[0];
        if (stored !== undefined) return stored.offset === at && sameContent(stored.value, record.value);
      }
    } catch (error) {
      if (!(error instanceof TailraceError) || error.code !== "log.gap") throw error;
    }
    return false;
  }

  /** What the target has committed may be trimmed, even while we look: then there is nothing left to compare, and nothing to lose. */
  async #isTrimmed({ topic, partition }: OutgoingRecord, at: number, signal: AbortSignal): Promise<boolean> {
    const bounds = await this.#options.store.bounds([topic], signal);
    return at < (bounds.get(topic)?.[partition]?.first ?? 0);
  }

  /**
   * One call after the other; the first that fails is the last. Whoever waits behind it may be heard before it is, so all of them say what has
   * happened, and not that something has.
   */
  async #guarded<T>(work: () => Promise<T>): Promise<T> {
    const previous = this.#turn;
    let done = (): void => {};
    this.#turn = new Promise<void>((resolve) => {
      done = resolve;
    });
    await previous;
    try {
      if (this.#ended !== null) throw this.#ended.by;
      return await work();
    } catch (error) {
      this.#ended ??= { by: error };
      throw error;
    } finally {
      done();
    }
  }
}

/** What goes to one partition in one request. */
interface RequestLane {
  readonly topic: Topic;
  readonly partition: number;
  count: number;
  bytes: number;
  last: OutgoingRecord;
}

/** Records waiting for one request. */
class Request {
  readonly records: OutgoingRecord[] = [];
  readonly #lanes = new Map<string, RequestLane>();
  /** Neighbours nearly always go to the same partition. */
  #latest: RequestLane | null = null;
  #bytes = 0;

  fits(record: OutgoingRecord, bytes: number): boolean {
    const held = this.#lane(record)?.bytes ?? 0;
    return (held === 0 || held + bytes <= requestBytesPerPartition) && (this.#bytes === 0 || this.#bytes + bytes <= requestBytes);
  }

  add(record: OutgoingRecord): void {
    const bytes = bytesOf(record);
    const lane = this.#lane(record) ?? this.#begin(record);
    this.records.push(record);
    lane.count += 1;
    lane.bytes += bytes;
    lane.last = record;
    this.#latest = lane;
    this.#bytes += bytes;
  }

  lanes(): Iterable<RequestLane> {
    return this.#lanes.values();
  }

  #lane(record: OutgoingRecord): RequestLane | undefined {
    const latest = this.#latest;
    if (latest !== null && latest.topic === record.topic && latest.partition === record.partition) return latest;
    return this.#lanes.get(laneName(record));
  }

  #begin(record: OutgoingRecord): RequestLane {
    const lane = { topic: record.topic, partition: record.partition, count: 0, bytes: 0, last: record };
    this.#lanes.set(laneName(record), lane);
    return lane;
  }
}

const laneName = ({ topic, partition }: { readonly topic: Topic; readonly partition: number }): string =>
  partition === 0 ? topic : `${topic}/${partition}`;

function bytesOf(record: OutgoingRecord): number {
  let bytes = (record.key?.length ?? 0) + (record.value?.length ?? 0) + 40;
  for (const [name, value] of record.headers) bytes += name.length + value.length + 8;
  return bytes;
}

const sameContent = (a: Uint8Array | null, b: Uint8Array | null): boolean =>
  a === null || b === null ? a === b : Buffer.compare(a, b) === 0;

const tailLost = (
  topic: Topic,
  partition: number,
  ends: { readonly expected: number | string; readonly found: number | string },
): TailraceError =>
  new TailraceError("log.tail-lost", { what: "the log does not hold what it acknowledged", where: { topic, partition, ...ends } });
