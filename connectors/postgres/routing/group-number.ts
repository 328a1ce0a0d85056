/** Of a group that is named: its number never changes, so it is asked for once. */
import pg from "pg";

/** Rejects when the pipeline has no such group. A role needs the right to read tailrace.pipeline_table for it. */
export async function groupNumber(url: string, pipeline: string, group: string): Promise<number> {
  if (group === "main") return 1;
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    const { rows } = await client.query<{ group_id: number }>(
      "SELECT DISTINCT group_id FROM tailrace.pipeline_table WHERE pipeline = $1 AND planned AND plan ->> 'groupName' = $2",
      [pipeline, group],
    );
    const [row] = rows;
    if (row === undefined) throw new Error(`pipeline ${pipeline} has no group ${group}`);
    return row.group_id;
  } finally {
    await client.end();
  }
}
