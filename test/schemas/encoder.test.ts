import { describe, expect, it } from "vitest";
import type { Change } from "../../core/contracts/change.js";
import { markerId, rereadId, writerEpoch } from "../../core/vocabulary/ids.js";
import { position } from "../../core/vocabulary/position.js";
import type { Row, Value } from "../../core/vocabulary/value.js";
import { createDecoder } from "../../schemas/decoder.js";
import { createEncoder } from "../../schemas/encoder.js";
import { avscType, column, decodedWhole, MapRegistry, never, recordsOf, stillClock, stored, table } from "./support.js";

const orders = table("orders", [
  column("id", ["integer"], { declaredType: "INTEGER" }),
  column("note", ["text"], { nullable: true }),
  column("price", ["real"]),
]);
const row: Row = [1n, "NUL \u0000 travels", 0.5];
const at = { cut: position(2, 4711), epoch: writerEpoch(3) };

function arrange() {
  const registry = new MapRegistry();
  const encoder = createEncoder({ prefix: "shop", registry, clock: stillClock });
  const encode = async (changes: readonly Change[], described = orders, where = at) =>
    recordsOf(await encoder.encode({ kind: "changes", table: described, changes }, where, never));
  const envelopes = async (changes: readonly Change[], where = at) => {
    const records = await encode(changes, orders, where);
    const type = avscType(registry.subjects.get("shop.orders-value") ?? "");
    return records.flatMap((record) => (record.value === null ? [] : [type.toJSON() && readBy(type, record.value)]));
  };
  return { registry, encoder, encode, envelopes, decoder: createDecoder({ registry }) };
}

function readBy(type: ReturnType<typeof avscType>, value: Uint8Array): Record<string, Record<string, unknown>> {
  return type.fromBuffer(Buffer.from(value).subarray(5));
}

const create: Change = { kind: "create", at: position(2, 4700), key: [1n], after: row };

