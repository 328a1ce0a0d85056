/**
 * Everything `apply` does at the target, as SQL text: state schema, schemas, tables, stored plan. The same list is shown by `preview` and
 * executed by `prepare`, in one transaction, under a lock that only one `prepare` of a database holds.
 *
 * A pipeline may be running: its owner is fenced off first, so that no window of the old plan is committed after the new one, and takes over
 * again with the new plan. Tables whose rows do not hold what the new plan says are announced before anything becomes durable.
 */
import { isDeepStrictEqual } from "node:util";
import type { TablePlan, TargetPlan } from "../../core/contracts/plan.js";
import type { BegunGroup, StaleTable } from "../../core/contracts/target.js";
import { TailraceError } from "../../core/errors.js";
import { mainGroup } from "../../core/plan/groups.js";
import type { GroupId, PipelineId } from "../../core/vocabulary/ids.js";
import type { Alteration } from "./alter-table.js";
import type { Connection } from "./connection.js";
import { createTable, refuseFaults } from "./create-table.js";
import { examineExisting } from "./existing-table.js";
import { disused, type Replan, unfinished } from "./replan.js";
import { qualified, quoteName, quoteText } from "./quote.js";
import { pendingMigrations, stateExists } from "./state-schema.js";
import { readActiveState } from "./state.js";
import { begunGroups, planStatements, readStoredPlan } from "./stored-plan.js";

/** Two prepares must not look at the same time and both decide to create. Any fixed number. */
const prepareLock = 7_203_544_118;

export interface Preparation {
  readonly statements: readonly string[];
  readonly stale: readonly StaleTable[];
  /** Groups that begin where another one is. */
  readonly begun: readonly GroupId[];
}

export async function preparation(connection: Connection, plan: TargetPlan): Promise<Preparation> {
  refuseFaults(plan);
  const migrations = await pendingMigrations(connection);
  const hasState = await stateExists(connection);
  const stored = hasState ? await readStoredPlan(connection, plan.pipeline) : null;
  const ours = hasState ? await tablesOf(connection, plan.pipeline) : new Set<string>();
  const created = new Set<TablePlan>();
  const altered = new Map<TablePlan, Alteration>();
  for (const table of plan.tables) {
    const found = await examineExisting(connection, table, ours.has(qualified(table.target)));
    if (found === null) created.add(table);
    else altered.set(table, found);
  }
  const replan: Replan = { before: stored?.tables ?? [], after: plan.tables, created, altered };
  const schemas = await missingSchemas(connection, created);
  const statements = [
    ...migrations,
    ...disused(replan),
    ...[...altered.values()].flatMap((alteration) => alteration.statements),
    ...schemas.map((name) => `CREATE SCHEMA ${quoteName(name)}`),
    ...[...created].map(createTable),
    ...planStatements({ plan, stored, created }),
    ...unfinished(replan, plan.pipeline),
  ];
  if (stored !== null && statements.length > 0) await refuseSwitched(connection, plan.pipeline);
  const fenced = stored === null || statements.length === 0 ? statements : [fenceOff(plan.pipeline), ...statements];
  return { statements: fenced, stale: staleTables(replan), begun: [...begunGroups(plan, stored).keys()] };
}

/** The application writes to the tables: they are no longer ours to change. Nor are others', whose group may stand elsewhere when it comes home. */
async function refuseSwitched(connection: Connection, pipeline: PipelineId): Promise<void> {
  const switched = await connection.rows<{ name: string | null }>(
    `SELECT DISTINCT t.plan ->> 'groupName' AS name FROM tailrace.pipeline AS p
     LEFT JOIN tailrace.pipeline_table AS t ON t.pipeline = p.pipeline AND t.group_id = p.group_id AND t.direction = 'forward' AND t.planned
     WHERE p.pipeline = $1 AND p.direction = 'reverse' AND p.active ORDER BY name`,
    [pipeline],
  );
  if (switched.length === 0) return;
  const groups = await connection.rows("SELECT FROM tailrace.consistency_group WHERE pipeline = $1", [pipeline]);
  const names = switched.map(({ name }) => name ?? mainGroup).join(", ");
  throw new TailraceError("cutover.ahead", {
    what: `${groups.length > 1 ? `Group ${names}` : "The pipeline"} was switched over: its tables are the application's now`,
    where: { pipeline },
  });
}

