/** What of the target decides whether a cutover may begin: one look, nothing is changed. */
import type { CutoverFacts } from "../../../core/contracts/cutover.js";
import type { TablePlan } from "../../../core/contracts/plan.js";
import type { LeftOut } from "../../../core/contracts/target.js";
import type { Connection } from "../connection.js";
import { qualified } from "../quote.js";
import { readPassed } from "../state.js";
import type { RoutePlace } from "./place.js";
import { readRoute } from "./route.js";

interface TableRow {
  readonly source: string;
  readonly finished: boolean;
  readonly repair: string | null;
  readonly left_out: readonly LeftOut[];
}

export async function readFacts(connection: Connection, place: RoutePlace, tables: readonly TablePlan[]): Promise<CutoverFacts> {
  const rows = await connection.rows<TableRow>(
    `SELECT source, finished, repair, left_out FROM tailrace.pipeline_table
     WHERE pipeline = $1 AND group_id = $2 AND direction = 'forward' AND planned ORDER BY ordinal`,
    [place.pipeline, place.group],
  );
  return {
    route: await readRoute(connection, place),
    passed: await readPassed(connection, place.pipeline, place.group),
    leftOut: rows.flatMap(({ left_out }) => left_out),
    unfinished: rows.filter(({ finished, repair }) => !finished || repair !== null).map(({ source }) => source),
    notOurs: await notOwned(connection, tables),
    longMs: await longestTransaction(connection, tables),
    commitMs: await commitTime(connection, place),
  };
}

/** Constraints can only be changed by a table's owner. */
async function notOwned(connection: Connection, tables: readonly TablePlan[]): Promise<readonly string[]> {
  const rows = await connection.rows<{ schema: string; name: string }>(
    `SELECT n.nspname AS schema, t.relname AS name FROM unnest($1::text[], $2::text[]) AS w (schema, name)
     JOIN pg_namespace AS n ON n.nspname = w.schema JOIN pg_class AS t ON t.relnamespace = n.oid AND t.relname = w.name
     WHERE NOT pg_has_role(t.relowner, 'USAGE') ORDER BY 1, 2`,
    [tables.map(({ target }) => target.schema), tables.map(({ target }) => target.name)],
  );
  return rows.map(qualified);
}

/** Whoever reads a table for long keeps the switch from changing its constraints. */
async function longestTransaction(connection: Connection, tables: readonly TablePlan[]): Promise<number> {
  const [row] = await connection.rows<{ ms: number | null }>(
    `SELECT max(extract(epoch FROM clock_timestamp() - a.xact_start))::float8 * 1000 AS ms FROM pg_locks AS l
     JOIN pg_stat_activity AS a ON a.pid = l.pid AND a.pid <> pg_backend_pid()
     JOIN pg_class AS t ON t.oid = l.relation JOIN pg_namespace AS n ON n.oid = t.relnamespace
     JOIN unnest($1::text[], $2::text[]) AS w (schema, name) ON w.schema = n.nspname AND w.name = t.relname
     WHERE l.database = (SELECT oid FROM pg_database WHERE datname = current_database())`,
    [tables.map(({ target }) => target.schema), tables.map(({ target }) => target.name)],
  );
  return row?.ms ?? 0;
}

/** Of one small durable write: the journal makes several while writes wait. The row says afterwards what it said before. */
async function commitTime(connection: Connection, place: RoutePlace): Promise<number> {
  const beganMs = performance.now();
  await connection.query({
    text: "UPDATE tailrace.consistency_group SET paused = paused WHERE pipeline = $1 AND group_id = $2",
    values: [place.pipeline, place.group],
  });
  return performance.now() - beganMs;
}
