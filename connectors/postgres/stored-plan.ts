/** The plan as rows of tailrace.pipeline_table, written and read by nobody else. */
import { isDeepStrictEqual } from "node:util";
import type { TablePlan, TargetPlan } from "../../core/contracts/plan.js";
import { type GroupId, groupId, type PipelineId, type RereadId, rereadId, type TableId, tableId } from "../../core/vocabulary/ids.js";
import type { Connection } from "./connection.js";
import { quoteText } from "./quote.js";
import { type Place, placeValues } from "./state.js";

export interface StoredTable {
  readonly plan: TablePlan;
  readonly createdByUs: boolean;
  readonly finished: boolean;
  /** The re-read under which its constraints are off. */
  readonly repair: RereadId | null;
}

export async function readStoredPlan(connection: Connection, pipeline: PipelineId): Promise<TargetPlan | null> {
  const groups = await connection.rows<{ prefix: string }>("SELECT prefix FROM tailrace.consistency_group WHERE pipeline = $1", [pipeline]);
  const [group] = groups;
  if (group === undefined) return null;
  const rows = await connection.rows<{ plan: TablePlan }>(
    "SELECT plan FROM tailrace.pipeline_table WHERE pipeline = $1 AND direction = 'forward' AND planned ORDER BY ordinal",
    [pipeline],
  );
  return { version: 1, pipeline, prefix: group.prefix, tables: rows.map(({ plan }) => plan) };
}

/** Parents before children. */
export async function readStoredTables(connection: Connection, place: Place): Promise<readonly StoredTable[]> {
  const rows = await connection.rows<{ plan: TablePlan; created_by_us: boolean; finished: boolean; repair: string | null }>(
    `SELECT plan, created_by_us, finished, repair FROM tailrace.pipeline_table
     WHERE pipeline = $1 AND group_id = $2 AND direction = $3 AND planned ORDER BY ordinal`,
    placeValues(place),
  );
  return rows.map((row) => ({
    plan: row.plan,
    createdByUs: row.created_by_us,
    finished: row.finished,
    repair: row.repair === null ? null : rereadId(row.repair),
  }));
}

/** Tables that an earlier plan had and this one has not. */
export async function readFormerTables(connection: Connection, place: Place): Promise<ReadonlySet<TableId>> {
  const rows = await connection.rows<{ source: string }>(
    "SELECT source FROM tailrace.pipeline_table WHERE pipeline = $1 AND group_id = $2 AND direction = $3 AND NOT planned",
    placeValues(place),
  );
  return new Set(rows.map(({ source }) => tableId(source)));
}

/** Tables that only other groups have, or had. */
export async function readElsewhere(connection: Connection, pipeline: PipelineId, group: GroupId): Promise<readonly TableId[]> {
  const rows = await connection.rows<{ source: string }>(
    `SELECT source FROM tailrace.pipeline_table WHERE pipeline = $1 AND direction = 'forward'
     GROUP BY source HAVING bool_and(group_id <> $2) ORDER BY source`,
    [pipeline, group],
  );
  return rows.map(({ source }) => tableId(source));
}

export interface PlanStatements {
  readonly plan: TargetPlan;
  readonly stored: TargetPlan | null;
  /** Tables that `prepare` makes now. */
  readonly created: ReadonlySet<TablePlan>;
}

/** As SQL text that a person can run; empty when the stored plan is this one. */
export function planStatements({ plan, stored, created }: PlanStatements): readonly string[] {
  if (isDeepStrictEqual(asJson(plan), stored === null ? null : asJson(stored))) return [];
  const groups = new Set(plan.tables.map((table) => table.group));
  if (groups.size === 0) groups.add(groupId(1));
  const begun = begunGroups(plan, stored);
  return [
    ...[...groups].flatMap((group) => groupStatements(plan, group, begun.get(group) ?? null)),
    unplanStatement(plan),
    ...[...begun.keys()].flatMap((group) => moveStatements(plan, stored, group)),
    ...plan.tables.map((table, i) => tableStatement(plan, table, i, created.has(table))),
  ];
}

