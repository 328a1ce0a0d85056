import { createRequire } from "node:module";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type EncodableRecord, encodeRecord, libraryEncodeRecord } from "../../../connectors/kafka/library-patches.js";
// Loads the patched library.
import "../../../connectors/kafka/library.js";

const require = createRequire(import.meta.url);
const bytes = fc.oneof(
  fc.constant(null),
  fc.uint8Array({ maxLength: 20 }).map((array) => Buffer.from(array)),
  fc.integer({ min: 0, max: 70_000 }).map((length) => Buffer.alloc(length, length)),
);
const header = fc.tuple(
  fc.string({ minLength: 1, maxLength: 8 }),
  fc.uint8Array({ maxLength: 9 }).map((array) => Buffer.from(array)),
);
const record: fc.Arbitrary<EncodableRecord> = fc.record({
  offsetDelta: fc.oneof(fc.integer({ min: 0, max: 300 }), fc.integer({ min: 0, max: 0x3fffffff })),
  timestampDelta: fc.oneof(fc.constant(0), fc.integer({ min: -5, max: 0x7fffffff })),
  key: bytes,
  value: bytes,
  headers: fc.oneof(
    { weight: 4, arbitrary: fc.constant({}) },
    { weight: 1, arbitrary: fc.array(header, { maxLength: 3 }).map(Object.fromEntries) },
  ),
});

describe("our parts of the Kafka client library", () => {
  it("encode 20,000 random records to the bytes of the library's own encoder", () => {
    fc.assert(
      fc.property(record, (each) => {
        expect(encodeRecord(each).buffer.equals(libraryEncodeRecord(each).buffer)).toBe(true);
      }),
      { numRuns: 20_000 },
    );
  });

  it("are the ones that the library uses", () => {
    expect(require("kafkajs/src/protocol/recordBatch/record/v0/index.js")).toBe(encodeRecord);
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
