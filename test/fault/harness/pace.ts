/**
 * How fast the hostile application writes: some 2,000 rows a second, big transactions included. Without a limit it commits several times of what
 * any target on the same two cores can take, and a run would measure how long a backlog lasts.
 */
import { availableParallelism, loadavg } from "node:os";

/** Rows of a big transaction; one in 250 is big. */
export const bigRows = 1_500;

/** Transactions a second; fewer on a machine that is busy with other things. */
export const fullSpeed = (): number => Math.round(200 / Math.min(8, stretched(1)));

/** A bound that holds on a machine that does nothing else, stretched by how much this one has to do. */
export function stretched(ms: number): number {
  return ms * Math.max(1, (loadavg()[0] ?? 1) / availableParallelism());
}
