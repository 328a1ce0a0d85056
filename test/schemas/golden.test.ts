/**
 * What is on the wire may outlive every process that wrote it: texts and bytes are pinned. A difference here is a new wire format; the old
 * bytes in `golden/` must stay readable for ever, so new ones go beside them (`vitest -u` only while nothing was released).
 */
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import type { BatchPart } from "../../core/contracts/change.js";
import type { EncodedRecord } from "../../core/contracts/log.js";
import type { StoredRecord } from "../../core/contracts/log-store.js";
import { offset, rereadId, topic, writerEpoch } from "../../core/vocabulary/ids.js";
import { position } from "../../core/vocabulary/position.js";
import type { Row } from "../../core/vocabulary/value.js";
import { canonicalFingerprint } from "../../schemas/avro-types.js";
import { createDecoder } from "../../schemas/decoder.js";
import { createEncoder } from "../../schemas/encoder.js";
import { column, decodedWhole, MapRegistry, never, recordsOf, stillClock, table } from "./support.js";

const orders = table(
  "my orders",
  [
    column("id", ["integer"], { declaredType: "INTEGER" }),
    column("line-no", ["integer"], { declaredType: "INT" }),
    column("name", ["text"], { declaredType: "VARCHAR(20)", nullable: true }),
    column("total", ["integer", "real"], { declaredType: "NUMERIC", generated: true }),
    column("any", ["blob", "integer", "raw", "real", "text"], { nullable: true }),
    column("unseen", [], { nullable: true }),
  ],
  [1, 0],
);
const rows: readonly Row[] = [
  [1n, 2n ** 63n - 1n, "Zoë", 3n, null, null],
  [-(2n ** 63n), 2n ** 53n + 1n, null, -0, new Uint8Array([0, 255]), null],
  [64n, 0n, "a\u0000b", Infinity, { rawText: new Uint8Array([0xff]) }, null],
];
const [first, second, third] = rows as [Row, Row, Row];
const parts: readonly BatchPart[] = [
  {
    kind: "changes",
    table: orders,
    changes: [
      { kind: "create", at: position(1, 100), key: [2n ** 63n - 1n, 1n], after: first },
      { kind: "update", at: position(1, 101), key: [2n ** 53n + 1n, -(2n ** 63n)], after: second },
      { kind: "rekey", at: position(1, 102), from: [5n, 6n], key: [0n, 64n], after: third },
      { kind: "delete", at: position(1, 103), key: [0n, 64n], before: third },
      { kind: "delete", at: position(1, 104), key: [0n, 65n], before: null },
      { kind: "state", at: position(1, 105), key: [0n, 64n], after: third },
    ],
  },
  {
    kind: "chunk",
    table: orders,
    chunk: { reread: rereadId("r-1"), scope: { kind: "range", after: null, upTo: [9n, 9n] }, at: position(1, 105, 3), rows, last: true },
  },
];
const at = { cut: position(1, 105), epoch: writerEpoch(4) };

interface GoldenRecord {
  readonly topic: string;
  readonly key: string | null;
  readonly value: string | null;
  readonly headers: readonly (readonly [string, string])[];
}

const hex = (bytes: Uint8Array | null): string | null => (bytes === null ? null : Buffer.from(bytes).toString("hex"));
const golden = (name: string): string => new URL(`golden/${name}`, import.meta.url).pathname;
const pretty = (value: unknown): string => `${JSON.stringify(value, null, 2)}\n`;

async function encodeAll(registry: MapRegistry) {
  const encoder = createEncoder({ prefix: "shop", registry, clock: stillClock });
  const records: EncodedRecord[] = [];
  for (const part of parts) records.push(...recordsOf(await encoder.encode(part, at, never)));
  return records;
}

describe("the wire format", () => {
  it("has the schemas that are pinned", async () => {
    const registry = new MapRegistry();
    await encodeAll(registry);
    const pinned = Object.fromEntries([...registry.subjects].map(([subject, text]) => [subject, JSON.parse(text) as unknown]));
    await expect(pretty(pinned)).toMatchFileSnapshot(golden("schemas.golden"));
    const fingerprints = [...registry.subjects].map(([subject, text]) => [
      subject,
      { text: createHash("sha256").update(text).digest("hex"), canonical: canonicalFingerprint(text) },
    ]);
    await expect(pretty(Object.fromEntries(fingerprints))).toMatchFileSnapshot(golden("fingerprints.golden"));
  });

  it("has the bytes that are pinned", async () => {
    const records = (await encodeAll(new MapRegistry())).map(
      (record): GoldenRecord => ({
        topic: record.topic,
        key: hex(record.key),
        value: hex(record.value),
        headers: record.headers.map(([name, value]) => [name, hex(value) ?? ""]),
      }),
    );
    await expect(pretty(records)).toMatchFileSnapshot(golden("records.golden"));
  });

  it("reads the pinned bytes by the pinned schemas", async () => {
    const schemas = JSON.parse(readFileSync(golden("schemas.golden"), "utf8")) as Record<string, unknown>;
    const records = JSON.parse(readFileSync(golden("records.golden"), "utf8")) as GoldenRecord[];
    const registry = new MapRegistry();
    registry.texts.push(...Object.values(schemas).map((schema) => JSON.stringify(schema)));
    const fromHex = (text: string | null) => (text === null ? null : Buffer.from(text, "hex"));
    const stored = records.map(
      (record, i): StoredRecord => ({
        topic: topic(record.topic),
        partition: 0,
        offset: offset(i),
        key: fromHex(record.key),
        value: fromHex(record.value),
        headers: record.headers.map(([name, value]) => [name, Buffer.from(value, "hex")]),
      }),
    );
    const decoded = await decodedWhole(createDecoder({ registry }), stored);
    const bodies = decoded.flatMap((record) => (record === null ? [] : [record.body]));
    const changes = bodies.flatMap((body) => (body.kind === "change" ? [body.change] : []));
    const chunks = bodies.flatMap((body) => (body.kind === "chunk" ? [body.chunk] : []));
    expect([changes, chunks]).toEqual(
      parts.map((part) => (part.kind === "changes" ? part.changes : part.kind === "chunk" ? [part.chunk] : [])).map((list) => [...list]),
    );
    for (const body of bodies) if (body.kind !== "counted") expect(body.table).toEqual(orders);
  });
});
