/**
 * What PostgreSQL itself takes when everything in front of it is free: the same changes, folded to the last state per key and written down as array
 * literals before the clock runs, one upsert and one delete per window by `unnest`, in key order, all of a window in one round trip.
 */
import type pg from "pg";
import type { OrderChange } from "./changes.js";
import { columns, type Order } from "./orders.js";

export interface CeilingWindow {
  readonly upserts: readonly string[];
  readonly deletes: string;
}
const types = ["bigint", "bigint", "text", "bigint", "double precision", "text", "bigint", "text"] as const;

/** A copy of the table as it is, with its indexes, and a row to advance like the applied cut. */
export const ceilingDdl: readonly string[] = [
  "CREATE SCHEMA ceiling",
  "CREATE TABLE ceiling.orders (LIKE public.orders INCLUDING ALL)",
  "INSERT INTO ceiling.orders SELECT * FROM public.orders",
  "CREATE TABLE ceiling.cut (n bigint NOT NULL) WITH (fillfactor = 50)",
  "INSERT INTO ceiling.cut VALUES (0)",
];

export function windowsOf(changes: readonly OrderChange[], size: number): readonly CeilingWindow[] {
  const windows: CeilingWindow[] = [];
  for (let from = 0; from < changes.length; from += size) windows.push(fold(changes.slice(from, from + size)));
  return windows;
}

function fold(changes: readonly OrderChange[]): CeilingWindow {
  const last = new Map<number, Order | null>();
  for (const change of changes) last.set(change.id, change.kind === "delete" ? null : change.row);
  const rows = [...last.values()].filter((row) => row !== null);
  const deleted = [...last].flatMap(([id, row]) => (row === null ? [id] : []));
  const upserts = columns.map((_, i) => `{${rows.map((row) => (typeof row[i] === "string" ? `"${row[i]}"` : row[i])).join(",")}}`);
  return { upserts, deletes: `{${deleted.join(",")}}` };
}

const upsert = `INSERT INTO ceiling.orders AS t (${columns.join(", ")})
  SELECT * FROM unnest(${types.map((type, i) => `$${i + 1}::${type}[]`).join(", ")}) AS s (${columns.join(", ")}) ORDER BY s.id
  ON CONFLICT (id) DO UPDATE SET ${columns
    .slice(1)
    .map((c) => `${c} = excluded.${c}`)
    .join(", ")}`;

/** On a pipelined client. */
export async function applyCeiling(client: pg.Client, windows: readonly CeilingWindow[]): Promise<void> {
  for (const { upserts, deletes } of windows) {
    await Promise.all([
      client.query("BEGIN"),
      client.query({ name: "cut", text: "UPDATE ceiling.cut SET n = n + 1", values: [] }),
      client.query({ name: "upsert", text: upsert, values: [...upserts] }),
      client.query({ name: "delete", text: "DELETE FROM ceiling.orders WHERE id = ANY ($1::bigint[])", values: [deletes] }),
      client.query("COMMIT"),
    ]);
  }
}
