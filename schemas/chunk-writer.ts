/** One chunk, one record of `<prefix>.snapshot`. The order of bytes is the order of fields in `table-schema.ts`. */
import type { Chunk } from "../core/contracts/change.js";
import type { EncodedRecord } from "../core/contracts/log.js";
import type { Topic, WriterEpoch } from "../core/vocabulary/ids.js";
import type { TableDescription } from "../core/vocabulary/table.js";
import type { Key } from "../core/vocabulary/value.js";
import { checkRecordSize } from "./record-size.js";
import type { RowWriter } from "./row-writer.js";
import type { GrowingBuffer } from "./wire/growing-buffer.js";
import { writeFrame } from "./wire/framing.js";

export interface ChunkWriterOptions {
  /** `<prefix>.snapshot`. */
  readonly topic: Topic;
  readonly table: TableDescription;
  readonly rows: RowWriter;
  readonly schemaId: number;
}

export function writeChunk(
  out: GrowingBuffer,
  options: ChunkWriterOptions,
  part: { readonly chunk: Chunk; readonly epoch: WriterEpoch },
): EncodedRecord {
  const { topic, table, rows, schemaId } = options;
  const { chunk, epoch } = part;
  out.begin();
  writeFrame(out, schemaId);
  out.string(chunk.reread);
  for (const n of [chunk.at.history, chunk.at.order, chunk.at.index, epoch]) out.long(BigInt(n));
  writeBound(out, rows, chunk.scope.after);
  writeBound(out, rows, chunk.scope.upTo);
  out.byte(chunk.last ? 1 : 0);
  // One block, then the end of blocks.
  if (chunk.rows.length > 0) out.safeLong(chunk.rows.length);
  for (const row of chunk.rows) rows.row(out, row);
  out.byte(0);
  const value = out.end();
  const key = Buffer.from(table.table, "utf8");
  return checkRecordSize(table.table, { topic, partition: 0, key, value, headers: [], counts: 1 });
}

function writeBound(out: GrowingBuffer, rows: RowWriter, key: Key | null): void {
  if (key === null) {
    out.byte(0);
    return;
  }
  out.byte(2);
  rows.key(out, key);
}
