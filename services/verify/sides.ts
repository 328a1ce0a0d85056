/** What verification looks at: both sides as they map one plan, and the log that says what changed in between. */
import type { Clock } from "../../core/clock.js";
import type { TablePlan } from "../../core/contracts/plan.js";
import type { Direction } from "../../core/contracts/target.js";
import type { ChangedKeys, RowReader } from "../../core/contracts/row-reader.js";
import type { TableId } from "../../core/vocabulary/ids.js";
import { comparePositions, formatPosition, type Position } from "../../core/vocabulary/position.js";
import { type CompareRows, compileCompareRows } from "./compare-rows.js";

/** `source` is the side that applications write to, `target` the one that follows: in reverse, PostgreSQL and the file. */
export interface Sides {
  readonly direction: Direction;
  readonly source: RowReader;
  readonly target: RowReader;
  /** null: this source has no log that can be read. Then only reads at one and the same position decide. */
  readonly changes: ChangedKeys | null;
  readonly plans: ReadonlyMap<TableId, TablePlan>;
  readonly clock: Clock;
  /** How long a target that does not move is waited for. */
  readonly stallMs: number;
}

/** What is found is always said of PostgreSQL, whoever follows: a row that it lacks is `missing`, one that only it has is `extra`. */
export function compareOf({ direction, plans }: Sides, table: TableId): CompareRows {
  const plan = plans.get(table);
  if (plan === undefined) throw new Error(`table ${table} is not in the plan`);
  const compare = compileCompareRows(plan);
  return direction === "forward" ? compare : (leading, following) => compare(following, leading);
}

export const lower = (a: Position, b: Position): Position => (comparePositions(a, b) <= 0 ? a : b);

const askAgainMs = { first: 5, most: 200 } as const;

/** Null once the target has applied all that a read of the source at `at` has seen; else why it will not. */
export async function reached({ target, clock, stallMs }: Sides, at: Position, signal: AbortSignal): Promise<string | null> {
  let seen: Position | null = null;
  let sinceMs = clock.monotonicMs();
  for (let ms: number = askAgainMs.first; ; ms = Math.min(askAgainMs.most, ms * 2)) {
    const now = await target.position(signal);
    if (now.history === at.history && now.order >= at.order) return null;
    if (seen === null || comparePositions(seen, now) !== 0) {
      seen = now;
      sinceMs = clock.monotonicMs();
      ms = askAgainMs.first;
    } else if (clock.monotonicMs() - sinceMs > stallMs) {
      return `the target stands at ${formatPosition(now)} and the source was read at ${formatPosition(at)}`;
    }
    await clock.delay(ms, signal);
  }
}
