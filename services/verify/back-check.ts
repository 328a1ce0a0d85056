/**
 * The check behind a rollback's fence. Both sides were equal when applications were switched over, or a verification has proven it since; the file knows
 * which rows have come back after that, and only they are compared. Where it does not know, there is no proof.
 */
import type { FinalCheck } from "../../core/contracts/cutover.js";
import type { Following } from "../../core/contracts/row-reader.js";
import { asTailraceError, TailraceError } from "../../core/errors.js";
import type { TableId } from "../../core/vocabulary/ids.js";
import type { Position } from "../../core/vocabulary/position.js";
import type { Settled } from "./settle.js";
import { reached, type Sides } from "./sides.js";
import { Tail } from "./tail.js";

export interface BackCheckOptions {
  readonly sides: Sides;
  /** The same, both standing still. */
  readonly standing: Sides;
  readonly following: Following;
}

export function backCheck({ sides, standing, following }: BackCheckOptions): FinalCheck {
  return {
    cost: async () => {
      const { at, keys } = await following.since();
      return at === null
        ? { dirtyRows: 0, dirtyChunks: 0, oldestProofMs: null }
        : { dirtyRows: keys, dirtyChunks: sides.plans.size, oldestProofMs: 0 };
    },
    advance: async (signal) => {
      const from = (await following.since()).at;
      if (from === null) return 0;
      const { rows, different, proven } = await follow(sides, from, undefined, signal);
      if (different === 0) await following.proven(proven);
      return rows;
    },
    check: async (at, signal) => {
      const from = (await following.since()).at;
      if (from === null) throw unproven();
      const late = await reached(standing, at, signal);
      if (late !== null) throw new TailraceError("verify.not-there", { what: `The final check cannot be made: ${late}` });
      const { rows, different } = await follow(standing, from, undefined, signal);
      return { equal: different === 0, rowsRead: rows, different };
    },
  };
}

async function follow(
  sides: Sides,
  from: Position,
  until: Position | undefined,
  signal: AbortSignal,
): Promise<{ readonly rows: number; readonly different: number; readonly proven: Position }> {
  if (sides.changes === null) throw unproven();
  // Whatever was said of a row last is what holds.
  const open = new Set<string>();
  const onSettled = (table: TableId, answers: readonly Settled[]): void => {
    for (const { kind, row } of answers) {
      if (kind === "equal") open.delete(`${table} ${row.id}`);
      else open.add(`${table} ${row.id}`);
    }
  };
  const tail = new Tail({ sides, changes: sides.changes, tables: new Set(sides.plans.keys()), from, onSettled });
  try {
    while (await tail.advance(signal, until));
  } catch (thrown) {
    if (asTailraceError(thrown).code !== "source.pruned") throw thrown;
    throw unproven(thrown);
  }
  return { rows: tail.rows, different: open.size, proven: tail.proven };
}

const unproven = (cause?: unknown): TailraceError =>
  new TailraceError("verify.unproven", { what: "Which rows have come back since both sides were equal is not known", cause });
