/**
 * CPU of each hop of one process alone, per row, without databases and brokers around it: what to look at before and after work is removed from a
 * hot path. Figures of one thread's CPU time: they stand still on a machine that has other work, where wall rates do not.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openEmbeddedLog } from "../connectors/embedded-log/embedded-log.js";
// Loads the patched library.
import "../connectors/kafka/library.js";
import { Fold } from "../core/apply/fold.js";
import { TargetTable } from "../connectors/postgres/target-table.js";
import { copyBuffers } from "../connectors/postgres/text-forms.js";
import { systemClock } from "../core/clock.js";
import type { Change, Chunk } from "../core/contracts/change.js";
import type { EncodedRecord } from "../core/contracts/log.js";
import type { OutgoingRecord, StoredRecord } from "../core/contracts/log-store.js";
import type { TablePlan } from "../core/contracts/plan.js";
import { groupId, offset, rereadId, schemaVersion, tableId, topic, writerEpoch } from "../core/vocabulary/ids.js";
import { position } from "../core/vocabulary/position.js";
import type { ColumnDescription, TableDescription } from "../core/vocabulary/table.js";
import type { Row } from "../core/vocabulary/value.js";
import { createDecoder } from "../schemas/decoder.js";
import { createEncoder } from "../schemas/encoder.js";
import type { SchemaRegistry } from "../schemas/registry/registry.js";
import { OrderChanges } from "./changes.js";
import type { Bench } from "./options.js";
import { bound, columns, type Order, order } from "./orders.js";
import { median, rounded, spread } from "./report.js";

interface Figure {
  readonly hop: string;
  readonly round: number;
  readonly cpuUs: number;
}

const require = createRequire(import.meta.url);
type Encode = (of: object) => { readonly buffer: Buffer };
const encodeRecord = require("kafkajs/src/protocol/recordBatch/record/v0/index.js") as Encode;
const { RecordBatch } = require("kafkajs/src/protocol/recordBatch/v0/index.js") as {
  readonly RecordBatch: (of: object) => Promise<{ readonly buffer: Buffer }>;
};
const Decoder = require("kafkajs/src/protocol/decoder.js") as new (bytes: Buffer) => object;
const decodeMessages = require("kafkajs/src/protocol/requests/fetch/v4/decodeMessages.js") as (
  decoder: object,
) => Promise<readonly unknown[]>;

const types = ["integer", "integer", "text", "integer", "real", "text", "integer", "text"] as const;
const targetTypes = ["bigint", "bigint", "text", "bigint", "double precision", "text", "bigint", "text"] as const;
const table: TableDescription = {
  table: tableId("orders"),
  group: groupId(1),
  schema: schemaVersion(1),
  columns: columns.map(
    (name, i): ColumnDescription => ({ name, declaredType: "", nullable: i > 0, generated: false, classes: [types[i] ?? "text"] }),
  ),
  key: [0],
};
const plan: TablePlan = {
  source: table.table,
  group: table.group,
  target: { schema: "public", name: "orders" },
  columns: columns.map((name, i) => ({
    source: name,
    target: name,
    type: targetTypes[i] ?? "text",
    nullable: i > 0,
    conversion: { kind: "as-is" },
    written: "always",
    constant: null,
  })),
  key: ["id"],
  indexes: [],
  foreignKeys: [],
  dropped: [],
};

export const hops: Bench = async (options) => {
  const rounds = options.count("rounds", 7, 3);
  const changes = options.count("changes", 40_000, 10_000);
  const figures: Figure[] = [];
  // Round 0 warms the process up: its figures are not used.
  for (let round = 0; round <= rounds; round++) {
    const measured = await measure(changes);
    if (round > 0) for (const [hop, cpuUs] of measured) figures.push({ hop, round, cpuUs });
  }
  const names = [...new Set(figures.map(({ hop }) => hop))];
  const of = (hop: string): readonly number[] => figures.filter((figure) => figure.hop === hop).map(({ cpuUs }) => cpuUs);
  return {
    setup: [`${changes} changes (70/20/10) and rows of 8 columns; one process, its CPU time; ${rounds} rounds, one warm-up round dropped`],
    tables: [
      {
        title: "CPU µs per row: median (least-most) of the rounds, least",
        columns: ["hop", "µs", "least"],
        rows: names.map((hop) => [hop, spread(of(hop)), rounded(Math.min(median(of(hop)), ...of(hop)), 2)]),
      },
    ],
    skipped: [],
    rounds: figures,
  };
};

async function measure(n: number): Promise<ReadonlyMap<string, number>> {
  const figures = new Map<string, number>();
  const timed = async <T>(hop: string, work: () => T | Promise<T>): Promise<T> => {
    globalThis.gc?.();
    const before = process.cpuUsage();
    const result = await work();
    const { user, system } = process.cpuUsage(before);
    figures.set(hop, (user + system) / n);
    return result;
  };
  const signal = AbortSignal.timeout(600_000);
  const registry = registryInMemory();
  const encoder = createEncoder({ prefix: "bench", registry, clock: systemClock });
  const decoder = createDecoder({ registry });
  const live = liveChanges(n);
  const chunk = chunksOf(n);
  const records = await timed("encode changes", async () => {
    const out: OutgoingRecord[] = [];
    for (let from = 0; from < n; from += 10) {
      const part = { kind: "changes", table, changes: live.slice(from, from + 10) } as const;
      for (const each of await encoder.encode(part, { cut: position(1, from + 10), epoch: writerEpoch(1) }, signal))
        if (each.kind === "records") out.push(...outgoing(each.records));
    }
    return out;
  });
  const chunkRecords = await timed("encode rows of chunks", async () => {
    const out: OutgoingRecord[] = [];
    for (const one of chunk)
      for (const each of await encoder.encode({ kind: "chunk", table, chunk: one }, { cut: position(1, 1), epoch: writerEpoch(1) }, signal))
        if (each.kind === "records") out.push(...outgoing(each.records));
    return out;
  });
  await throughEmbeddedLog(records, timed);
  await throughKafkaBytes(records, timed);
  const stored = records.map((record, i): StoredRecord => ({ ...record, offset: offset(i) }));
  const decoded: Change[] = [];
  for (const record of await decoder.decode(stored, signal)) if (record?.body.kind === "change") decoded.push(record.body.change);
  await timed("decode changes: all but the rows", async () => {
    // Held as a reader holds them: until their window is written.
    let window: unknown[] = [];
    for (let from = 0; from < stored.length; from += 1000) {
      if (window.length >= 5) window = [];
      window.push(await decoder.decode(stored.slice(from, from + 1000), signal));
    }
    return window.length;
  });
  const storedChunks = chunkRecords.map((record, i): StoredRecord => ({ ...record, offset: offset(i) }));
  const decodedChunks = (await decoder.decode(storedChunks, signal)).flatMap((record) =>
    record?.body.kind === "chunk" ? [record.body.chunk] : [],
  );
  await timed("decode rows of chunks", async () => {
    let window: unknown[] = [];
    for (const record of storedChunks) {
      if (window.length >= 10) window = [];
      for (const found of await decoder.decode([record], signal)) window.push(found?.body);
    }
    return window.length;
  });
  const target = new TargetTable(plan, 0, new Map(), false);
  await timed("fold", () => foldsOf(decoded).reduce((sum, fold) => sum + fold.size, 0));
  const folds = foldsOf(decoded);
  await timed("decode rows, map and write as arrays", () => {
    let bytes = 0;
    for (const fold of folds) {
      const { upserts, deletes } = target.writes(fold.entries());
      // As the client does it: the text is measured and written.
      for (const { values = [] } of [...upserts, ...deletes])
        for (const value of values) bytes += Buffer.from(String(value), "utf8").length;
    }
    return bytes;
  });
  await timed("map and write for COPY", () => {
    let bytes = 0;
    for (const { rows } of decodedChunks)
      for (const buffer of copyBuffers(rows.map((row) => target.mapRow(table, row, position(1, 1))))) bytes += buffer.length;
    return bytes;
  });
  return figures;
}

function foldsOf(changes: readonly Change[]): readonly Fold[] {
  const folds: Fold[] = [];
  for (let from = 0; from < changes.length; from += 5_000) {
    const fold = new Fold();
    for (const change of changes.slice(from, from + 5_000)) fold.add(table, change);
    folds.push(fold);
  }
  return folds;
}

type Timed = <T>(hop: string, work: () => T | Promise<T>) => Promise<T>;

async function throughEmbeddedLog(records: readonly OutgoingRecord[], timed: Timed): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "tailrace-bench-hops-"));
  const signal = AbortSignal.timeout(600_000);
  try {
    await using log = await openEmbeddedLog({ path: join(folder, "log.db") });
    const name = topic("bench.orders");
    await log.ensure([{ topic: name, partitions: 1, cleanup: "delete" }], signal);
    await using appender = await log.appender(signal);
    await timed("embedded log: append, 1,000 a batch", async () => {
      for (let from = 0; from < records.length; from += 1000) await appender.append(records.slice(from, from + 1000), signal);
    });
    await using tail = await log.tail(new Map([[name, [offset(0)]]]), signal);
    await timed("embedded log: read", async () => {
      for (let read = 0; read < records.length; ) read += (await tail.next(1_000, signal))?.length ?? 0;
    });
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Batches as the client writes and reads them; the broker and the sockets are not in it. */
async function throughKafkaBytes(records: readonly OutgoingRecord[], timed: Timed): Promise<void> {
  const batches = await timed("kafka client: encode batches of 1,000", async () => {
    const out: Buffer[] = [];
    for (let from = 0; from < records.length; from += 1000) {
      const encoded = records
        .slice(from, from + 1000)
        .map(({ key, value }, offsetDelta) => encodeRecord({ offsetDelta, timestampDelta: 0, key, value }));
      out.push((await RecordBatch({ records: encoded, lastOffsetDelta: encoded.length - 1 })).buffer);
    }
    return out;
  });
  await timed("kafka client: decode", async () => {
    let read = 0;
    for (const batch of batches) {
      const length = Buffer.alloc(4);
      length.writeInt32BE(batch.length);
      read += (await decodeMessages(new Decoder(Buffer.concat([length, batch])))).length;
    }
    return read;
  });
}