describe("encoder", () => {
  it("registers key and value under Debezium's names and puts their numbers in front", async () => {
    const { registry, encode } = arrange();
    const [record] = await encode([create]);
    expect([...registry.subjects.keys()]).toEqual(["shop.orders-key", "shop.orders-value"]);
    expect([...(record?.key ?? [])]).toEqual([0, 0, 0, 0, 1, 2]);
    expect([...(record?.value ?? []).slice(0, 5)]).toEqual([0, 0, 0, 0, 2]);
    expect(record).toMatchObject({ topic: "shop.orders", partition: 0, headers: [], counts: 1 });
  });

  it("fills source, transaction and times as Debezium does", async () => {
    const { envelopes } = arrange();
    const [first, second] = await envelopes([create, { kind: "update", at: position(2, 4711), key: [1n], after: row }]);
    expect(first?.source).toEqual({
      version: "1",
      connector: "sqlite",
      name: "shop",
      ts_ms: 1_790_000_000_123n,
      snapshot: { string: "false" },
      db: "shop",
      sequence: { string: '["2","4700","0","3"]' },
      ts_us: { long: 1_790_000_000_123_000n },
      ts_ns: { long: 1_790_000_000_123_000_000n },
      table: "orders",
      change_id: 4700n,
    });
    expect(first?.transaction).toEqual({ "event.block": { id: "2:4711", total_order: 1n, data_collection_order: 1n } });
    expect(second?.transaction).toMatchObject({ "event.block": { id: "2:4711", total_order: 2n } });
    expect([first?.op, second?.op, second?.before, first?.ts_ms]).toEqual(["c", "u", null, { long: 1_790_000_000_123n }]);
  });

  it("counts the order within a cut over all tables, and from one again in the next cut or epoch", async () => {
    const { encode, envelopes } = arrange();
    const orderOf = async (where: typeof at) => (await envelopes([create], where))[0]?.transaction?.["event.block"];
    expect(await orderOf(at)).toMatchObject({ total_order: 1n, data_collection_order: 1n });
    await encode([create], table("others", orders.columns));
    expect(await orderOf(at)).toMatchObject({ total_order: 3n, data_collection_order: 2n });
    expect(await orderOf({ ...at, cut: position(2, 4800) })).toMatchObject({ id: "2:4800", total_order: 1n, data_collection_order: 1n });
    expect(await orderOf({ cut: position(2, 4800), epoch: writerEpoch(4) })).toMatchObject({ total_order: 1n });
  });

  it("sends a delete with its tombstone, which counts nothing", async () => {
    const { encode, decoder } = arrange();
    const change: Change = { kind: "delete", at: position(2, 1), key: [1n], before: row };
    const records = await encode([change]);
    expect(records.map(({ counts, value }) => [counts, value === null])).toEqual([
      [1, false],
      [0, true],
    ]);
    expect(records[1]?.key).toEqual(records[0]?.key);
    const [decoded, tombstone] = await decodedWhole(decoder, stored(records));
    expect(decoded?.body).toEqual({ kind: "change", table: orders, change });
    expect(tombstone).toBeNull();
  });

  it("sends a key change as delete, tombstone and create that name each other's key", async () => {
    const { encode, decoder } = arrange();
    const change: Change = { kind: "rekey", at: position(2, 1), from: [7n], key: [1n], after: row };
    const records = await encode([change]);
    const [deleted, tombstone, created] = records;
    expect(records.map((record) => record.counts)).toEqual([1, 0, 1]);
    expect(deleted?.headers).toEqual([["__debezium.newkey", created?.key]]);
    expect(created?.headers).toEqual([["__debezium.oldkey", deleted?.key]]);
    expect(tombstone?.key).toEqual(deleted?.key);
    const decoded = await decodedWhole(decoder, stored(records));
    expect(decoded.map((record) => record?.body.kind)).toEqual(["counted", undefined, "change"]);
    expect(decoded[2]?.body).toEqual({ kind: "change", table: orders, change });
  });

  it("sends the answer to a touch as a read, marked like a row of an incremental snapshot", async () => {
    const { envelopes } = arrange();
    const [read] = await envelopes([{ kind: "state", at: position(2, 1), key: [1n], after: row }]);
    expect([read?.op, read?.before, read?.source?.snapshot]).toEqual(["r", null, { string: "incremental" }]);
  });

  it("gives each table's chunks a subject of their own in the snapshot topic", async () => {
    const { registry, encoder } = arrange();
    const chunk = {
      reread: rereadId("r"),
      scope: { kind: "range", after: null, upTo: [1n] },
      at: position(1, 1, 1),
      rows: [row],
      last: true,
    } as const;
    const [record] = recordsOf(await encoder.encode({ kind: "chunk", table: orders, chunk }, at, never));
    expect([...registry.subjects.keys()]).toEqual(["shop.snapshot-shop.orders.Chunk"]);
    expect(record).toMatchObject({ topic: "shop.snapshot", key: Buffer.from("orders"), counts: 1 });
  });

  it("lets controls pass", async () => {
    const { encoder } = arrange();
    const control = { kind: "marker", marker: markerId("m"), at: position(1, 1) } as const;
    expect(await encoder.encode({ kind: "control", control }, at, never)).toEqual([{ kind: "control", control }]);
  });

  it("registers a new schema when a column gets another class, and both stay readable", async () => {
    const { encode, decoder, registry } = arrange();
    const wider = { ...orders, schema: 2 as typeof orders.schema, columns: orders.columns.with(2, column("price", ["integer", "real"])) };
    const change: Change = { kind: "create", at: position(2, 5), key: [2n], after: [2n, null, 3n] };
    const records = [...(await encode([create])), ...(await encode([change], wider))];
    const decoded = await decodedWhole(decoder, stored(records));
    expect(decoded.map((record) => (record?.body.kind === "change" ? record.body.table.schema : null))).toEqual([1, 2]);
    expect(registry.texts.length).toBe(3);
  });

  it("keeps slices that were handed out when the buffer grows", async () => {
    const { encode, decoder } = arrange();
    const changes = Array.from(
      { length: 300 },
      (_, i): Change => ({ kind: "create", at: position(2, i), key: [BigInt(i)], after: [BigInt(i), "x".repeat(i * 40), 1] }),
    );
    const decoded = await decodedWhole(decoder, stored(await encode(changes)));
    expect(decoded.map((record) => record?.body.kind === "change" && record.body.change)).toEqual(changes);
  });

  it("asks the registry for everything again in a new epoch", async () => {
    const { registry, encode } = arrange();
    await encode([create]);
    let rechecks = 0;
    registry.recheck = async () => void (rechecks += 1);
    registry.subjects.clear();
    await encode([create], table("others", orders.columns), { ...at, epoch: writerEpoch(4) });
    expect(rechecks).toBe(1);
    expect([...registry.subjects.keys()]).toEqual(["shop.orders-key", "shop.orders-value", "shop.others-key", "shop.others-value"]);
  });

  it.each<[string, Value]>([
    ["NULL where there is none", null],
    ["another class", "text"],
    ["more than 64 bits", 2n ** 63n],
    ["less than 64 bits", -(2n ** 63n) - 1n],
    ["a value that SQLite lacks", true],
  ])("refuses %s, by table and column", async (_, value) => {
    const { encode } = arrange();
    const change: Change = { kind: "create", at: position(2, 5), key: [2n], after: [value, null, 3] };
    await expect(encode([change])).rejects.toMatchObject({ code: "schema.value", where: { table: "orders", column: "id" } });
  });

  it("refuses half a surrogate pair instead of writing U+FFFD, and goes on unharmed", async () => {
    const { encode, decoder } = arrange();
    const withText = (text: string): Change => ({ kind: "create", at: position(2, 5), key: [2n], after: [2n, text, 3] });
    for (const text of ["\ud800", "x".repeat(100) + "\udc00", "\udc00\ud800".repeat(9000)])
      await expect(encode([withText(text)])).rejects.toMatchObject({ code: "schema.value", where: { column: "note" } });
    const decoded = await decodedWhole(decoder, stored(await encode([withText("💥\ufffd")])));
    expect(decoded[0]?.body).toMatchObject({ change: withText("💥\ufffd") });
  });

  it("refuses a row that is larger than a record may be, by table", async () => {
    const { encode } = arrange();
    const change: Change = { kind: "create", at: position(2, 5), key: [2n], after: [2n, "x".repeat(8 * 1024 * 1024), 3] };
    await expect(encode([change])).rejects.toMatchObject({ code: "log.record-too-large", where: { table: "orders" } });
  });
});