export async function prepare(
  connection: Connection,
  plan: TargetPlan,
  announce: (stale: readonly StaleTable[], begun: readonly BegunGroup[]) => Promise<void>,
): Promise<void> {
  await connection.query("BEGIN");
  try {
    await connection.query({ text: "SELECT pg_advisory_xact_lock($1)", values: [prepareLock] });
    const { statements, stale, begun } = await preparation(connection, plan);
    for (const statement of statements) await connection.query(statement);
    // The row that it was copied from is ours until COMMIT: whoever it belongs to cannot have gone on.
    const places = await placesOf(connection, plan.pipeline, begun);
    if (stale.length + places.length > 0) await announce(stale, places);
    await connection.query("COMMIT");
  } catch (thrown) {
    if (connection.lost() === null) await connection.query("ROLLBACK");
    throw thrown;
  }
}

async function placesOf(connection: Connection, pipeline: PipelineId, groups: readonly GroupId[]): Promise<readonly BegunGroup[]> {
  const places: BegunGroup[] = [];
  for (const group of groups) {
    const applied = (await readActiveState(connection, pipeline, group))?.applied ?? null;
    if (applied !== null) places.push({ group, applied });
  }
  return places;
}

/** First of all: it waits for a window that is being applied, and no other one gets as far as our tables. */
const fenceOff = (pipeline: PipelineId): string =>
  `UPDATE tailrace.pipeline SET owner_epoch = owner_epoch + 1 WHERE pipeline = ${quoteText(pipeline)} AND direction = 'forward'`;

/** Tables that are new to the pipeline are not among them: the source reads those without being asked. */
const staleTables = ({ before, after, created, altered }: Replan): readonly StaleTable[] =>
  after.flatMap((table): readonly StaleTable[] => {
    const old = before.find(({ source }) => source === table.source);
    if (old === undefined) return [];
    if (created.has(table)) return [{ table: table.source, rows: "gone" }];
    return altered.get(table)?.stale === true || !isMappedAlike(old, table) ? [{ table: table.source, rows: "differ" }] : [];
  });

function isMappedAlike(old: TablePlan, now: TablePlan): boolean {
  const mapped = ({ target: table, columns }: TablePlan): unknown => [
    table,
    columns.flatMap(({ source, target, type, conversion }) => (source === null ? [] : [{ source, target, type, conversion }])),
  ];
  return isDeepStrictEqual(mapped(old), mapped(now));
}

/** Target tables that this pipeline has written to, in an earlier plan perhaps. */
async function tablesOf(connection: Connection, pipeline: PipelineId): Promise<ReadonlySet<string>> {
  const rows = await connection.rows<{ schema: string; name: string }>(
    "SELECT plan #>> '{target,schema}' AS schema, plan #>> '{target,name}' AS name FROM tailrace.pipeline_table WHERE pipeline = $1",
    [pipeline],
  );
  return new Set(rows.map(qualified));
}

// CREATE SCHEMA IF NOT EXISTS asks for the right to create even when the schema is there.
async function missingSchemas(connection: Connection, created: ReadonlySet<TablePlan>): Promise<readonly string[]> {
  const names = [...new Set([...created].map((table) => table.target.schema))];
  const rows = await connection.rows<{ name: string }>(
    "SELECT s.name FROM unnest($1::text[]) AS s (name) WHERE NOT EXISTS (SELECT FROM pg_namespace AS n WHERE n.nspname = s.name)",
    [names],
  );
  return rows.map(({ name }) => name);
}