function liveChanges(n: number): readonly Change[] {
  const drawn = new OrderChanges(100_000);
  return drawn.take(n).map((change, i): Change => {
    const at = position(1, i + 1);
    const key = [BigInt(change.id)];
    if (change.kind === "delete") return { kind: "delete", at, key, before: rowOf(order(change.id, 0)) };
    return { kind: change.kind === "insert" ? "create" : "update", at, key, after: rowOf(change.row) };
  });
}

function chunksOf(n: number): readonly Chunk[] {
  return Array.from({ length: Math.ceil(n / 500) }, (_, c) => ({
    reread: rereadId("bench"),
    scope: { kind: "range", after: c === 0 ? null : [BigInt(c * 500)], upTo: [BigInt((c + 1) * 500)] },
    at: position(1, 1, (c + 1) * 500),
    rows: Array.from({ length: Math.min(500, n - c * 500) }, (__, i) => rowOf(order(c * 500 + i + 1, 0))),
    last: false,
  }));
}

const rowOf = (of: Order): Row => bound(of) as Row;
const outgoing = (records: readonly EncodedRecord[]): readonly OutgoingRecord[] => records.map((record) => ({ ...record, partition: 0 }));

function registryInMemory(): SchemaRegistry {
  const texts: string[] = [];
  return {
    idFor: (_, text) => {
      const known = texts.indexOf(text);
      return Promise.resolve(known === -1 ? texts.push(text) - 1 : known);
    },
    schemaById: (id) => Promise.resolve(texts[id] ?? ""),
    recheck: () => Promise.resolve(),
  };
}
