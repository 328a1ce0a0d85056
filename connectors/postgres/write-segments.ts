/**
 * Folded changes and chunks as statements.
 *
 * Order over tables: upserts, parents before children; then deletes, children before parents. A table with an immediate UNIQUE from which nothing
 * cascades is deleted from before it is written to. Foreign keys and UNIQUEs that we build are deferred and do not mind; those of others do.
 */
import type { TargetRow } from "../../core/mapping/mapped.js";
import type { TableId } from "../../core/vocabulary/ids.js";
import type { Connection, Query } from "./connection.js";
import type { Tally } from "../../core/apply/conservation.js";
import type { TargetTables } from "./controls.js";
import type { Fold } from "../../core/apply/fold.js";
import { filled } from "./table-statements.js";
import type { TableWrites, TargetTable } from "./target-table.js";
import { copyBuffers } from "./text-forms.js";
import type { ChunkSegment, Segment } from "../../core/apply/window-buffer.js";

type Segments = ReadonlyMap<TableId, readonly Segment[]>;

/** Of live changes only. `tables` is in the plan's order. */
export function liveQueries(tables: TargetTables, segments: Segments, tally: Tally): readonly Query[] {
  const before: Query[] = [];
  const upserts: Query[] = [];
  const deletes: Query[] = [];
  for (const [id, table] of tables) {
    for (const segment of segments.get(id) ?? []) {
      if (segment.kind === "chunks") throw new Error("a chunk among live changes");
      const writes = countedWrites(table, segment.fold, tally);
      upserts.push(...writes.upserts);
      if (table.deletesFirst) before.push(...writes.deletes);
      else deletes.unshift(...writes.deletes);
    }
  }
  return [...before, ...upserts, ...deletes];
}

/** Legal inside a transaction of a plain connection. A table's segments follow each other; a window with chunks goes table by table. */
export async function writeSegments(connection: Connection, tables: TargetTables, segments: Segments, tally: Tally): Promise<void> {
  const chunks = [...segments.values()].some((list) => list.some(({ kind }) => kind === "chunks"));
  if (!chunks) {
    for (const query of liveQueries(tables, segments, tally)) await connection.query(query);
    return;
  }
  for (const [id, table] of tables) {
    for (const segment of segments.get(id) ?? []) {
      if (segment.kind === "chunks") await replaceRange(connection, table, segment, tally);
      else for (const query of inTableOrder(table, countedWrites(table, segment.fold, tally))) await connection.query(query);
    }
  }
}

const inTableOrder = (table: TargetTable, { upserts, deletes }: TableWrites): readonly Query[] =>
  table.deletesFirst ? [...deletes, ...upserts] : [...upserts, ...deletes];

function countedWrites(table: TargetTable, fold: Fold, tally: Tally): TableWrites {
  const writes = table.writes(fold.entries());
  tally.add(table.plan.source, { taken: fold.taken, folded: fold.folded, applied: writes.rows });
  return writes;
}

/**
 * The range's rows become the chunk's. Where the target has none in the range, as in a first snapshot, that is a COPY straight into the table;
 * else rows are merged and what the chunk lacks is deleted.
 */
async function replaceRange(connection: Connection, table: TargetTable, chunk: ChunkSegment, tally: Tally): Promise<void> {
  const { statements } = table;
  const range = table.mapRange(chunk.table, chunk.scope, chunk.at);
  const rows = chunk.chunks.reduce((sum, some) => sum + some.length, 0);
  const probe = await connection.query<{ found: boolean }>(statements.anyWithin(range));
  if (probe.rows[0]?.found === false) {
    // Mapped as they go: the server takes in one buffer while the next is made.
    if (rows > 0) await connection.copy(statements.copyText(), copyBuffers(mapped(table, chunk)));
  } else for (const query of mergeQueries(table, [...mapped(table, chunk)], range)) await connection.query(query);
  tally.add(table.plan.source, { taken: rows, applied: rows });
}

function* mapped(table: TargetTable, chunk: ChunkSegment): Generator<TargetRow> {
  for (const some of chunk.chunks) for (const row of some) yield table.mapRow(chunk.table, row, chunk.at);
}

export const mergeQueries = (
  { statements }: TargetTable,
  rows: readonly TargetRow[],
  range: Parameters<TargetTable["statements"]["deleteRange"]>[0],
): readonly Query[] => [
  // Deleted first, so that a UNIQUE value which a missing row still holds is free.
  statements.deleteRange(
    range,
    rows.map((row) => statements.keyOf(row)),
  ),
  ...(rows.length === 0 ? [] : [statements.upsert(filled(statements.rows(), rows), false)]),
];
