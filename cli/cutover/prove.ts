/**
 * Both sides are compared before anybody waits, so that behind the fence only what changed since is left to compare. A verify service keeps such a proof
 * up; without one, or with one that is too old to carry on from, it is made now, under writes.
 */
import type { Verifier } from "../../services/verify/verifier.js";
import { verifyAll } from "../../services/verify/verify-all.js";

/** More rows than this have changed since the last proof: reading them all behind the fence would take longer than anybody likes to wait. */
const dirtyRowsMax = 20_000;

/**
 * True: a proof was made. What was found to differ is for the gates to say. `different`: rows that the last proof holds for different; they are looked at
 * again, since somebody may have mended them.
 */
export async function prove(verifier: Verifier, different: number, signal: AbortSignal): Promise<boolean> {
  const { oldestProofMs, dirtyRows } = await verifier.finalCheck.cost(signal);
  if (oldestProofMs !== null && dirtyRows <= dirtyRowsMax && different === 0) return false;
  await verifyAll(verifier, "cutover", signal);
  return true;
}
