/**
 * Four small corrections of kafkajs 2.2.4, put in place before the library loads; it is pinned to that version and no longer maintained.
 * - Encoding a record: the library zero-fills half a KiB per record and per field. Ours writes into a buffer of the exact size; headers go
 *   the old way. `test/connectors/kafka/library-patches.test.ts` holds both to the same bytes.
 * - Grouping by partition: the library copies the list for every message, which is quadratic.
 * - Retrying: a client that was closed goes on to connect, and to send, until its retries are used up. `signal` in the retry settings ends it.
 * - The request queue asks for a timer in the past, which newer versions of Node warn about on every connection.
 */
import { createRequire } from "node:module";

const require = createRequire(import.meta.url);

export interface EncodableRecord {
  readonly offsetDelta?: number;
  readonly timestampDelta?: number;
  readonly key: Buffer | null;
  readonly value: Buffer | null;
  readonly headers?: Readonly<Record<string, unknown>>;
}
/** The part of the library's encoder that its callers use. */
export interface RecordEncoder {
  buf: Buffer;
  offset: number;
  readonly buffer: Buffer;
}
export type EncodeRecord = (record: EncodableRecord) => RecordEncoder;

export const libraryEncodeRecord = require("kafkajs/src/protocol/recordBatch/record/v0/index.js") as EncodeRecord;
const Encoder = require("kafkajs/src/protocol/encoder.js") as { readonly prototype: RecordEncoder };

const zigZag = (value: number): number => (value << 1) ^ (value >> 31);

function varIntSize(value: number): number {
  let rest = zigZag(value);
  let size = 1;
  while ((rest & ~0x7f) !== 0) {
    rest >>>= 7;
    size++;
  }
  return size;
}

function writeVarInt(buffer: Buffer, start: number, value: number): number {
  let rest = zigZag(value);
  let at = start;
  while ((rest & ~0x7f) !== 0) {
    buffer[at++] = (rest & 0x7f) | 0x80;
    rest >>>= 7;
  }
  buffer[at++] = rest;
  return at;
}

const sizeOfBytes = (bytes: Buffer | null): number => (bytes === null ? varIntSize(-1) : varIntSize(bytes.length) + bytes.length);

function writeBytes(buffer: Buffer, start: number, bytes: Buffer | null): number {
  const at = writeVarInt(buffer, start, bytes === null ? -1 : bytes.length);
  return bytes === null ? at : at + bytes.copy(buffer, at);
}

export function encodeRecord(record: EncodableRecord): RecordEncoder {
  const { offsetDelta = 0, timestampDelta = 0, key, value, headers } = record;
  const plain = (bytes: unknown): boolean => bytes === null || Buffer.isBuffer(bytes);
  const hasHeaders = headers !== undefined && Object.keys(headers).length > 0;
  if (hasHeaders || timestampDelta < 0 || timestampDelta > 0x3fffffff || !plain(key) || !plain(value)) return libraryEncodeRecord(record);
  // One byte of attributes before the body's fields, one for the number of headers behind them.
  const body = 2 + varIntSize(timestampDelta) + varIntSize(offsetDelta) + sizeOfBytes(key) + sizeOfBytes(value);
  const buffer = Buffer.allocUnsafe(varIntSize(body) + body);
  let at = writeVarInt(buffer, 0, body);
  buffer[at++] = 0;
  at = writeVarInt(buffer, at, timestampDelta);
  at = writeVarInt(buffer, at, offsetDelta);
  at = writeBytes(buffer, at, key);
  at = writeBytes(buffer, at, value);
  buffer[at++] = 0;
  const encoder = Object.create(Encoder.prototype) as RecordEncoder;
  encoder.buf = buffer;
  encoder.offset = at;
  return encoder;
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
  replaceModule("kafkajs/src/protocol/recordBatch/record/v0/index.js", encodeRecord);
  replaceModule("kafkajs/src/producer/groupMessagesPerPartition.js", groupByPartition);
  replaceModule("kafkajs/src/retry/index.js", endableRetry(require("kafkajs/src/retry/index.js") as CreateRetry));
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
