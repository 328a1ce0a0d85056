import fc from "fast-check";
import { beforeAll, describe, expect, it } from "vitest";
import type { Change } from "../../core/contracts/change.js";
import type { StoredRecord } from "../../core/contracts/log-store.js";
import { TailraceError } from "../../core/errors.js";
import { offset, rereadId, topic, writerEpoch } from "../../core/vocabulary/ids.js";
import { position } from "../../core/vocabulary/position.js";
import { createDecoder } from "../../schemas/decoder.js";
import { createEncoder } from "../../schemas/encoder.js";
import { column, decodedWhole, MapRegistry, never, recordsOf, stillClock, stored, table } from "./support.js";

const at = { cut: position(0, 9), epoch: writerEpoch(1) };
const orders = table("orders", [column("id", ["integer"]), column("any", ["blob", "integer", "raw", "real", "text"], { nullable: true })]);
const registry = new MapRegistry();
const decoder = createDecoder({ registry });
let created: StoredRecord;
let deleted: StoredRecord;
let chunked: StoredRecord;

beforeAll(async () => {
  const encoder = createEncoder({ prefix: "shop", registry, clock: stillClock });
  const changes: readonly Change[] = [
    { kind: "create", at: position(0, 8), key: [1n], after: [1n, "text"] },
    { kind: "delete", at: position(0, 9), key: [1n], before: null },
  ];
  const rows = [1n, 2n, 3n].map((id) => [id, new Uint8Array(5)]);
  const chunk = {
    reread: rereadId("r"),
    scope: { kind: "range", after: null, upTo: [3n] },
    at: position(0, 9, 3),
    rows,
    last: true,
  } as const;
  const encoded = [
    ...recordsOf(await encoder.encode({ kind: "changes", table: orders, changes }, at, never)),
    ...recordsOf(await encoder.encode({ kind: "chunk", table: orders, chunk }, at, never)),
  ];
  const [first, second, , fourth] = stored(encoded);
  if (first === undefined || second === undefined || fourth === undefined) throw new Error("records are missing");
  [created, deleted, chunked] = [first, second, fourth];
});

const garbage = { code: "log.garbage", where: { topic: "shop.orders", partition: 0, offset: 0 } };
const withValue = (record: StoredRecord, value: Uint8Array): StoredRecord => ({ ...record, value });
const bytesOf = (record: StoredRecord): Buffer => Buffer.from(record.value ?? []);
const decode = (...records: StoredRecord[]) => decodedWhole(decoder, records);

