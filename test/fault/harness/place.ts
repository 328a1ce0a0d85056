/** How far a pipeline is, asked of both ends without its help. */
import Database from "better-sqlite3";
import { Client } from "pg";
import { until } from "../../support/oracles/until.js";

export interface Place {
  readonly phase: string | null;
  readonly history: number;
  readonly order: number;
  readonly index: number;
  /** Tables whose rows are stale until their re-read ends. */
  readonly repairs: number;
}

/** Where the target is; null: no window was applied yet, or the server is away. */
export async function placeAtTarget(url: string, pipeline: string): Promise<Place | null> {
  const client = new Client({ connectionString: url, connectionTimeoutMillis: 5_000 });
  client.on("error", () => {});
  try {
    await client.connect();
    const { rows } = await client.query<Record<"phase" | "history" | "ord" | "idx" | "repairs", string | null>>(
      `SELECT phase, history::text, ord::text, idx::text,
              (SELECT count(*) FROM tailrace.pipeline_table t WHERE t.pipeline = p.pipeline AND repair IS NOT NULL)::text AS repairs
         FROM tailrace.pipeline p WHERE pipeline = $1 AND direction = 'forward'`,
      [pipeline],
    );
    const [row] = rows;
    if (row === undefined || row.ord === null) return null;
    return {
      phase: row.phase,
      history: Number(row.history),
      order: Number(row.ord),
      index: Number(row.idx),
      repairs: Number(row.repairs),
    };
  } catch {
    return null;
  } finally {
    await client.end().catch(() => {});
  }
}

/** Where the target is, once a window was applied: asked again until a server answers that got no time for longer than a connection waits. */
export async function knownPlace(pipeline: { place(): Promise<Place | null> }): Promise<Place> {
  const found: { place: Place | null } = { place: null };
  await until(
    async () => (found.place = await pipeline.place()) !== null,
    120_000,
    () => "the target does not say where it is",
  );
  if (found.place === null) throw new Error("the place was lost");
  return found.place;
}

/** Newest row of the capture log. */
export function newestCaptured(file: string): number {
  const db = new Database(file, { readonly: true });
  try {
    return Number(db.prepare("SELECT coalesce(max(seq), 0) FROM _cdc_log").pluck().get());
  } finally {
    db.close();
  }
}