/** Groups that the stored plan does not have, and the one each of them comes out of: that of its tables, or any that is there. */
export function begunGroups(plan: TargetPlan, stored: TargetPlan | null): ReadonlyMap<GroupId, GroupId> {
  const before = new Map((stored?.tables ?? []).map(({ source, group }) => [source, group]));
  const there = new Set(before.values());
  const begun = new Map<GroupId, GroupId>();
  for (const { group } of plan.tables) {
    if (there.size === 0 || there.has(group) || begun.has(group)) continue;
    const from = plan.tables.find((table) => table.group === group && before.has(table.source))?.source;
    begun.set(group, (from === undefined ? undefined : before.get(from)) ?? groupId(Math.min(...there)));
  }
  return begun;
}

const moveStatements = (plan: TargetPlan, stored: TargetPlan | null, group: GroupId): readonly string[] => {
  const moved = plan.tables.filter((table) => table.group === group && stored?.tables.some(({ source }) => source === table.source));
  return moved.length === 0
    ? []
    : [
        `UPDATE tailrace.pipeline_table SET group_id = ${group} WHERE pipeline = ${quoteText(plan.pipeline)} AND direction = 'forward' AND planned
  AND source = ANY (ARRAY[${moved.map((table) => quoteText(table.source)).join(", ")}]::text[])`,
      ];
};

const place = "log_id, history, ord, idx, writer_epoch, counts, cut_offset, ends, anchor, phase, marker";

function groupStatements(plan: TargetPlan, group: GroupId, from: GroupId | null): readonly string[] {
  const key = `${quoteText(plan.pipeline)}, ${group}`;
  if (from !== null) {
    return [
      `INSERT INTO tailrace.consistency_group (pipeline, group_id, prefix) VALUES (${key}, ${quoteText(plan.prefix)})
ON CONFLICT (pipeline, group_id) DO UPDATE SET prefix = excluded.prefix`,
      `INSERT INTO tailrace.pipeline (pipeline, group_id, direction, active, ${place})
SELECT pipeline, ${group}, direction, active, ${place} FROM tailrace.pipeline
 WHERE pipeline = ${quoteText(plan.pipeline)} AND group_id = ${from} AND direction = 'forward'
ON CONFLICT (pipeline, group_id, direction) DO UPDATE SET owner_epoch = pipeline.owner_epoch + 1, active = excluded.active,
  (${place}) = ROW (${place.replaceAll(/\w+/g, "excluded.$&")})`,
    ];
  }
  return [
    `INSERT INTO tailrace.consistency_group (pipeline, group_id, prefix) VALUES (${key}, ${quoteText(plan.prefix)})
ON CONFLICT (pipeline, group_id) DO UPDATE SET prefix = excluded.prefix`,
    `INSERT INTO tailrace.pipeline (pipeline, group_id, direction, active) VALUES (${key}, 'forward', true)
ON CONFLICT (pipeline, group_id, direction) DO NOTHING`,
  ];
}

const unplanStatement = (plan: TargetPlan): string =>
  `UPDATE tailrace.pipeline_table SET planned = false WHERE pipeline = ${quoteText(plan.pipeline)} AND direction = 'forward'
  AND source <> ALL (ARRAY[${plan.tables.map((table) => quoteText(table.source)).join(", ")}]::text[])`;

/** A plan that changed is to be finished again: it may ask for indexes that are not there. */
const tableStatement = (plan: TargetPlan, table: TablePlan, ordinal: number, created: boolean): string =>
  `INSERT INTO tailrace.pipeline_table (pipeline, group_id, direction, source, ordinal, created_by_us, plan)
VALUES (${quoteText(plan.pipeline)}, ${table.group}, 'forward', ${quoteText(table.source)}, ${ordinal}, ${created}, ${quoteText(JSON.stringify(table))})
ON CONFLICT (pipeline, group_id, direction, source) DO UPDATE SET ordinal = excluded.ordinal, planned = true, plan = excluded.plan,
  created_by_us = pipeline_table.created_by_us OR excluded.created_by_us,
  finished = pipeline_table.finished AND pipeline_table.plan = excluded.plan,
  left_out = CASE WHEN pipeline_table.plan = excluded.plan THEN pipeline_table.left_out ELSE '[]' END`;

const asJson = (plan: TargetPlan): unknown => JSON.parse(JSON.stringify(plan));
