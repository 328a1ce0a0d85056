/**
 * What the file knows as a target: `_cdc_applied` (a row per group: the applied cut and who may write the next one) and `_cdc_plan` (a row per table:
 * how it is mapped, and what became of its changes). The row of the group is the fence: every window begins by comparing it and ends by setting it.
 */
import { isDeepStrictEqual } from "node:util";
import type { AppliedCut } from "../../../core/contracts/log.js";
import type { TablePlan, TargetPlan } from "../../../core/contracts/plan.js";
import type { Conservation, Direction, Passed } from "../../../core/contracts/target.js";
import { appliedCutFromJson, appliedCutToJson } from "../../../core/log/applied-cut-json.js";
import {
  type GroupId,
  markerId,
  type OwnerEpoch,
  ownerEpoch,
  type PipelineId,
  type TableId,
  tableId,
} from "../../../core/vocabulary/ids.js";
import type { Database } from "../database.js";
import { trackedTables } from "./tracked-keys.js";

export interface Place {
  readonly pipeline: PipelineId;
  readonly group: GroupId;
  readonly direction: Direction;
}
export interface TargetState {
  readonly pipeline: string;
  readonly prefix: string;
  readonly active: boolean;
  readonly epoch: OwnerEpoch;
  readonly paused: boolean;
  readonly applied: AppliedCut | null;
  readonly marker: string | null;
}
export interface StoredTable {
  readonly plan: TablePlan;
  readonly planned: boolean;
  /** The re-read that has begun and not ended. */
  readonly repair: string | null;
}

const tables: Readonly<Record<string, string>> = {
  _cdc_applied:
    "CREATE TABLE _cdc_applied (grp INTEGER PRIMARY KEY, pipeline, prefix, direction, active, owner_epoch, paused, log_id, history, ord, idx, cut, marker)",
  _cdc_plan:
    "CREATE TABLE _cdc_plan (source TEXT PRIMARY KEY, grp, ordinal, planned, plan, repair, taken, folded, applied, filtered, quarantined, replayed) WITHOUT ROWID",
  ...trackedTables,
};
const kinds = ["taken", "folded", "applied", "filtered", "quarantined", "replayed"] as const;

export const missingTables = (database: Database): readonly string[] =>
  Object.entries(tables)
    .filter(([name]) => !has(database, name))
    .map(([, sql]) => sql);

export const isPrepared = (database: Database): boolean => missingTables(database).length === 0;

const has = (database: Database, table: string): boolean =>
  database.prepare("SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = ?").pluck().get(table) === 1;

/** Null: nothing was prepared. */
export function readState(database: Database, group: GroupId): TargetState | null {
  if (!isPrepared(database)) return null;
  const row = database
    .prepare("SELECT pipeline, prefix, active, owner_epoch, paused, cut, marker FROM _cdc_applied WHERE grp = ?")
    .get(group) as
    | { pipeline: string; prefix: string; active: number; owner_epoch: number; paused: number; cut: string | null; marker: string | null }
    | undefined;
  if (row === undefined) return null;
  return {
    pipeline: row.pipeline,
    prefix: row.prefix,
    active: row.active === 1,
    epoch: ownerEpoch(row.owner_epoch),
    paused: row.paused === 1,
    applied: row.cut === null ? null : appliedCutFromJson(row.cut),
    marker: row.marker,
  };
}

/** Whoever else writes back to this file; null: nobody. */
export function otherPipeline(database: Database, pipeline: PipelineId): string | null {
  if (!isPrepared(database)) return null;
  const name: unknown = database.prepare("SELECT pipeline FROM _cdc_applied WHERE pipeline <> ? LIMIT 1").pluck().get(pipeline);
  return typeof name === "string" ? name : null;
}

/** In plan order, those of earlier plans behind them. */
export function readTables(database: Database, group: GroupId): readonly StoredTable[] {
  const rows = database.prepare("SELECT plan, planned, repair FROM _cdc_plan WHERE grp = ? ORDER BY planned DESC, ordinal").all(group) as {
    plan: string;
    planned: number;
    repair: string | null;
  }[];
  return rows.map(({ plan, planned, repair }) => ({ plan: JSON.parse(plan) as TablePlan, planned: planned === 1, repair }));
}

export function readPlan(database: Database, { pipeline, group }: Place): TargetPlan | null {
  const state = readState(database, group);
  if (state === null || state.pipeline !== pipeline) return null;
  const planned = readTables(database, group).filter((table) => table.planned);
  return { version: 1, pipeline, prefix: state.prefix, tables: planned.map(({ plan }) => plan) };
}

export const holdsPlan = (database: Database, place: Place, plan: TargetPlan): boolean =>
  isDeepStrictEqual(readPlan(database, place), JSON.parse(JSON.stringify(plan)));

