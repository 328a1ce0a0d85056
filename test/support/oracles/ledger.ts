/** O2: every source transaction is at the target exactly once, and nothing else is; O8: the application saw no error of ours. */
import Database from "better-sqlite3";
import type { Client } from "pg";
import type { ApplicationReport } from "../hostile-application.js";

export async function ledgerFaults(
  file: string,
  client: Client,
  report: ApplicationReport,
  target = "public.tx_ledger",
): Promise<readonly string[]> {
  const { rows } = await client.query<{ id: string; n: string }>(`SELECT id::text AS id, count(*)::text AS n FROM ${target} GROUP BY id`);
  const found = new Map(rows.map(({ id, n }) => [Number(id), Number(n)]));
  const db = new Database(file, { readonly: true });
  const source = new Set(db.prepare("SELECT id FROM tx_ledger").pluck().all() as number[]);
  db.close();
  return [
    ...list(
      "twice at the target",
      [...found].filter(([, n]) => n !== 1).map(([id]) => id),
    ),
    ...list(
      "acknowledged to the application and not at the target",
      [...report.acknowledged].filter((id) => !found.has(id)),
    ),
    ...list(
      "rolled back by the application and yet at the target",
      [...report.rolled].filter((id) => found.has(id)),
    ),
    ...list(
      "at the target and never attempted",
      [...found.keys()].filter((id) => id > report.attemptedTo),
    ),
    ...list(
      "in the source and not at the target",
      [...source].filter((id) => !found.has(id)),
    ),
    ...list(
      "at the target and not in the source",
      [...found.keys()].filter((id) => !source.has(id)),
    ),
  ];
}

export function applicationFaults(report: ApplicationReport): readonly string[] {
  return report.faults.map((fault) => `the application saw: ${fault}`);
}

function list(what: string, ids: readonly number[]): readonly string[] {
  if (ids.length === 0) return [];
  const shown = [...ids].sort((a, b) => a - b).slice(0, 10);
  return [`${ids.length} transactions ${what}: ${shown.join(", ")}${ids.length > shown.length ? ", …" : ""}`];
}
