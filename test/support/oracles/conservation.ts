/** O5: changes taken from the log = folded + applied + filtered + quarantined + replayed, per table, as stored with the rows. */
import type { Client } from "pg";

export async function conservationFaults(client: Client, pipeline: string): Promise<readonly string[]> {
  const { rows } = await client.query<Record<"source" | "taken" | "folded" | "applied" | "filtered" | "quarantined" | "replayed", string>>(
    `SELECT source, taken::text, folded::text, applied::text, filtered::text, quarantined::text, replayed::text
       FROM tailrace.pipeline_table WHERE pipeline = $1 AND planned`,
    [pipeline],
  );
  if (rows.length === 0) return ["no table of the pipeline has counts"];
  return rows.flatMap((row) => {
    const accounted = [row.folded, row.applied, row.filtered, row.quarantined, row.replayed].reduce((sum, n) => sum + BigInt(n), 0n);
    return [
      ...(accounted === BigInt(row.taken) ? [] : [`${row.source}: ${row.taken} changes taken, ${accounted} accounted for`]),
      ...(row.quarantined === "0" && row.filtered === "0"
        ? []
        : [`${row.source}: ${row.filtered} filtered and ${row.quarantined} quarantined, unasked`]),
    ];
  });
}
