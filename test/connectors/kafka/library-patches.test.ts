import { createRequire } from "node:module";
import { gzipSync } from "node:zlib";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { crc32c } from "../../../connectors/kafka/crc32c.js";
import {
  type BatchOptions,
  decodeMessages,
  type EncodableRecord,
  encodeRecord,
  libraryDecodeMessages,
  libraryEncodeRecord,
  libraryRecordBatch,
  recordBatch,
} from "../../../connectors/kafka/library-patches.js";
// Loads the patched library.
import "../../../connectors/kafka/library.js";

const require = createRequire(import.meta.url);
const Decoder = require("kafkajs/src/protocol/decoder.js") as new (bytes: Buffer) => Parameters<typeof decodeMessages>[0];
const someBytes = (most: number) => fc.uint8Array({ maxLength: most }).map((array) => Buffer.from(array));
const bytes = fc.oneof(
  { weight: 5, arbitrary: fc.constant(null) },
  { weight: 20, arbitrary: someBytes(20) },
  { weight: 1, arbitrary: fc.integer({ min: 0, max: 70_000 }).map((length) => Buffer.alloc(length, length)) },
);
/** The library collects headers in an object, and takes `toString` for a header that has come before: no such names. */
const inherited = (name: string): boolean => name in {};
const header = fc.tuple(
  fc.oneof(
    fc.string({ minLength: 1, maxLength: 8 }).filter((name) => !inherited(name)),
    fc.constant("ключ"),
  ),
  fc.oneof(someBytes(9), fc.array(someBytes(3), { minLength: 1, maxLength: 3 })),
);
const record: fc.Arbitrary<EncodableRecord> = fc.record({
  timestampDelta: fc.oneof({ weight: 30, arbitrary: fc.constant(0) }, { weight: 1, arbitrary: fc.integer({ min: -5, max: 0x7fffffff }) }),
  key: bytes,
  value: bytes,
  headers: fc.oneof(
    { weight: 4, arbitrary: fc.constant({}) },
    {
      weight: 1,
      arbitrary: fc.array(header, { maxLength: 3 }).map((entries): Record<string, Buffer | Buffer[]> => Object.fromEntries(entries)),
    },
  ),
});
const batch = fc.record({
  records: fc.array(record, { maxLength: 12 }).map((records) => records.map((each, offsetDelta) => ({ ...each, offsetDelta }))),
  firstOffset: fc.oneof(fc.constant(0n), fc.bigInt({ min: 0n, max: 2n ** 53n - 100n })),
  firstTimestamp: fc.integer({ min: 0, max: 2 ** 45 }),
  producerId: fc.bigInt({ min: -1n, max: 2n ** 62n }),
  producerEpoch: fc.integer({ min: 0, max: 32_767 }),
  firstSequence: fc.integer({ min: 0, max: 0x7fffffff }),
});
type Batch = BatchOptions & { readonly records: readonly EncodableRecord[] };
const fullOptions = (made: Batch): Batch => ({ ...made, maxTimestamp: made["firstTimestamp"], lastOffsetDelta: made.records.length - 1 });
const byLibrary = (options: Batch) => libraryRecordBatch({ ...options, records: options.records.map(libraryEncodeRecord) });
const answer = (batches: Buffer) => {
  const length = Buffer.alloc(4);
  length.writeInt32BE(batches.length);
  return new Decoder(Buffer.concat([length, batches]));
};

interface LibraryMessage {
  readonly offset: string | number;
  readonly key: Buffer | null;
  readonly value: Buffer | null;
  readonly headers: Readonly<Record<string, Buffer | readonly Buffer[]>>;
  readonly isControlRecord: boolean;
}
const hex = (of: Buffer | null): string | null => of?.toString("hex") ?? null;
/** As one text: comparing long buffers element by element takes minutes. */
const plain = ({ offset, key, value, headers, isControlRecord }: LibraryMessage): string =>
  JSON.stringify([
    String(offset),
    hex(key),
    hex(value),
    Object.entries(headers).map(([name, of]) => [name, [of].flat().map(hex)]),
    isControlRecord,
  ]);
function byName(headers: readonly (readonly [string, Uint8Array])[]): LibraryMessage["headers"] {
  const found: Record<string, Buffer[]> = {};
  for (const [name, value] of headers) (found[name] ??= []).push(Buffer.from(value));
  return found;
}

