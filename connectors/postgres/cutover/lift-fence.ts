/** What opens the target for its applications again, as part of the switch: until that commits, the fence of the rollback before it stands. */
import type { Connection } from "../connection.js";
import { quoteName, quoteText } from "../quote.js";
import { fenceTrigger } from "./fence-schema.js";
import type { RoutePlace } from "./place.js";

export async function liftFence(connection: Connection, { pipeline, group }: RoutePlace): Promise<readonly string[]> {
  const fenced = await connection.rows<{ on: string }>(
    `SELECT format('%I.%I', n.nspname, c.relname) AS on FROM tailrace.pipeline_table AS p
     JOIN pg_namespace AS n ON n.nspname = p.plan #>> '{target,schema}'
     JOIN pg_class AS c ON c.relnamespace = n.oid AND c.relname = p.plan #>> '{target,name}'
     JOIN pg_trigger AS t ON t.tgrelid = c.oid AND t.tgname = $3
     WHERE p.pipeline = $1 AND p.group_id = $2 AND p.direction = 'forward' ORDER BY 1`,
    [pipeline, group, fenceTrigger],
  );
  const [stands] = await connection.rows<{ stands: boolean }>(
    "SELECT EXISTS (SELECT FROM tailrace.fence WHERE pipeline = $1 AND group_id = $2 AND marker IS NOT NULL) AS stands",
    [pipeline, group],
  );
  return [
    ...fenced.map(({ on }) => `DROP TRIGGER ${quoteName(fenceTrigger)} ON ${on}`),
    ...(stands?.stands === true
      ? [`UPDATE tailrace.fence SET marker = NULL WHERE pipeline = ${quoteText(pipeline)} AND group_id = ${group}`]
      : []),
  ];
}
