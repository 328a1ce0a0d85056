import type avsc from "avsc";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { BatchPart, Change } from "../../core/contracts/change.js";
import { rereadId, writerEpoch } from "../../core/vocabulary/ids.js";
import { position } from "../../core/vocabulary/position.js";
import { keyOf, type TableDescription } from "../../core/vocabulary/table.js";
import type { Row } from "../../core/vocabulary/value.js";
import { createDecoder } from "../../schemas/decoder.js";
import { createEncoder } from "../../schemas/encoder.js";
import { avroFieldNames } from "../../schemas/names.js";
import { avscType, avscValue, decodedWhole, MapRegistry, never, recordsOf, rowFor, stillClock, stored, tables } from "./support.js";

const at = { cut: position(3, 2 ** 40, 0), epoch: writerEpoch(7) };
const tablesWithRows = tables.chain((table) => fc.record({ table: fc.constant(table), rows: fc.array(rowFor(table), { maxLength: 6 }) }));

function parts() {
  const registry = new MapRegistry();
  return { registry, encoder: createEncoder({ prefix: "shop", registry, clock: stillClock }), decoder: createDecoder({ registry }) };
}

/** One change of each kind for each row. */
function changesOf(table: TableDescription, rows: readonly Row[]): readonly Change[] {
  return rows.flatMap((row, i): Change[] => {
    const key = keyOf(table, row);
    const where = position(3, 1 + i, 0);
    return [
      { kind: "create", at: where, key, after: row },
      { kind: "update", at: where, key, after: row },
      { kind: "state", at: where, key, after: row },
      { kind: "rekey", at: where, from: keyOf(table, rows[0] ?? row), key, after: row },
      { kind: "delete", at: where, key, before: row },
      { kind: "delete", at: where, key, before: null },
    ];
  });
}

describe("codec", () => {
  it("gives back every change as it was", async () => {
    await fc.assert(
      fc.asyncProperty(tablesWithRows, async ({ table, rows }) => {
        const { encoder, decoder } = parts();
        const changes = changesOf(table, rows);
        const encoded = recordsOf(await encoder.encode({ kind: "changes", table, changes }, at, never));
        const decoded = await decodedWhole(decoder, stored(encoded));
        const bodies = decoded.flatMap((record) => (record === null || record.body.kind !== "change" ? [] : [record.body]));
        expect(bodies.map((body) => body.change)).toEqual(changes);
        for (const body of bodies) expect(body.table).toEqual(table);
        for (const record of decoded) expect(record?.epoch ?? at.epoch).toBe(at.epoch);
        expect(encoded.reduce((sum, record) => sum + record.counts, 0)).toBe(rows.length * 7);
      }),
      { numRuns: 400 },
    );
  });

  it("gives back every chunk as it was", async () => {
    await fc.assert(
      fc.asyncProperty(tablesWithRows, fc.boolean(), async ({ table, rows }, last) => {
        const { encoder, decoder } = parts();
        const [first] = rows;
        const bound = first === undefined ? null : keyOf(table, first);
        const scope = { kind: "range", after: last ? null : bound, upTo: last ? bound : null } as const;
        const part: BatchPart = { kind: "chunk", table, chunk: { reread: rereadId("r1"), scope, at: position(3, 9, 500), rows, last } };
        const decoded = await decodedWhole(decoder, stored(recordsOf(await encoder.encode(part, at, never))));
        expect(decoded).toEqual([{ epoch: at.epoch, at: position(3, 9, 500), body: { kind: "chunk", table, chunk: part.chunk } }]);
      }),
      { numRuns: 300 },
    );
  });

  it("writes byte for byte what avsc writes", async () => {
    await fc.assert(
      fc.asyncProperty(tablesWithRows, async ({ table, rows }) => {
        const { registry, encoder } = parts();
        const chunk = {
          reread: rereadId("é"),
          scope: { kind: "range", after: null, upTo: null },
          at: position(3, 9, 1),
          rows,
          last: true,
        } as const;
        const encoded = [
          ...recordsOf(await encoder.encode({ kind: "changes", table, changes: changesOf(table, rows) }, at, never)),
          ...recordsOf(await encoder.encode({ kind: "chunk", table, chunk }, at, never)),
        ];
        const types = new Map<number, avsc.Type>();
        for (const frame of encoded.flatMap((record) => [record.value, record.key])) {
          if (frame === null || frame[0] !== 0) continue;
          const bytes = Buffer.from(frame);
          const id = bytes.readUInt32BE(1);
          const type = types.get(id) ?? avscType(await registry.schemaById(id));
          types.set(id, type);
          const body = bytes.subarray(5);
          expect(type.toBuffer(type.fromBuffer(body)).toString("hex")).toBe(body.toString("hex"));
        }
      }),
      { numRuns: 200 },
    );
  });

  it("writes rows byte for byte as avsc does from the values themselves", async () => {
    await fc.assert(
      fc.asyncProperty(tablesWithRows, async ({ table, rows }) => {
        const { registry, encoder } = parts();
        const changes = rows.map((after, i): Change => ({ kind: "create", at: position(3, i, 0), key: keyOf(table, after), after }));
        const encoded = recordsOf(await encoder.encode({ kind: "changes", table, changes }, at, never));
        const names = avroFieldNames(table.columns.map(({ name }) => name));
        const type = avscType([...registry.subjects].find(([subject]) => subject.endsWith("-value"))?.[1] ?? "");
        encoded.forEach((record, i) => {
          const body = Buffer.from(record.value ?? []).subarray(5);
          const read: { after: unknown; op: string } = type.fromBuffer(body);
          const fields = table.columns.map((column, c) => [names[c], avscValue(rows[i]?.[c] ?? null, column)]);
          const [name] = Object.keys(read.after ?? {});
          const written = type.toBuffer({ ...read, after: { [name ?? ""]: Object.fromEntries(fields) } });
          expect(written.toString("hex")).toBe(body.toString("hex"));
          expect(read.op).toBe("c");
        });
      }),
      { numRuns: 300 },
    );
  });
});