/** Whoever owned the target under another plan is fenced off. */
export function storePlan(database: Database, place: Place, plan: TargetPlan): void {
  if (holdsPlan(database, place, plan)) return;
  database
    .prepare(
      `INSERT INTO _cdc_applied (grp, pipeline, prefix, direction, active, owner_epoch, paused) VALUES (?, ?, ?, ?, 1, 0, 0)
       ON CONFLICT (grp) DO UPDATE SET prefix = excluded.prefix, owner_epoch = owner_epoch + 1`,
    )
    .run(place.group, place.pipeline, plan.prefix, place.direction);
  database.prepare("UPDATE _cdc_plan SET planned = 0 WHERE grp = ?").run(place.group);
  const store = database.prepare(
    `INSERT INTO _cdc_plan (source, grp, ordinal, planned, plan, ${kinds.join(", ")}) VALUES (?, ?, ?, 1, ?, 0, 0, 0, 0, 0, 0)
     ON CONFLICT (source) DO UPDATE SET grp = excluded.grp, ordinal = excluded.ordinal, planned = 1, plan = excluded.plan`,
  );
  for (const [ordinal, table] of plan.tables.entries()) store.run(table.source, place.group, ordinal, JSON.stringify(table));
}

export function readPassed(database: Database, group: GroupId): Passed | null {
  const state = readState(database, group);
  if (state === null || state.applied === null) return null;
  const open = database.prepare("SELECT count(*) FROM _cdc_plan WHERE grp = ? AND planned AND repair IS NOT NULL").pluck().get(group);
  return {
    position: state.applied.position,
    marker: state.marker === null ? null : markerId(state.marker),
    settled: state.applied.phase === "streaming" && open === 0,
  };
}

export function readTotals(database: Database, group: GroupId): ReadonlyMap<TableId, Conservation> {
  const rows = database.prepare(`SELECT source, ${kinds.join(", ")} FROM _cdc_plan WHERE grp = ? ORDER BY ordinal`).all(group);
  return new Map((rows as (Conservation & { source: string })[]).map(({ source, ...counts }) => [tableId(source), counts]));
}

/** Null: another direction is active, or none. */
export function raiseEpoch(database: Database, { group, direction }: Place): TargetState | null {
  const { changes } = database
    .prepare("UPDATE _cdc_applied SET owner_epoch = owner_epoch + 1 WHERE grp = ? AND direction = ? AND active = 1")
    .run(group, direction);
  return changes === 1 ? readState(database, group) : null;
}

/** First statement of a window: false when somebody else has been here. Changes nothing that says how far we are. */
export function compare(database: Database, { group, direction }: Place, epoch: OwnerEpoch, before: AppliedCut | null): boolean {
  const at = before?.position ?? null;
  const { changes } = database
    .prepare(
      `UPDATE _cdc_applied SET owner_epoch = owner_epoch WHERE grp = ? AND direction = ? AND active = 1 AND owner_epoch = ?
         AND log_id IS ? AND history IS ? AND ord IS ? AND idx IS ?`,
    )
    .run(group, direction, epoch, before?.logId ?? null, at?.history ?? null, at?.order ?? null, at?.index ?? null);
  return changes === 1;
}

/** Last statement of a window. */
export function advance(database: Database, { group }: Place, after: AppliedCut): void {
  const { history, order, index } = after.position;
  database
    .prepare("UPDATE _cdc_applied SET log_id = ?, history = ?, ord = ?, idx = ?, cut = ? WHERE grp = ?")
    .run(after.logId, history, order, index, appliedCutToJson(after), group);
}

export function addCounts(database: Database, counts: ReadonlyMap<TableId, Conservation>): void {
  const add = database.prepare(`UPDATE _cdc_plan SET ${kinds.map((kind) => `${kind} = ${kind} + ?`).join(", ")} WHERE source = ?`);
  for (const [table, n] of counts) add.run(...kinds.map((kind) => n[kind]), table);
}

export function setMarker(database: Database, { group }: Place, marker: string): void {
  database.prepare("UPDATE _cdc_applied SET marker = ? WHERE grp = ?").run(marker, group);
}

export function setRepair(database: Database, table: TableId, reread: string | null): void {
  database.prepare("UPDATE _cdc_plan SET repair = ? WHERE source = ?").run(reread, table);
}

export function setPaused(database: Database, group: GroupId, paused: boolean): boolean {
  return (
    isPrepared(database) && database.prepare("UPDATE _cdc_applied SET paused = ? WHERE grp = ?").run(paused ? 1 : 0, group).changes === 1
  );
}

/** Idempotent; what it did, as SQL. What other groups have stays. The application's tables are nobody's to drop. */
export function destroyState(database: Database, group: GroupId): readonly string[] {
  const present = Object.keys(tables).filter((name) => has(database, name));
  const isShared = present.some((name) => database.prepare(`SELECT count(*) FROM ${name} WHERE grp <> ?`).pluck().get(group) !== 0);
  const isOurs = (name: string): boolean => database.prepare(`SELECT count(*) FROM ${name} WHERE grp = ?`).pluck().get(group) !== 0;
  const statements = isShared
    ? present.filter(isOurs).map((name) => `DELETE FROM ${name} WHERE grp = ${group}`)
    : present.map((name) => `DROP TABLE ${name}`);
  for (const statement of statements) database.exec(statement);
  return statements;
}