describe("decoder", () => {
  it("gives records in order, null for tombstones", async () => {
    const tombstone = { ...deleted, value: null };
    expect((await decode(tombstone, created, tombstone, chunked)).map((record) => record?.body.kind)).toEqual([
      undefined,
      "change",
      undefined,
      "chunk",
    ]);
  });

  it("refuses a record that ends too early, at every length", async () => {
    for (const record of [created, deleted, chunked]) {
      const whole = bytesOf(record);
      for (let length = 0; length < whole.length; length++)
        await expect(decode(withValue(record, whole.subarray(0, length)))).rejects.toMatchObject({ code: "log.garbage" });
    }
  });

  it("names topic, partition and offset", async () => {
    await expect(decode(withValue(created, Buffer.of(0, 0, 0, 0, 2)))).rejects.toMatchObject(garbage);
  });

  it("refuses bytes behind the record", async () => {
    const longer = Buffer.concat([bytesOf(created), Buffer.of(0)]);
    await expect(decode(withValue(created, longer))).rejects.toMatchObject({ ...garbage, message: "1 bytes are left over" });
  });

  it("refuses text that is not UTF-8, and takes U+FFFD that is", async () => {
    const broken = bytesOf(created);
    const where = broken.indexOf("text", 0, "latin1");
    broken[where] = 0xff;
    await expect(decode(withValue(created, broken))).rejects.toMatchObject({ ...garbage, message: "text is not UTF-8" });
    Buffer.from("\ufffdx", "utf8").copy(broken, where);
    expect((await decode(withValue(created, broken)))[0]?.body).toMatchObject({ change: { after: [1n, "\ufffdx"] } });
  });

  it("makes a row when it is asked for, and names its place when it cannot be made", async () => {
    const broken = bytesOf(created);
    broken[broken.indexOf("text", 0, "latin1")] = 0xff;
    const [first] = await decoder.decode([withValue(created, broken)], never);
    const change = first?.body.kind === "change" ? first.body.change : null;
    expect(change).toMatchObject({ kind: "create", at: position(0, 8), key: [1n] });
    expect(() => change?.kind === "create" && change.after).toThrow(expect.objectContaining(garbage));
  });

  it("believes no block count that the bytes cannot hold", async () => {
    const bomb = bytesOf(chunked);
    const rowsAt = bomb.length - 1 - 3 * 8 - 1;
    expect(bomb[rowsAt]).toBe(6);
    const huge = Buffer.concat([bomb.subarray(0, rowsAt), Buffer.of(0xfe, 0xff, 0xff, 0xff, 0x0f)]);
    await expect(decode(withValue(chunked, huge))).rejects.toMatchObject({ code: "log.garbage", where: { topic: "shop.snapshot" } });
  });

  it("refuses a record of another table than its topic, and a chunk outside its topic", async () => {
    await expect(decode({ ...created, topic: topic("shop.others") })).rejects.toMatchObject({ code: "log.garbage" });
    await expect(decode({ ...chunked, topic: topic("shop.orders") })).rejects.toMatchObject({ code: "log.garbage" });
  });

  it("refuses a delete without a key, and a key with another schema", async () => {
    await expect(decode({ ...deleted, key: null })).rejects.toMatchObject({ code: "log.garbage" });
    await expect(decode({ ...deleted, key: created.value })).rejects.toMatchObject({ code: "log.garbage" });
  });

  it("says which record names an unknown schema", async () => {
    const record = { ...withValue(created, Buffer.of(0, 0, 0, 1, 0, 1)), offset: offset(42) };
    await expect(decode(record)).rejects.toMatchObject({ code: "registry.unknown-schema", where: { schema: 256, offset: 42 } });
  });

  it("meets damaged bytes with log.garbage or an unknown schema, and nothing else", async () => {
    const damages = fc.array(fc.record({ at: fc.nat(), to: fc.integer({ min: 0, max: 255 }) }), { minLength: 1, maxLength: 4 });
    await fc.assert(
      fc.asyncProperty(fc.constantFrom("created", "deleted", "chunked"), damages, fc.boolean(), async (which, changes, inKey) => {
        const record = { created, deleted, chunked }[which];
        const bytes = Buffer.from((inKey ? record.key : record.value) ?? []);
        for (const change of changes) bytes[change.at % bytes.length] = change.to;
        try {
          await decode(inKey ? { ...record, key: bytes } : withValue(record, bytes));
        } catch (error) {
          expect(error).toBeInstanceOf(TailraceError);
          expect(["log.garbage", "registry.unknown-schema"]).toContain(error instanceof TailraceError && error.code);
        }
      }),
      { numRuns: 3_000 },
    );
  });
});

describe("schemas of strangers", () => {
  const envelope = (type: unknown) => JSON.stringify({ type: "record", name: "x.Envelope", fields: [{ name: "a", type }] });
  const deep = "[".repeat(200_000);
  it.each([
    ["not JSON", "{"],
    ["JSON that is too deep", deep],
    ["a schema that avsc refuses", JSON.stringify({ type: "record", name: "a b", fields: [] })],
    ["no record", '"string"'],
    ["a record that is not ours", JSON.stringify({ type: "record", name: "a.Other", fields: [] })],
    ["an envelope that does not describe its table", envelope("long")],
    [
      "a type that contains itself",
      JSON.stringify({ type: "record", name: "x.Envelope", fields: [{ name: "a", type: ["null", "x.Envelope"] }] }),
    ],
    ["an array of nothing", envelope({ type: "array", items: "null" })],
    ["a map", envelope({ type: "map", values: "long" })],
  ])("are refused: %s", async (_, text) => {
    const strange = new MapRegistry();
    strange.texts.push(text);
    const record = withValue(created, Buffer.of(0, 0, 0, 0, 1, 0));
    await expect(createDecoder({ registry: strange }).decode([{ ...record, key: null }], never)).rejects.toMatchObject(garbage);
  });

  it("are read when they are an older envelope: fields missing, and in another order", async () => {
    const text = registry.subjects.get("shop.orders-value") ?? "";
    const schema = JSON.parse(text) as { fields: { name: string; type: { fields: { name: string }[] } }[] };
    const [before, after, source, , op] = schema.fields;
    if (before === undefined || after === undefined || source === undefined || op === undefined) throw new Error("fields are missing");
    source.type.fields = source.type.fields.filter(({ name }) => name === "sequence" || name === "table");
    const older = new MapRegistry();
    older.texts.push(JSON.stringify({ ...schema, fields: [op, before, after, source] }));
    const body = [2, "c".charCodeAt(0), 0, 2, 14, 0, 2, 38, ...Buffer.from('["0","5","0","900"]'), 0];
    const record = withValue({ ...created, key: null }, Buffer.from([0, 0, 0, 0, 1, ...body]));
    const [decoded] = await decodedWhole(createDecoder({ registry: older }), [record]);
    expect(decoded).toMatchObject({ epoch: 900, at: position(0, 5), body: { change: { kind: "create", key: [7n], after: [7n, null] } } });
  });
});
