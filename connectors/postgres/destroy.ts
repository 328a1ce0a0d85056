/** Removes a pipeline's rows from schema `tailrace`, the schema itself with its last pipeline, and on request the tables that it made. */
import { groupId, type PipelineId } from "../../core/vocabulary/ids.js";
import type { Connection } from "./connection.js";
import { liftFence } from "./cutover/lift-fence.js";
import { qualified } from "./quote.js";
import { closeWayBack } from "./source/way-back.js";
import { stateExists } from "./state-schema.js";

export async function destroyPipeline(
  connection: Connection,
  pipeline: PipelineId,
  options: { readonly tables: boolean },
): Promise<readonly string[]> {
  // Not in the transaction: a slot is gone at once, and one that is left behind would keep the server's log for ever.
  const ways = await closeWaysBack(connection, pipeline);
  await connection.query("BEGIN");
  try {
    const removed = (await stateExists(connection)) ? await remove(connection, pipeline, options.tables) : [];
    await connection.query("COMMIT");
    return [...ways, ...removed];
  } catch (thrown) {
    if (connection.lost() === null) await connection.query("ROLLBACK");
    throw thrown;
  }
}

async function closeWaysBack(connection: Connection, pipeline: PipelineId): Promise<readonly string[]> {
  const [there] = await connection.rows<{ found: boolean }>("SELECT to_regclass('tailrace.way_back') IS NOT NULL AS found");
  if (there?.found !== true) return [];
  const groups = await connection.rows<{ id: number }>("SELECT group_id AS id FROM tailrace.way_back WHERE pipeline = $1", [pipeline]);
  const removed: string[] = [];
  for (const { id } of groups) removed.push(...(await closeWayBack(connection, { pipeline, group: groupId(id) })));
  return removed;
}

async function remove(connection: Connection, pipeline: PipelineId, tables: boolean): Promise<readonly string[]> {
  const removed: string[] = [...(await takeDownFences(connection, pipeline))];
  const ours = tables ? await createdTables(connection, pipeline) : [];
  if (ours.length > 0) {
    // In one statement, since foreign keys between them may go in circles.
    await connection.query(`DROP TABLE ${ours.join(", ")}`);
    removed.push(...ours.map((name) => `table ${name}`));
  }
  const state = [
    "verification_mismatch",
    "verification_run",
    "pipeline_table",
    "pipeline",
    "consistency_group",
    "cutover",
    "route",
    "way_back",
    "marker",
    "touch",
    "fence",
  ];
  for (const table of state) {
    const [there] = await connection.rows<{ found: boolean }>("SELECT to_regclass($1) IS NOT NULL AS found", [`tailrace.${table}`]);
    if (there?.found !== true) continue;
    const result = await connection.query({ text: `DELETE FROM tailrace.${table} WHERE pipeline = $1`, values: [pipeline] });
    if ((result.rowCount ?? 0) > 0) removed.push(`state of pipeline ${pipeline} in tailrace.${table}`);
  }
  const [others] = await connection.rows<{ found: boolean }>("SELECT EXISTS (SELECT FROM tailrace.pipeline) AS found");
  if (others?.found === false) {
    await connection.query("DROP SCHEMA tailrace CASCADE");
    removed.push("schema tailrace");
  }
  return removed;
}

/** Triggers that refuse writes must not stay where nobody could tell any more what they are. */
async function takeDownFences(connection: Connection, pipeline: PipelineId): Promise<readonly string[]> {
  const [there] = await connection.rows<{ found: boolean }>("SELECT to_regclass('tailrace.fence') IS NOT NULL AS found");
  if (there?.found !== true) return [];
  const fences = await connection.rows<{ id: number; sequences: readonly string[] }>(
    "SELECT group_id AS id, ARRAY[until_sequence, passed_sequence] AS sequences FROM tailrace.fence WHERE pipeline = $1",
    [pipeline],
  );
  const removed: string[] = [];
  for (const { id, sequences } of fences) {
    const statements = await liftFence(connection, { pipeline, group: groupId(id) });
    for (const statement of statements) await connection.query(statement);
    for (const name of sequences) await connection.query(`DROP SEQUENCE ${qualified({ schema: "tailrace", name })}`);
    removed.push(
      ...statements.filter((statement) => statement.startsWith("DROP")).map((statement) => statement.replace("DROP TRIGGER", "trigger")),
    );
  }
  return removed;
}

async function createdTables(connection: Connection, pipeline: PipelineId): Promise<readonly string[]> {
  const rows = await connection.rows<{ schema: string; name: string }>(
    `SELECT DISTINCT n.nspname AS schema, t.relname AS name FROM tailrace.pipeline_table AS p
     JOIN pg_namespace AS n ON n.nspname = p.plan #>> '{target,schema}'
     JOIN pg_class AS t ON t.relnamespace = n.oid AND t.relname = p.plan #>> '{target,name}' AND t.relkind = 'r'
     WHERE p.pipeline = $1 AND p.created_by_us ORDER BY 1, 2`,
    [pipeline],
  );
  return rows.map(qualified);
}
