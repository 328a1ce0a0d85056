/**
 * Small corrections of kafkajs 2.2.4, put in place before the library loads; it is pinned to that version and no longer maintained.
 * - Batches are written and read by `record-batch.ts`, in one pass. What that does not do (compression, timestamps) goes the old way.
 *   `test/connectors/kafka/library-patches.test.ts` holds both to the same bytes.
 * - Growing a buffer: the library fills it with zeros first.
 * - Grouping by partition: the library copies the list for every message, which is quadratic.
 * - Retrying: a client that was closed goes on to connect, and to send, until its retries are used up. `signal` in the retry settings ends it.
 * - Opening a compressed batch: the library puts no bound on what comes out (bounded-gzip.ts).
 * - The request queue asks for a timer in the past, which newer versions of Node warn about on every connection.
 */
import { createRequire } from "node:module";
import type { Header } from "../../core/contracts/log-store.js";
import { type BatchedRecord, decodeBatches, encodeBatch } from "./record-batch.js";
import { type BatchCodec, boundedGzip, noCodec } from "./bounded-gzip.js";

const require = createRequire(import.meta.url);

export interface EncodableRecord {
  readonly offsetDelta?: number;
  readonly timestampDelta?: number;
  readonly key: Buffer | null;
  readonly value: Buffer | null;
  readonly headers?: Readonly<Record<string, Buffer | readonly Buffer[]>>;
}
/** The part of the library's encoder that its callers use. */
export interface Encoder {
  buf: Buffer;
  offset: number;
  readonly buffer: Buffer;
  ensureAvailable(bytes: number): void;
}
export interface BatchOptions {
  readonly compression?: number;
  readonly records?: readonly (EncodableRecord | Encoder)[];
  readonly [field: string]: unknown;
}
interface FetchDecoder {
  readInt32(): number;
  canReadBytes(length: number): boolean;
  readBytes(length: number): Buffer;
}

const paths = {
  record: "kafkajs/src/protocol/recordBatch/record/v0/index.js",
  batch: "kafkajs/src/protocol/recordBatch/v0/index.js",
  messages: "kafkajs/src/protocol/requests/fetch/v4/decodeMessages.js",
};
export const libraryEncodeRecord = require(paths.record) as (record: EncodableRecord) => Encoder;
export const { RecordBatch: libraryRecordBatch, MAGIC_BYTE } = require(paths.batch) as {
  readonly RecordBatch: (options: BatchOptions) => Promise<Encoder>;
  readonly MAGIC_BYTE: number;
};
export const libraryDecodeMessages = require(paths.messages) as (decoder: FetchDecoder) => Promise<readonly object[]>;
const { prototype: encoderPrototype } = require("kafkajs/src/protocol/encoder.js") as { readonly prototype: Encoder };
const { lookupCodecByAttributes } = require("kafkajs/src/protocol/message/compression/index.js") as {
  readonly lookupCodecByAttributes: (attributes: number) => { readonly decompress: (bytes: Buffer) => Promise<Buffer> } | null;
};

/** A record stays as it is until its batch is written, unless only the library can write it. */
export function encodeRecord(record: EncodableRecord): EncodableRecord | Encoder {
  const plain = (bytes: unknown): boolean => bytes === null || Buffer.isBuffer(bytes);
  return record.timestampDelta === 0 && plain(record.key) && plain(record.value) ? record : libraryEncodeRecord(record);
}

const isEncoded = (record: EncodableRecord | Encoder): record is Encoder => "buf" in record;

export async function recordBatch(options: BatchOptions): Promise<Encoder> {
  const { compression = 0, records = [] } = options;
  const plain = records.flatMap((record) => (isEncoded(record) ? [] : [record]));
  if (compression !== 0 || plain.length !== records.length || options["transactional"] === true)
    return libraryRecordBatch({ ...options, records: records.map((record) => (isEncoded(record) ? record : libraryEncodeRecord(record))) });
  const number = (name: string): number => Number(options[name] ?? 0);
  // Numbers, big numbers, or the library's own big numbers, which print as their digits.
  const long = (name: string, fallback: bigint): bigint => BigInt(`${(options[name] ?? fallback) as bigint}`);
  const encoder = Object.create(encoderPrototype) as Encoder;
  encoder.buf = encodeBatch(
    plain.map(({ offsetDelta = 0, key, value, headers }) => ({ offsetDelta, timestampDelta: 0, key, value, headers: headersOf(headers) })),
    {
      firstOffset: long("firstOffset", 0n),
      partitionLeaderEpoch: number("partitionLeaderEpoch"),
      attributes: 0,
      lastOffsetDelta: number("lastOffsetDelta"),
      firstTimestamp: long("firstTimestamp", BigInt(Date.now())),
      maxTimestamp: long("maxTimestamp", BigInt(Date.now())),
      producerId: long("producerId", -1n),
      producerEpoch: number("producerEpoch"),
      firstSequence: number("firstSequence"),
    },
  );
  encoder.offset = encoder.buf.length;
  return encoder;
}

