/** The database that changes go to. */
import type { GroupId, MarkerId, OwnerEpoch, TableId } from "../vocabulary/ids.js";
import type { Position } from "../vocabulary/position.js";
import type { AppliedCut, Window } from "./log.js";
import type { TargetPlan } from "./plan.js";

export type Direction = "forward" | "reverse";

/** Per table and window: taken = folded + applied + filtered + quarantined + replayed. Records that count; a chunk's rows count by row. */
export interface Conservation {
  readonly taken: number;
  /** Superseded by a later change of the same key inside the window. */
  readonly folded: number;
  /** Written (an upsert that changed nothing included). */
  readonly applied: number;
  /** Left out by the mapping's filter. */
  readonly filtered: number;
  readonly quarantined: number;
  /** Written one by one in source order, after the set-based way met a constraint. */
  readonly replayed: number;
}

/** `gone`: the table had to be made again. `differ`: it has a new column, or one that is mapped otherwise. */
export interface StaleTable {
  readonly table: TableId;
  readonly rows: "gone" | "differ";
}

/** `applied`: where it begins. */
export interface BegunGroup {
  readonly group: GroupId;
  readonly applied: AppliedCut;
}

export interface Passed {
  readonly position: Position;
  /** Of all markers the one that was passed last. */
  readonly marker: MarkerId | null;
  /** Nothing is withheld: the snapshot has ended, and no table waits for a re-read to end. */
  readonly settled: boolean;
}

export interface Target extends AsyncDisposable {
  /** What `prepare` would execute, as SQL text in order; empty when nothing is to be done. Rejects for what it must refuse. */
  preview(plan: TargetPlan, signal: AbortSignal): Promise<readonly string[]>;
  /**
   * Legal without owning, at any time: an owner is fenced off when there is something to do, and takes over with the new plan. Idempotent. Durable on
   * return: state schema, tables, plan. `announce` hears, before anything is durable, of tables the pipeline had before and whose rows do not hold
   * what the plan says now: the source is to read them again; and of groups that begin where another one stands, whose place must be kept from here on. If it
   * rejects, nothing was changed.
   */
  prepare(
    plan: TargetPlan,
    announce: (stale: readonly StaleTable[], begun: readonly BegunGroup[]) => Promise<void>,
    signal: AbortSignal,
  ): Promise<void>;
  /** The plan that `prepare` stored, or null. */
  plan(signal: AbortSignal): Promise<TargetPlan | null>;
  /** Legal at any time, by anybody. */
  applied(group: GroupId, signal: AbortSignal): Promise<AppliedCut | null>;
  /** Legal at any time, by anybody: what a waiter asks. Null: nothing was applied yet. */
  passed(group: GroupId, signal: AbortSignal): Promise<Passed | null>;
  /** Totals since the pipeline began, per table, and what finish() left out. */
  totals(group: GroupId, signal: AbortSignal): Promise<ReadonlyMap<TableId, Conservation>>;
  /** Tables of the pipeline's other groups, those of earlier plans included, unless this group has or had them: the log holds their changes too. */
  elsewhere(group: GroupId, signal: AbortSignal): Promise<readonly TableId[]>;
  /** Operator's wish; survives restarts. Never touches the row that the compare-and-set locks. */
  setPaused(group: GroupId, paused: boolean, signal: AbortSignal): Promise<void>;
  paused(group: GroupId, signal: AbortSignal): Promise<boolean>;
  /** What an owner asks now and then: the operator's wish, and whose the target is by now. */
  watch(group: GroupId, signal: AbortSignal): Promise<{ readonly paused: boolean; readonly owner: OwnerEpoch | null }>;
  /**
   * Advisory lock on its own connection with a heartbeat, then owner epoch + 1. Durable on return: our epoch; an older owner can commit
   * nothing any more. A holder that does not beat is ended after `takeoverMs`; one that beats makes this reject with `target.standing-by`.
   */
  own(
    claim: { readonly group: GroupId; readonly direction: Direction; readonly takeoverMs: number; readonly whenSwitched?: WhenSwitched },
    signal: AbortSignal,
  ): Promise<TargetSession>;
  /** Removes our state, and with `tables` the tables this pipeline created. Returns what it removed. */
  destroy(options: { readonly tables: boolean }, signal: AbortSignal): Promise<readonly string[]>;
}

/** What finish() could not build, and why: an operator decides. */
export interface LeftOut {
  readonly object: string;
  readonly why: string;
}

/**
 * What an owner may do while its direction is not active. `reject`: nothing, `own` rejects with `cutover.switched`. `follow`: move its applied cut along the
 * log, so that other groups' changes need not be kept for it, and write no row; once the direction is active again it is fenced off.
 */
export type WhenSwitched = "reject" | "follow";

export interface TargetSession extends AsyncDisposable {
  readonly epoch: OwnerEpoch;
  readonly applied: AppliedCut | null;
  /** The direction is not active: windows are passed over. */
  readonly follows: boolean;
  /** Legal at any time, costs nothing. Throws when the owner's lock is lost: somebody else may own the target by now. */
  assertOwned(): void;
  /**
   * A hint: this window is to be applied next. Legal while another is. What needs no database is done ahead; nothing is sent, nothing rejects: whatever is
   * wrong with the window `apply` will find.
   */
  stage(window: Window, signal: AbortSignal): Promise<void>;
  /**
   * One window, one transaction, first statement the compare-and-set on (before, epoch, direction). Durable on return: rows,
   * `window.after()`, conservation counts. Rejects with nothing changed, or with `target.undecided` when the COMMIT's answer was lost: then
   * `own` again and compare.
   */
  apply(window: Window, signal: AbortSignal): Promise<ReadonlyMap<TableId, Conservation>>;
  /**
   * Indexes and UNIQUE, then foreign keys, of every table that lacks them and is not under repair. Long; idempotent. A foreign key that does
   * not validate is dropped and reported.
   */
  finish(signal: AbortSignal): Promise<readonly LeftOut[]>;
  /** True while something that finish() builds is missing and has not been reported as impossible. */
  unfinished(): boolean;
}
