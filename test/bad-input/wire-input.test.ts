/**
 * Bytes and schemas of a stranger who may write to our topics and register schemas: each ends as `log.garbage` with its place, in bounded time and
 * memory. And batches of a stranger who compresses: never more than a bounded number of bytes out of them.
 */
import { gzipSync } from "node:zlib";
import { createRequire } from "node:module";
import { describe, expect, it } from "vitest";
import { asTailraceError } from "../../core/errors.js";
import { offset, topic } from "../../core/vocabulary/ids.js";
import { createDecoder } from "../../schemas/decoder.js";
import { decompressedBytesMax } from "../../connectors/kafka/bounded-gzip.js";
import "../../connectors/kafka/library.js";
import { decodedWhole, MapRegistry } from "../schemas/support.js";
import { cpuMs } from "../support/cpu-time.js";

const require = createRequire(import.meta.url);
const row = (fields: unknown, more: object = {}): object => ({ type: "record", name: "x.Value", fields, ...more });
const envelope = (value: unknown): unknown => ({
  type: "record",
  name: "x.Envelope",
  fields: [
    { name: "before", type: ["null", value] },
    { name: "after", type: ["null", "x.Value"] },
    {
      name: "source",
      type: {
        type: "record",
        name: "x.Source",
        fields: [
          { name: "sequence", type: ["null", "string"] },
          { name: "table", type: "string" },
        ],
      },
    },
    { name: "op", type: "string" },
  ],
});
const property = {
  topic: "shop.t",
  table: "t",
  group: 1,
  schema: 1,
  key: [0],
  columns: [{ name: "id", type: "INTEGER", nullable: false, generated: false, classes: ["integer"] }],
};
const described = (change: object): unknown =>
  envelope(row([{ name: "id", type: "long" }], { "tailrace.table": { ...property, ...change } }));
const chain = (n: number): string => `${'{"type":"array","items":'.repeat(n)}"long"${"}".repeat(n)}`;
/** Each record holds the one before twice: 2^n values in n lines. */
const doubling = (n: number): unknown => {
  let inner: unknown = "long";
  for (let i = 0; i < n; i++)
    inner = {
      type: "record",
      name: `r${i}`,
      fields: [
        { name: "a", type: inner },
        { name: "b", type: i === 0 ? "long" : `r${i - 1}` },
      ],
    };
  return inner;
};

const schemas: readonly (readonly [what: string, schema: unknown])[] = [
  ["text that is cut off", '{"type": "record", "name": "x.Env'],
  ["nothing", ""],
  ["a number", "42"],
  ["null", "null"],
  ["a list of nothing", "[]"],
  ["a union of unions", [["null", "long"], "string"]],
  ["a thousand arrays in arrays", chain(1_000)],
  ["a hundred thousand of them", chain(100_000)],
  ["records that double thirty times", envelope(doubling(30))],
  ["an array of nulls", envelope(row([{ name: "a", type: { type: "array", items: "null" } }]))],
  [
    "an array of empty records",
    envelope(row([{ name: "a", type: { type: "array", items: { type: "record", name: "x.None", fields: [] } } }])),
  ],
  ["a type that holds itself", envelope(row([{ name: "a", type: ["null", "x.Value"] }]))],
  ["a name with a blank", { type: "record", name: "a b", fields: [] }],
  ["a name that is __proto__", { type: "record", name: "__proto__", fields: [] }],
  ["a field that is __proto__", '{"type":"record","name":"x.Envelope","fields":[{"name":"__proto__","type":"long"}]}'],
  [
    "a hundred thousand enum symbols",
    envelope({ type: "enum", name: "x.Value", symbols: Array.from({ length: 100_000 }, (_, i) => `S${i}`) }),
  ],
  ["a fixed of two gigabytes", envelope({ type: "fixed", name: "x.Value", size: 2 ** 31 })],
  ["a map", envelope({ type: "map", values: "long" })],
  ["ten thousand fields", envelope(row(Array.from({ length: 10_000 }, (_, i) => ({ name: `f${i}`, type: "long" }))))],
  ["an envelope without its table", envelope(row([{ name: "id", type: "long" }]))],
  ["a table of another topic", described({ topic: "shop.other" })],
  ["a key column that is not there", described({ key: [7] })],
  ["a negative key column", described({ key: [-1] })],
  ["no key", described({ key: [] })],
  ["columns that are no list", described({ columns: { length: 1e9 } })],
  ["a column without a name", described({ columns: [{}] })],
  ["a class that is none", described({ columns: [{ ...property.columns[0], classes: ["rocket"] }] })],
  ["a table that is a number", described({ table: 7 })],
  ["a topic that is an object", described({ topic: { toString: "x" } })],
  ["more columns than fields", described({ columns: [property.columns[0], { ...property.columns[0], name: "b" }] })],
];

describe("a schema that is", () => {
  it.each(schemas)("%s", async (_, schema) => {
    const registry = new MapRegistry();
    registry.texts.push(typeof schema === "string" ? schema : JSON.stringify(schema));
    await refused(registry, Buffer.of(0, 0, 0, 0, 1, 0, 2, 0, 0, 2, 99));
  });
});

