/**
 * The offsets along the path, and whether they add up: what the source has committed, what the log vouches for, what the target has applied. Read from
 * the target back to the source, so that nothing seems to be ahead of what it comes from; whatever is ahead all the same is a finding.
 */
import type { Counts } from "../../core/contracts/log.js";
import type { Conservation } from "../../core/contracts/target.js";
import type { TableId, Topic, WriterEpoch } from "../../core/vocabulary/ids.js";
import { formatPosition, isAbove, type Position } from "../../core/vocabulary/position.js";

export interface LogEnd {
  readonly position: Position;
  readonly epoch: WriterEpoch;
  readonly counts: Counts;
}
/** Rows of the capture log above the applied position. */
export interface WaitingChanges {
  readonly inserts: number;
  readonly updates: number;
  readonly deletes: number;
}
export interface SourceEnd {
  readonly head: Position;
  /** Rows of the log above the applied position, of every kind; null: not all of them are there to be counted. */
  readonly rowsAbove: number | null;
  readonly tables: ReadonlyMap<TableId, WaitingChanges>;
}
export interface TargetEnd {
  readonly applied: LogEnd | null;
  readonly totals: ReadonlyMap<TableId, Conservation>;
}
export interface Offsets {
  readonly source: SourceEnd;
  /** null: the log holds no cut that can be read. */
  readonly log: LogEnd | null;
  readonly target: TargetEnd;
  readonly findings: readonly string[];
}

export function judgeOffsets(source: SourceEnd, log: LogEnd | null, target: TargetEnd): Offsets {
  const { applied, totals } = target;
  const findings = [...aheadOf(source.head, log, applied), ...gapOf(source, applied), ...[...totals].flatMap(unaccounted)];
  if (log !== null && applied !== null) findings.push(...countFindings(log, applied));
  return { source, log, target, findings };
}

/** Chunks that were read at the newest order lie above its own row: orders are compared, not whole positions. */
function aheadOf(head: Position, log: LogEnd | null, applied: LogEnd | null): readonly string[] {
  const found: string[] = [];
  if (log !== null && log.position.history === head.history && log.position.order > head.order)
    found.push(`the log ends at ${formatPosition(log.position)}, above the source's newest change ${formatPosition(head)}`);
  if (log !== null && applied !== null && isAbove(applied.position, log.position))
    found.push(`the target has applied ${formatPosition(applied.position)}, above the log's last cut ${formatPosition(log.position)}`);
  return found;
}

function gapOf({ head, rowsAbove }: SourceEnd, applied: LogEnd | null): readonly string[] {
  if (applied === null || rowsAbove === null || applied.position.history !== head.history) return [];
  const expected = Math.max(0, head.order - applied.position.order);
  return rowsAbove === expected
    ? []
    : [`the capture log holds ${rowsAbove} rows above what is applied, and ${expected} numbers were given`];
}

function unaccounted([table, n]: readonly [TableId, Conservation]): readonly string[] {
  const accounted = n.folded + n.applied + n.filtered + n.quarantined + n.replayed;
  return n.taken === accounted ? [] : [`${table}: ${n.taken} changes were taken from the log, ${accounted} are accounted for`];
}

/** Counts are only comparable within one epoch. */
function countFindings(log: LogEnd, applied: LogEnd): readonly string[] {
  if (log.epoch !== applied.epoch) return [];
  const same = formatPosition(log.position) === formatPosition(applied.position);
  return [...applied.counts].flatMap(([topic, count]: readonly [Topic, number]) => {
    const there = log.counts.get(topic) ?? null;
    if (there === null || count < there || (count === there && !isAbove(applied.position, log.position))) {
      return same && there !== null && count !== there
        ? [`${topic}: the log counts ${there} records, the target ${count} at the same cut`]
        : [];
    }
    return count > there ? [`${topic}: the target has applied ${count} records, the log counts ${there}`] : [];
  });
}
