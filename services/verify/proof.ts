/**
 * What is proven now: the newest run that has compared every table to its end. Another run that follows the log from no higher than where that proof
 * ends carries it on, even while it is still reading ranges: between the two every change was compared. It may be an older one: the service follows
 * its run until the next begins, whatever runs an operator asks for meanwhile.
 */
import type { RunRecord, VerificationStore } from "../../core/contracts/verification.js";
import type { TableId } from "../../core/vocabulary/ids.js";
import { comparePositions, isAbove } from "../../core/vocabulary/position.js";

const lookedAt = 50;

export async function newestProof(
  { store, tables }: { readonly store: VerificationStore; readonly tables: readonly TableId[] },
  signal: AbortSignal,
): Promise<RunRecord | null> {
  const runs = await store.runs(lookedAt, signal);
  const covers = (run: RunRecord): boolean => tables.every((table) => run.tables.some((result) => result.table === table));
  const isWhole = (run: RunRecord): boolean => run.whole && run.state === "done" && covers(run);
  const at = runs.findIndex(isWhole);
  const done = runs[at];
  if (done === undefined) return null;
  let { proven } = done;
  // By where they begin: one may carry on what another has carried to there.
  for (const other of runs.toSorted((a, b) => comparePositions(a.since, b.since))) {
    // One that left a table out says nothing of what became of it meanwhile.
    if (
      other.whole &&
      covers(other) &&
      other.since.history === proven.history &&
      !isAbove(other.since, proven) &&
      isAbove(other.proven, proven)
    )
      proven = other.proven;
  }
  return { ...done, proven };
}
