/**
 * What the cutover needs of both sides. One rule above all: at most one side can be written at any moment, and the order of durable steps
 * makes it so: journal, keep, switch.
 */
import type { CutoverKind, CutoverState } from "../cutover/states.js";
import type { GroupId, MarkerId, TableId } from "../vocabulary/ids.js";
import type { Position } from "../vocabulary/position.js";
import type { TablePlan } from "./plan.js";
import type { LeftOut, Passed } from "./target.js";

export type FenceState =
  | { readonly kind: "open" }
  /** Writes are refused until `untilMs` (the source machine's wall clock), then accepted again without any process of ours. */
  | { readonly kind: "leased"; readonly marker: MarkerId; readonly at: Position; readonly untilMs: number }
  /** Writes are refused until `release`. Only this state may be followed by a switch. */
  | { readonly kind: "kept"; readonly marker: MarkerId; readonly at: Position };
export type Leased = Extract<FenceState, { readonly kind: "leased" }>;
export type Kept = Extract<FenceState, { readonly kind: "kept" }>;

/**
 * A fence of one group. Moves: open ▸ leased ▸ (open | leased | kept); kept ▸ open. The lease makes "no writable side" end by itself; `keep` makes
 * "two writable sides" impossible, so it must come before the switch, and a journal entry before `keep`.
 */
export interface SourceFence extends Disposable {
  /** Rejects unless every captured table of the group would be fenced. Changes nothing. */
  prove(group: GroupId): Promise<void>;
  /**
   * Flag and marker in one source transaction. On return no captured table of the group can be written, and `at` is the last position of the
   * application. Waits at most `waitMs` for a running transaction, then rejects with nothing changed. Idempotent per marker.
   */
  fence(
    group: GroupId,
    marker: MarkerId,
    limits: { readonly waitMs: number; readonly leaseMs: number },
    signal: AbortSignal,
  ): Promise<Leased>;
  /**
   * Rejects with `cutover.fence-lost`, the fence gone, if it was not whole all the time: the lease has run out in between, or something was written
   * past it, or tables came or went. Then the drain must begin again.
   */
  renew(group: GroupId, marker: MarkerId, leaseMs: number): Promise<Leased>;
  /** Same failure. Durable on return, against power loss too. Idempotent per marker. */
  keep(group: GroupId, marker: MarkerId): Promise<Kept>;
  /** Idempotent; a no-op unless the fence is this marker's. Whoever was stopped and continued must not take away what its successor put up. */
  release(group: GroupId, marker: MarkerId): Promise<void>;
  state(group: GroupId): Promise<FenceState>;
}

/** Lives in PostgreSQL in both directions: one place decides. `version` rises with every move. */
export type RouteState = { readonly side: "source" | "paused" | "target"; readonly version: number };

/** A number that the source gives to new rows by itself, and the highest it has ever given: rows that are gone count. */
export interface GivenNumber {
  readonly table: TableId;
  readonly column: string;
  readonly highest: bigint;
}
export interface SourceNumbers extends Disposable {
  /** Reads one state. Legal at any time; final behind a fence. */
  given(): readonly GivenNumber[];
}

export interface SwitchBoard {
  /** Waits until a move that is on its way has come to its end, so the answer is what holds, whatever became of the process that made it. */
  route(group: GroupId, signal: AbortSignal): Promise<RouteState>;
  /** Compare-and-set on version. Durable on return. */
  pause(group: GroupId, from: RouteState, signal: AbortSignal): Promise<RouteState>;
  /**
   * Gives a paused route back to the side that it was paused on. Raises the version even if the route was not paused: whoever holds an older one can
   * move nothing any more. To be durable before the other side's fence is released. Never legal for a route that was switched.
   */
  reopen(group: GroupId, from: RouteState, signal: AbortSignal): Promise<RouteState>;
  /**
   * Opens the transaction of the switch and does in it whatever makes the target ready for the application: nothing of it can be seen, and its locks keep
   * everybody else from the tables, until `commit`. Sequences are set whatever becomes of it: they may only be too high.
   */
  begin(group: GroupId, side: "source" | "target", numbers: readonly GivenNumber[], signal: AbortSignal): Promise<OpenSwitch>;
}
/** Disposing it rolls back. */
export interface OpenSwitch extends AsyncDisposable {
  readonly did: readonly string[];
  /**
   * Route, owner epoch + 1, direction and journal, in this one transaction. Legal only while the other side's fence is kept. Compare-and-set on version.
   * Rejects with nothing changed, or with `target.undecided` when the answer was lost: then `route()` says what holds, never a time-out.
   */
  commit(from: RouteState): Promise<RouteState>;
}

