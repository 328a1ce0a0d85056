/**
 * Everything `apply` does at the target, as SQL text: state schema, schemas, tables, stored plan. The same list is shown by `preview` and
 * executed by `prepare`, in one transaction, under a lock that only one `prepare` of a database holds.
 */
import type { TablePlan, TargetPlan } from "../../core/contracts/plan.js";
import type { PipelineId } from "../../core/vocabulary/ids.js";
import type { Connection } from "./connection.js";
import { createTable, refuseFaults } from "./create-table.js";
import { examineExisting } from "./existing-table.js";
import { qualified, quoteName } from "./quote.js";
import { pendingMigrations, stateExists } from "./state-schema.js";
import { planStatements, readStoredPlan } from "./stored-plan.js";

/** Two prepares must not look at the same time and both decide to create. Any fixed number. */
const prepareLock = 7_203_544_118;

export async function prepareStatements(connection: Connection, plan: TargetPlan): Promise<readonly string[]> {
  refuseFaults(plan);
  const migrations = await pendingMigrations(connection);
  const hasState = await stateExists(connection);
  const stored = hasState ? await readStoredPlan(connection, plan.pipeline) : null;
  const ours = hasState ? await tablesOf(connection, plan.pipeline) : new Set<string>();
  const created = new Set<TablePlan>();
  for (const table of plan.tables) {
    const existing = await examineExisting(connection, table, ours.has(qualified(table.target)));
    if (existing === "missing") created.add(table);
  }
  const schemas = await missingSchemas(connection, created);
  return [
    ...migrations,
    ...schemas.map((name) => `CREATE SCHEMA ${quoteName(name)}`),
    ...[...created].map(createTable),
    ...planStatements({ plan, stored, created }),
  ];
}

export async function prepare(connection: Connection, plan: TargetPlan): Promise<void> {
  await connection.query("BEGIN");
  try {
    await connection.query({ text: "SELECT pg_advisory_xact_lock($1)", values: [prepareLock] });
    for (const statement of await prepareStatements(connection, plan)) await connection.query(statement);
    await connection.query("COMMIT");
  } catch (thrown) {
    if (connection.lost() === null) await connection.query("ROLLBACK");
    throw thrown;
  }
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
