/**
 * Rows of schema `tailrace` that say how far a pipeline is. The row in tailrace.pipeline is the fence: every window's first statement changes it,
 * on condition that nobody else has since the owner looked.
 */
import type { AppliedCut } from "../../core/contracts/log.js";
import type { Phase } from "../../core/contracts/change.js";
import type { Conservation, Direction, Passed } from "../../core/contracts/target.js";
import { countsFromJson, endsFromJson } from "../../core/log/cut-records.js";
import {
  anchor,
  type GroupId,
  logId,
  markerId,
  offset,
  type OwnerEpoch,
  ownerEpoch,
  type PipelineId,
  type TableId,
  tableId,
  writerEpoch,
} from "../../core/vocabulary/ids.js";
import { position } from "../../core/vocabulary/position.js";
import type { Connection, Query } from "./connection.js";

/** Primary key of every row about a pipeline's progress. */
export interface Place {
  readonly pipeline: PipelineId;
  readonly group: GroupId;
  readonly direction: Direction;
}
export interface PipelineState {
  readonly epoch: OwnerEpoch;
  readonly active: boolean;
  readonly backendPids: readonly number[];
  readonly applied: AppliedCut | null;
}

interface PipelineRow {
  readonly owner_epoch: string;
  readonly active: boolean;
  readonly backend_pids: readonly number[];
  readonly log_id: string | null;
  readonly history: string;
  readonly ord: string;
  readonly idx: string;
  readonly writer_epoch: string;
  readonly counts: Record<string, number>;
  readonly cut_offset: string;
  readonly ends: Record<string, number[]>;
  readonly anchor: Buffer;
  readonly phase: Phase;
}

const columns = `owner_epoch, active, backend_pids, log_id, history, ord, idx, writer_epoch, counts, cut_offset, ends, anchor, phase`;

export async function readState(connection: Connection, place: Place): Promise<PipelineState | null> {
  const [row] = await connection.rows<PipelineRow & { active: boolean }>(
    `SELECT ${columns} FROM tailrace.pipeline WHERE pipeline = $1 AND group_id = $2 AND direction = $3`,
    placeValues(place),
  );
  return row === undefined ? null : stateOf(row);
}

/** Of the direction that is active; null when nothing was prepared. */
export async function readActiveState(connection: Connection, pipeline: PipelineId, group: GroupId): Promise<PipelineState | null> {
  const [row] = await connection.rows<PipelineRow>(
    `SELECT ${columns} FROM tailrace.pipeline WHERE pipeline = $1 AND group_id = $2 AND active`,
    [pipeline, group],
  );
  return row === undefined ? null : stateOf(row);
}

/** One statement, so that marker, phase and repairs are of one moment. */
export async function readPassed(connection: Connection, pipeline: PipelineId, group: GroupId): Promise<Passed | null> {
  const [row] = await connection.rows<{ history: string; ord: string; idx: string; marker: string | null; settled: boolean }>(
    `SELECT p.history, p.ord, p.idx, p.marker, p.phase = 'streaming' AND NOT EXISTS (SELECT FROM tailrace.pipeline_table AS t
         WHERE t.pipeline = p.pipeline AND t.group_id = p.group_id AND t.direction = p.direction AND t.planned AND t.repair IS NOT NULL) AS settled
     FROM tailrace.pipeline AS p WHERE p.pipeline = $1 AND p.group_id = $2 AND p.active AND p.log_id IS NOT NULL`,
    [pipeline, group],
  );
  if (row === undefined) return null;
  return {
    position: position(Number(row.history), Number(row.ord), Number(row.idx)),
    marker: row.marker === null ? null : markerId(row.marker),
    settled: row.settled,
  };
}

/** Raises the owner epoch, of a direction that is active or of one that is not; null: it is the other. Waits for the row while an older owner's transaction holds it. */
export async function raiseEpoch(
  connection: Connection,
  place: Place,
  { pids, active }: { readonly pids: readonly number[]; readonly active: boolean },
): Promise<PipelineState | null> {
  const [row] = await connection.rows<PipelineRow>(
    `UPDATE tailrace.pipeline SET owner_epoch = owner_epoch + 1, backend_pids = $4::integer[]
     WHERE pipeline = $1 AND group_id = $2 AND direction = $3 AND active = $5
     RETURNING ${columns}`,
    [...placeValues(place), pids, active],
  );
  return row === undefined ? null : stateOf(row);
}

const guard = `pipeline = $1 AND group_id = $2 AND direction = $3 AND owner_epoch = $4 AND active`;
const unchanged = `${guard} AND log_id IS NOT DISTINCT FROM $5 AND history IS NOT DISTINCT FROM $6::bigint
    AND ord IS NOT DISTINCT FROM $7::bigint AND idx IS NOT DISTINCT FROM $8::bigint`;

/** 22012, division by zero, is the fence's no. `applying` lets triggers of the target stand aside. */
const decide = `RETURNING 1) SELECT 1 / count(*) AS owned, set_config('tailrace.applying', 'on', true) FROM f`;

export interface Fence {
  readonly place: Place;
  readonly epoch: OwnerEpoch;
  readonly before: AppliedCut | null;
}