describe("our parts of the Kafka client library", () => {
  it("write batches to the bytes that the library writes", async () => {
    const property = fc.asyncProperty(batch, async (made) => {
      const options = fullOptions(made);
      const ours = await recordBatch({ ...options, records: options.records.map(encodeRecord) });
      expect(ours.buffer.equals((await byLibrary(options)).buffer)).toBe(true);
      expect(ours.offset).toBe(ours.buffer.length);
    });
    await fc.assert(property, { numRuns: 1_000 });
  });

  it("read what the library reads, several batches and a batch that is cut off included", async () => {
    const property = fc.asyncProperty(fc.array(batch, { minLength: 1, maxLength: 3 }), fc.nat(), async (made, cut) => {
      const written = await Promise.all(made.map((each) => byLibrary(fullOptions(each))));
      const whole = Buffer.concat(written.map(({ buffer }) => buffer));
      for (const some of [whole, whole.subarray(0, Math.max(61, whole.length - 1 - (cut % 200)))]) {
        const library = (await libraryDecodeMessages(answer(some))) as readonly LibraryMessage[];
        const ours = await decodeMessages(answer(some));
        expect(ours.map(({ headers, ...rest }) => plain({ ...rest, headers: byName(headers) }))).toEqual(library.map(plain));
      }
    });
    await fc.assert(property, { numRuns: 150 });
  });

  it("read compressed batches, and refuse damaged ones", async () => {
    const options = fullOptions({
      records: [{ offsetDelta: 0, timestampDelta: 0, key: Buffer.from("k"), value: Buffer.from("v") }],
      firstTimestamp: 1,
    });
    const plain = (await recordBatch(options)).buffer;
    const packed = Buffer.concat([plain.subarray(0, 61), gzipSync(plain.subarray(61))]);
    packed.writeInt32BE(packed.length - 12, 8);
    packed.writeInt16BE(1, 21);
    expect(await decodeMessages(answer(packed))).toEqual(await decodeMessages(answer(plain)));
    for (let at = 61; at < plain.length; at++) {
      const damaged = Buffer.from(plain);
      damaged[at] = 0xff;
      await decodeMessages(answer(damaged)).then(
        (records) => expect(records).toHaveLength(1),
        (error: unknown) => expect(String(error)).toContain("not as Kafka writes it"),
      );
    }
  });

  it("have the checksum that the library has", () => {
    const library = require("kafkajs/src/protocol/recordBatch/crc32C/index.js") as (bytes: Buffer) => number;
    const property = fc.property(someBytes(100), fc.nat({ max: 9 }), (of, begin) => {
      expect(crc32c(of, Math.min(begin, of.length))).toBe(library(of.subarray(begin)));
    });
    fc.assert(property, { numRuns: 1_000 });
  });

  it("are the ones that the library uses", () => {
    expect(require("kafkajs/src/protocol/recordBatch/record/v0/index.js")).toBe(encodeRecord);
    expect((require("kafkajs/src/protocol/recordBatch/v0/index.js") as { readonly RecordBatch: unknown }).RecordBatch).toBe(recordBatch);
    expect(require("kafkajs/src/protocol/requests/fetch/v4/decodeMessages.js")).toBe(decodeMessages);
    const group = require("kafkajs/src/producer/groupMessagesPerPartition.js") as (grouping: unknown) => unknown;
    const messages = [3, 1, 3, 1, 2].map((partition, number) => ({ partition, number }));
    const partitioner = ({ message }: { readonly message: { readonly partition: number } }): number => message.partition;
    expect(group({ topic: "t", partitionMetadata: [1], messages, partitioner })).toEqual({
      1: [messages[1], messages[3]],
      2: [messages[4]],
      3: [messages[0], messages[2]],
    });
  });

  it("make no attempt once the client is closed", async () => {
    const createRetry = require("kafkajs/src/retry/index.js") as (
      options: unknown,
    ) => (attempt: () => Promise<unknown>) => Promise<unknown>;
    const closed = new AbortController();
    let attempts = 0;
    const failing = createRetry({ retries: 1_000, initialRetryTime: 1, maxRetryTime: 1, signal: closed.signal })(() => {
      if (++attempts === 3) closed.abort();
      return Promise.reject(new Error("again"));
    });
    await expect(failing).rejects.toThrow("the client was closed");
    expect(attempts).toBe(3);
  });
});