/** What makes the target fit for the application's own writes, as SQL: before the fence (long), in the switch, and after it (long). */
export interface ReadyPlan {
  readonly before: readonly string[];
  readonly behind: readonly string[];
  readonly after: readonly string[];
}

/** One cutover as it is stored: what `status` shows. */
export interface CutoverRecord {
  readonly id: number;
  readonly kind: CutoverKind;
  readonly state: CutoverState;
  readonly holder: string;
  readonly heldSince: string;
  readonly marker: MarkerId;
  /** Of the fence; null before it stood. */
  readonly position: Position | null;
  readonly pauseLimitMs: number;
  /** From the first write that may have been refused to the first that is accepted again. */
  readonly pauseMs: number | null;
  readonly abortAsked: boolean;
  readonly error: { readonly code: string; readonly message: string } | null;
  readonly startedAt: string;
  readonly finishedAt: string | null;
}
export interface CutoverStory extends CutoverRecord {
  readonly steps: readonly CutoverStepRecord[];
}
export interface CutoverStepRecord {
  readonly step: CutoverState;
  readonly beganAt: string;
  /** null: not ended. */
  readonly ms: number | null;
  readonly details: Readonly<Record<string, unknown>>;
}
export interface MoveDetails {
  readonly position?: Position;
  readonly pauseMs?: number;
  readonly error?: { readonly code: string; readonly message: string };
  /** Kept with the step that ends. */
  readonly step?: Readonly<Record<string, unknown>>;
}

/** What of the target decides whether a cutover may begin. */
export interface CutoverFacts {
  readonly route: RouteState;
  readonly passed: Passed | null;
  /** What could not be built at the snapshot's end. */
  readonly leftOut: readonly LeftOut[];
  /** Tables whose indexes and keys are not built yet. */
  readonly unfinished: readonly string[];
  /** Tables that our role may not alter. */
  readonly notOurs: readonly string[];
  /** Age of the oldest transaction that has touched a target table. */
  readonly longMs: number;
  /** Of one small durable write. */
  readonly commitMs: number;
}

/** What can be asked by anybody. */
export interface CutoverDesk extends AsyncDisposable {
  /** The unfinished one, or else the newest; null: there never was one. */
  last(group: GroupId, signal: AbortSignal): Promise<CutoverStory | null>;
  /** As applications see it: does not wait for a move that is on its way. */
  route(group: GroupId, signal: AbortSignal): Promise<RouteState>;
  facts(group: GroupId, signal: AbortSignal): Promise<CutoverFacts>;
  readyPlan(group: GroupId, numbers: readonly GivenNumber[], signal: AbortSignal): Promise<ReadyPlan>;
  /** The same for a rollback: what a sink that writes sets needs again. */
  returnPlan(group: GroupId, signal: AbortSignal): Promise<ReadyPlan>;
  /** Asks whoever holds an unfinished cutover to go back; false: there is none, or it was switched. */
  askToAbort(group: GroupId, signal: AbortSignal): Promise<boolean>;
  /**
   * One holder at a time: rejects with `cutover.held`, naming the holder and since when, while that one answers. One that is silent is ended, and its
   * unfinished cutover is ours from here on: nothing that it may still try in PostgreSQL can succeed.
   */
  take(group: GroupId, holder: string, signal: AbortSignal): Promise<CutoverSession>;
}
/** A holder's own. Every method rejects with `cutover.taken-over` once somebody else holds it. */
export interface CutoverSession extends AsyncDisposable {
  /** The unfinished cutover that was found, or that `begin` began, as stored. */
  readonly record: CutoverRecord | null;
  readonly board: SwitchBoard;
  /** Legal while none is unfinished. Durable on return. */
  begin(cutover: { readonly kind: CutoverKind; readonly marker: MarkerId; readonly pauseLimitMs: number }): Promise<CutoverRecord>;
  /** Only legal moves (core/cutover/states.ts). Durable on return. A finished cutover is no longer the session's. */
  move(to: CutoverState, details?: MoveDetails): Promise<CutoverRecord>;
  abortAsked(): Promise<boolean>;
  /** What the target has applied; asked again and again while draining, so on a connection that stays. */
  passed(): Promise<Passed | null>;
  /** Executes `before`: idempotent; what a crash left half built is built anew. Answers what it did. */
  prepare(numbers: readonly GivenNumber[], signal: AbortSignal): Promise<readonly string[]>;
  /** Numbers that the target has given to new rows, by the source's names of tables and columns. Final behind its fence. */
  given(): Promise<readonly GivenNumber[]>;
  /** Takes away what `prepare` built and the switch did not use. */
  unprepare(signal: AbortSignal): Promise<readonly string[]>;
  /** Executes `after`. A failure is reported, never undone: the application is writing. */
  validate(signal: AbortSignal): Promise<readonly LeftOut[]>;
}

