/**
 * What is proven now: the newest run that has compared every table to its end. A later run that follows the log from no higher than where that proof
 * ends carries it on, even while it is still reading ranges: between the two every change was compared.
 */
import type { RunRecord, VerificationStore } from "../../core/contracts/verification.js";
import type { TableId } from "../../core/vocabulary/ids.js";
import { isAbove } from "../../core/vocabulary/position.js";

const lookedAt = 50;

export async function newestProof(
  { store, tables }: { readonly store: VerificationStore; readonly tables: readonly TableId[] },
  signal: AbortSignal,
): Promise<RunRecord | null> {
  const runs = await store.runs(lookedAt, signal);
  const isWhole = (run: RunRecord): boolean =>
    run.whole && run.state === "done" && tables.every((table) => run.tables.some((result) => result.table === table));
  const at = runs.findIndex(isWhole);
  const done = runs[at];
  if (done === undefined) return null;
  let { proven } = done;
  for (const later of runs.slice(0, at).reverse()) {
    if (later.whole && later.since.history === proven.history && !isAbove(later.since, proven) && isAbove(later.proven, proven))
      proven = later.proven;
  }
  return { ...done, proven };
}