const noHeaders: readonly Header[] = [];

function headersOf(headers: EncodableRecord["headers"]): readonly Header[] {
  if (headers === undefined) return noHeaders;
  return Object.entries(headers).flatMap(([name, values]) =>
    Buffer.isBuffer(values) ? [[name, values] as const] : (values as readonly Buffer[]).map((value) => [name, value] as const),
  );
}

/** Of one partition of a fetch's answer. */
export async function decodeMessages(decoder: FetchDecoder): Promise<readonly BatchedRecord[]> {
  const size = decoder.readInt32();
  if (size <= 0 || !decoder.canReadBytes(size)) return [];
  return decodeBatches(decoder.readBytes(size), async (attributes, bytes) => {
    const codec = lookupCodecByAttributes(attributes);
    if (codec === null) throw new Error(`compression ${attributes & 7} of a batch is not known`);
    return codec.decompress(bytes);
  });
}

interface Grouping {
  readonly topic: string;
  readonly partitionMetadata: readonly unknown[];
  readonly messages: readonly unknown[];
  readonly partitioner: (message: {
    readonly topic: string;
    readonly partitionMetadata: readonly unknown[];
    readonly message: unknown;
  }) => number;
}

function groupByPartition({ topic, partitionMetadata, messages, partitioner }: Grouping): Record<number, unknown[]> {
  const groups: Record<number, unknown[]> = {};
  if (partitionMetadata.length === 0) return groups;
  for (const message of messages) {
    const partition = partitioner({ topic, partitionMetadata, message });
    const group = groups[partition];
    if (group === undefined) groups[partition] = [message];
    else group.push(message);
  }
  return groups;
}

type Attempt = (bail: (error: Error) => void, retryCount: number, retryTime: number) => Promise<unknown>;
type CreateRetry = (options?: { readonly signal?: AbortSignal }) => (attempt: Attempt) => Promise<unknown>;

/** `signal` in the retry settings: once it has fired, the next attempt is not made. */
function endableRetry(createRetry: CreateRetry): CreateRetry {
  return (options) => {
    const retrier = createRetry(options);
    const signal = options?.signal;
    if (signal === undefined) return retrier;
    return (attempt) =>
      retrier((bail, retryCount, retryTime) => {
        if (!signal.aborted) return attempt(bail, retryCount, retryTime);
        bail(new Error("the client was closed"));
        return Promise.resolve();
      });
  };
}

function replaceModule(name: string, exports: unknown): void {
  const path = require.resolve(name);
  const loaded = require.cache[path];
  if (loaded === undefined) {
    require(name);
    replaceModule(name, exports);
  } else loaded.exports = exports;
}

interface RequestQueue {
  throttledUntil: number;
  throttleCheckTimeoutId: unknown;
  readonly pending: readonly unknown[];
  checkPendingRequests(): void;
  scheduleCheckPendingRequests(): void;
}

/** Idempotent. Must run before `kafkajs` is loaded. */
export function patchLibrary(): void {
  replaceModule(paths.record, encodeRecord);
  replaceModule(paths.batch, { RecordBatch: recordBatch, MAGIC_BYTE });
  replaceModule(paths.messages, decodeMessages);
  encoderPrototype.ensureAvailable = function grow(this: Encoder, bytes: number): void {
    if (this.offset + bytes <= this.buf.length) return;
    const grown = Buffer.allocUnsafe(2 ** Math.ceil(Math.log2(this.offset + bytes)));
    this.buf.copy(grown, 0, 0, this.offset);
    this.buf = grown;
  };
  replaceModule("kafkajs/src/producer/groupMessagesPerPartition.js", groupByPartition);
  replaceModule("kafkajs/src/retry/index.js", endableRetry(require("kafkajs/src/retry/index.js") as CreateRetry));
  const { Codecs } = require("kafkajs/src/protocol/message/compression/index.js") as { readonly Codecs: Record<number, () => BatchCodec> };
  Object.assign(Codecs, { 1: () => boundedGzip, 2: noCodec("Snappy"), 3: noCodec("LZ4"), 4: noCodec("Zstandard") });
  const { prototype } = require("kafkajs/src/network/requestQueue/index.js") as { readonly prototype: RequestQueue };
  // As the library's own, but it asks for no timer when nothing waits, and never for one in the past.
  prototype.scheduleCheckPendingRequests = function schedule(this: RequestQueue): void {
    if (this.throttleCheckTimeoutId !== null || this.pending.length === 0) return;
    const throttledMs = this.throttledUntil - Date.now();
    const check = (): void => {
      this.throttleCheckTimeoutId = null;
      this.checkPendingRequests();
    };
    this.throttleCheckTimeoutId = setTimeout(check, throttledMs > 0 ? throttledMs : 10);
  };
}