/** What the cutover asks of the verifier, behind a fence: read again only what changed since it was last proven equal. */
export interface FinalCheck {
  /**
   * Brings the proof up to what the target has now, while writes go on, so that little is left behind the fence. Answers how many rows were read; 0 where
   * there is no proof to bring up. Legal without a fence.
   */
  advance(signal: AbortSignal): Promise<number>;
  /** Rows that `check` would read now, and how old the oldest proof is; null: some table was never proven whole. */
  cost(signal: AbortSignal): Promise<{ readonly dirtyRows: number; readonly dirtyChunks: number; readonly oldestProofMs: number | null }>;
  /** Both sides stand still at `at`. Differences are counted by table; none means equal. */
  check(at: Position, signal: AbortSignal): Promise<{ readonly equal: boolean; readonly rowsRead: number; readonly different: number }>;
}

export interface WayBackFinding {
  readonly name: "wal-level" | "slots" | "senders" | "role" | "publication" | "owner" | "identity" | "kept-log" | "slot";
  /** `error`: it cannot be opened, or is lost. */
  readonly severity: "ok" | "info" | "warn" | "error";
  readonly what: string;
  /** Empty for what is well. */
  readonly fix: string;
}

/** The way back: what the application writes at the target from `open` on is carried to the source, until `close`. */
export interface WayBackDesk {
  /** What stands in the way of opening it, in the operator's words; empty: nothing. */
  obstacles(group: GroupId, signal: AbortSignal): Promise<readonly string[]>;
  /** Everything that decides whether it can be opened and kept open, changing nothing. Legal before anything is prepared. */
  findings(group: GroupId, tables: readonly TablePlan[], signal: AbortSignal): Promise<readonly WayBackFinding[]>;
  isOpen(group: GroupId, signal: AbortSignal): Promise<boolean>;
  /** Names the time since it was opened last; null: it is not open. */
  opening(group: GroupId, signal: AbortSignal): Promise<string | null>;
  /**
   * Durable on return: whatever is committed at the target from here on will be told. Idempotent: an open one stays as it is. Waits for transactions that
   * are running there. Answers where it begins.
   */
  open(group: GroupId, signal: AbortSignal): Promise<Position>;
  /**
   * Travels the way back like a change; whoever applies it there says so (`Passed.marker`), until the next one comes. Legal while it is open. Answers a
   * position below it, above all that was committed before the call.
   */
  mark(group: GroupId, marker: MarkerId, signal: AbortSignal): Promise<Position>;
  /** What was not carried back by then never will be. Idempotent; answers what it removed. */
  close(group: GroupId, signal: AbortSignal): Promise<readonly string[]>;
}

/** The way back as a cutover sees it: both ends and the log in between. */
export interface WayBack {
  /** As of the desk, and of the source's end. */
  obstacles(group: GroupId, signal: AbortSignal): Promise<readonly string[]>;
  /** False before the first cutover, and once it was given up. */
  isOpen(group: GroupId, signal: AbortSignal): Promise<boolean>;
  /** Prepares the source's end and the log, then opens the desk's. Durable on return; idempotent. */
  open(group: GroupId, signal: AbortSignal): Promise<Position>;
  /**
   * A canary goes the whole way: written at the target, carried through the log, found in the source. Where the source can take nothing while the
   * application still has it, it goes as far as the log. Rejects with `cutover.no-way-back`.
   */
  prove(group: GroupId, canary: MarkerId, signal: AbortSignal): Promise<void>;
  /** Legal behind the kept fence: the canary of `prove` has gone what was left of its way. Same failure. */
  land(group: GroupId, canary: MarkerId, signal: AbortSignal): Promise<void>;
  close(group: GroupId, signal: AbortSignal): Promise<readonly string[]>;
}