const fenceValues = ({ place, epoch, before }: Fence): readonly unknown[] => [
  ...placeValues(place),
  epoch,
  before?.logId ?? null,
  before?.position.history ?? null,
  before?.position.order ?? null,
  before?.position.index ?? null,
];

/** First statement of a window whose end is not known yet: locks the row, changes nothing that says how far we are. */
export const fenceQuery = (fence: Fence): Query => ({
  name: "tailrace_fence",
  text: `WITH f AS (UPDATE tailrace.pipeline SET updated_at = now() WHERE ${unchanged} ${decide}`,
  values: fenceValues(fence),
});

const afterColumns = (first: number): string =>
  ["log_id", "history", "ord", "idx", "writer_epoch", "counts", "cut_offset", "ends", "anchor", "phase"]
    .map((column, i) => `${column} = $${first + i}`)
    .join(", ");

/** First statement of a window that is all here: compares and sets in one. */
export const fenceAndAdvanceQuery = (fence: Fence, after: AppliedCut): Query => ({
  name: "tailrace_advance_fenced",
  text: `WITH f AS (UPDATE tailrace.pipeline SET ${afterColumns(9)}, updated_at = now() WHERE ${unchanged} ${decide}`,
  values: [...fenceValues(fence), ...afterValues(after)],
});

/** All that a window is to whoever only follows: the same comparison, of a direction that is not active. */
export const followQuery = (fence: Fence, after: AppliedCut): Query => ({
  name: "tailrace_follow",
  text: `UPDATE tailrace.pipeline SET ${afterColumns(9)}, updated_at = now()
    WHERE ${unchanged.replace("AND active", "AND NOT active")}`,
  values: [...fenceValues(fence), ...afterValues(after)],
});

/** Last statement of a window that was streamed; the row is locked since the fence. */
export const advanceQuery = (place: Place, after: AppliedCut): Query => ({
  name: "tailrace_advance",
  text: `UPDATE tailrace.pipeline SET ${afterColumns(4)} WHERE pipeline = $1 AND group_id = $2 AND direction = $3`,
  values: [...placeValues(place), ...afterValues(after)],
});

/** For DDL outside windows: waits for the row, then holds it, so that a successor's epoch waits for our transaction's end. */
export const ownedQuery = (place: Place, epoch: OwnerEpoch): Query => ({
  text: `SELECT 1 / count(*) AS owned FROM (SELECT FROM tailrace.pipeline WHERE ${guard} FOR UPDATE) AS f`,
  values: [...placeValues(place), epoch],
});

export const addCountsQuery = (place: Place, counts: ReadonlyMap<TableId, Conservation>): Query => {
  const all = [...counts.values()];
  const kinds = ["taken", "folded", "applied", "filtered", "quarantined", "replayed"] as const;
  return {
    name: "tailrace_counts",
    text: `UPDATE tailrace.pipeline_table AS t SET ${kinds.map((kind) => `${kind} = t.${kind} + d.${kind}`).join(", ")}
      FROM unnest($4::text[], ${kinds.map((_, i) => `$${i + 5}::bigint[]`).join(", ")}) AS d (source, ${kinds.join(", ")})
      WHERE t.pipeline = $1 AND t.group_id = $2 AND t.direction = $3 AND t.source = d.source`,
    values: [...placeValues(place), [...counts.keys()], ...kinds.map((kind) => all.map((one) => one[kind]))],
  };
};

export async function readTotals(connection: Connection, place: Place): Promise<ReadonlyMap<TableId, Conservation>> {
  type Row = Record<keyof Conservation, string> & { source: string };
  const rows = await connection.rows<Row>(
    `SELECT source, taken, folded, applied, filtered, quarantined, replayed FROM tailrace.pipeline_table
     WHERE pipeline = $1 AND group_id = $2 AND direction = $3 ORDER BY ordinal`,
    placeValues(place),
  );
  return new Map(
    rows.map((row) => [
      tableId(row.source),
      {
        taken: Number(row.taken),
        folded: Number(row.folded),
        applied: Number(row.applied),
        filtered: Number(row.filtered),
        quarantined: Number(row.quarantined),
        replayed: Number(row.replayed),
      },
    ]),
  );
}

export const placeValues = ({ pipeline, group, direction }: Place): readonly unknown[] => [pipeline, group, direction];

const afterValues = (after: AppliedCut): readonly unknown[] => [
  after.logId,
  after.position.history,
  after.position.order,
  after.position.index,
  after.epoch,
  JSON.stringify(Object.fromEntries(after.counts)),
  after.offset,
  JSON.stringify(Object.fromEntries(after.ends)),
  Buffer.from(after.anchor),
  after.phase,
];

function stateOf(row: PipelineRow): PipelineState {
  return {
    epoch: ownerEpoch(Number(row.owner_epoch)),
    active: row.active,
    backendPids: row.backend_pids,
    applied: row.log_id === null ? null : cutOf(row, row.log_id),
  };
}

const cutOf = (row: PipelineRow, id: string): AppliedCut => ({
  logId: logId(id),
  position: position(Number(row.history), Number(row.ord), Number(row.idx)),
  epoch: writerEpoch(Number(row.writer_epoch)),
  counts: countsFromJson(row.counts),
  offset: offset(Number(row.cut_offset)),
  ends: endsFromJson(row.ends),
  anchor: anchor(Uint8Array.from(row.anchor)),
  phase: row.phase,
});