const good = described({});
/** before null, after {id 1}, sequence null, table "", op "c" */
const body = [0, 2, 2, 0, 0, 2, 99];
const varint = (n: bigint): number[] => {
  const bytes: number[] = [];
  let rest = BigInt.asUintN(64, (n << 1n) ^ (n >> 63n));
  for (; rest > 127n; rest >>= 7n) bytes.push(Number(rest & 127n) | 128);
  return [...bytes, Number(rest)];
};
const records: readonly (readonly [what: string, bytes: readonly number[]])[] = [
  ["nothing", []],
  ["another magic byte", [1, 0, 0, 0, 1, ...body]],
  ["a frame that is cut off", [0, 0, 0]],
  ["a frame alone", [0, 0, 0, 0, 1]],
  ["a branch of 2", [0, 0, 0, 0, 1, 4]],
  ["a branch of -1", [0, 0, 0, 0, 1, 1]],
  ["a branch of 2^63", [0, 0, 0, 0, 1, ...varint(2n ** 63n - 1n)]],
  ["an integer of eleven bytes", [0, 0, 0, 0, 1, 0, 2, ...Array<number>(10).fill(255), 1]],
  ["an operation a gigabyte long", [0, 0, 0, 0, 1, ...body.slice(0, 5), ...varint(2n ** 30n), 99]],
  ["an operation of negative length", [0, 0, 0, 0, 1, ...body.slice(0, 5), ...varint(-5n), 99]],
  ["an operation 2^62 bytes long", [0, 0, 0, 0, 1, ...body.slice(0, 5), ...varint(2n ** 62n), 99]],
  ["an operation that is none", [0, 0, 0, 0, 1, ...body.slice(0, 5), 2, 120]],
  ["an operation that is not UTF-8", [0, 0, 0, 0, 1, ...body.slice(0, 5), 2, 255]],
  ["no operation", [0, 0, 0, 0, 1, ...body.slice(0, 5), 0]],
  ["no row and no sequence", [0, 0, 0, 0, 1, 0, 0, 0, 0, 2, 99]],
  ["a byte too many", [0, 0, 0, 0, 1, ...body, 0]],
  ["a megabyte too many", [0, 0, 0, 0, 1, ...body, ...Array<number>(1 << 20).fill(0)]],
  ["no sequence", [0, 0, 0, 0, 1, ...body]],
  ["a sequence that is no JSON", [0, 0, 0, 0, 1, 0, 2, 2, 2, 8, ...Buffer.from("nope"), 0, 2, 99]],
  ["a sequence of objects", [0, 0, 0, 0, 1, 0, 2, 2, 2, 16, ...Buffer.from("[{},{},1"), 0, 2, 99]],
  ["a sequence with a negative number", [0, 0, 0, 0, 1, 0, 2, 2, 2, 40, ...Buffer.from('["0","-5","0","900"]'), 0, 2, 99]],
  ["a sequence beyond 2^53", [0, 0, 0, 0, 1, 0, 2, 2, 2, 58, ...Buffer.from('["0","99999999999999999999","0"'.slice(0, 29)), 0, 2, 99]],
];

describe("a record that is", () => {
  it.each(records)("%s", async (_, bytes) => {
    const registry = new MapRegistry();
    registry.texts.push(JSON.stringify(good));
    await refused(registry, Buffer.from(bytes));
  });
});

async function refused(registry: MapRegistry, value: Buffer): Promise<void> {
  const started = cpuMs();
  const before = process.memoryUsage().rss;
  const record = { topic: topic("shop.t"), partition: 0, offset: offset(7), key: null, value, headers: [] };
  const decoded = await decodedWhole(createDecoder({ registry }), [record]).then(
    (all) => all,
    (thrown: unknown) => asTailraceError(thrown),
  );
  expect(decoded).toMatchObject({ code: "log.garbage", where: { topic: "shop.t", partition: 0, offset: 7 } });
  expect(cpuMs() - started).toBeLessThan(5_000);
  expect(process.memoryUsage().rss - before).toBeLessThan(200 << 20);
}

describe("a batch that a stranger has compressed", () => {
  const compression = require("kafkajs/src/protocol/message/compression/index.js") as {
    readonly lookupCodec: (type: number) => { decompress(bytes: Buffer): Promise<Buffer> };
  };
  const gzip = 1;

  it("with gzip is read", async () => {
    const text = Buffer.from("records ".repeat(1000));
    expect((await compression.lookupCodec(gzip).decompress(gzipSync(text))).equals(text)).toBe(true);
  });

  it("is a bomb: it is refused before it costs memory", async () => {
    const bomb = gzipSync(Buffer.alloc(decompressedBytesMax + 1));
    expect(bomb.length).toBeLessThan(1 << 20);
    const before = process.memoryUsage().rss;
    await expect(compression.lookupCodec(gzip).decompress(bomb)).rejects.toMatchObject({ code: "log.garbage" });
    expect(process.memoryUsage().rss - before).toBeLessThan(decompressedBytesMax + (100 << 20));
  });

  it.each([
    ["garbage", Buffer.from("not gzip at all")],
    ["nothing", Buffer.alloc(0)],
    ["cut off", gzipSync(Buffer.alloc(10_000, 7)).subarray(0, 20)],
  ])("is %s", async (_, bytes) => {
    await expect(compression.lookupCodec(gzip).decompress(bytes)).rejects.toMatchObject({ code: "log.garbage" });
  });

  it.each([
    ["Snappy", 2],
    ["LZ4", 3],
    ["Zstandard", 4],
  ])("with %s, which none of ours is, is refused by name", (_, type) => {
    let thrown: unknown = null;
    try {
      compression.lookupCodec(type);
    } catch (error) {
      thrown = error;
    }
    expect(asTailraceError(thrown)).toMatchObject({ code: "log.garbage" });
  });
});
