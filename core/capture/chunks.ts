/**
 * The part of a batch that is read from the tables themselves: the next rows of whatever is to be read again, in the transaction that read
 * S. Indexes run on over all chunks of one order, and the end of a table takes one of its own, so that they come out the same however
 * chunks fall.
 */
import type { Chunk } from "../contracts/change.js";
import type { RereadId } from "../vocabulary/ids.js";
import { type Position, position } from "../vocabulary/position.js";
import type { Key, Row } from "../vocabulary/value.js";
import type { CaptureView, PageLimits } from "./capture-log.js";
import { advance, nextToRead, type Rereads } from "./rereads.js";

export interface ChunkLimits {
  readonly chunk: PageLimits;
  /** All chunks of one batch together. */
  readonly batch: PageLimits;
  /** Called when reading begins; what it returns is asked after each chunk: the read transaction must stay short. */
  readonly hasTime: () => () => boolean;
}
export interface TableChunk {
  readonly table: number;
  readonly chunk: Chunk;
}
export interface ChunksRead {
  readonly chunks: readonly TableChunk[];
  readonly rereads: Rereads;
  /** Where the last one ends. */
  readonly at: Position;
  /** Repairs that end with these chunks. */
  readonly ends: readonly { readonly table: number; readonly reread: RereadId }[];
}

export function readChunks(
  view: CaptureView,
  before: Rereads,
  options: { readonly limits: ChunkLimits; readonly at: Position; readonly keyOf: (table: number, row: Row) => Key },
): ChunksRead {
  const { limits, keyOf } = options;
  const hasTime = limits.hasTime();
  const chunks: TableChunk[] = [];
  const ends: { table: number; reread: RereadId }[] = [];
  let rereads = before;
  let at = options.at;
  let rowsLeft = limits.batch.rows;
  let bytesLeft = limits.batch.bytes;
  for (let next = nextToRead(rereads); next !== null; next = nextToRead(rereads)) {
    const read = view.chunk(next.table, next.cursor, { rows: Math.min(limits.chunk.rows, rowsLeft), bytes: limits.chunk.bytes });
    const last = read.rows.at(-1);
    const upTo = read.ended || last === undefined ? null : keyOf(next.table, last);
    at = position(at.history, at.order, at.index + read.rows.length + (upTo === null ? 1 : 0));
    const scope = { kind: "range", after: next.cursor, upTo } as const;
    chunks.push({ table: next.table, chunk: { reread: next.reread, scope, at, rows: read.rows, last: upTo === null } });
    rereads = advance(rereads, next, read.rows.length, upTo);
    if (upTo === null && next.mode === "repair") ends.push({ table: next.table, reread: next.reread });
    rowsLeft -= Math.max(1, read.rows.length);
    bytesLeft -= read.bytes;
    if (rowsLeft <= 0 || bytesLeft <= 0 || !hasTime()) break;
  }
  return { chunks, rereads, at, ends };
}
