/**
 * What the cutover needs of both sides. One rule above all: at most one side can be written at any moment, and the order of durable steps
 * makes it so: journal, keep, switch.
 */
import type { GroupId, MarkerId } from "../vocabulary/ids.js";
import type { Position } from "../vocabulary/position.js";

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

export interface SwitchBoard {
  route(group: GroupId, signal: AbortSignal): Promise<RouteState>;
  /** Compare-and-set on version. Durable on return. */
  pause(group: GroupId, from: RouteState, signal: AbortSignal): Promise<RouteState>;
  /**
   * Route, owner epoch + 1 and direction, in one transaction. Legal only while the other side's fence is kept. An unknown outcome is resolved by
   * `route()`, never by a time-out.
   */
  switchTo(group: GroupId, side: "source" | "target", from: RouteState, signal: AbortSignal): Promise<RouteState>;
}

/** What the cutover asks of the verifier, behind a fence: read again only what changed since it was last proven equal. */
export interface FinalCheck {
  /** Rows that `check` would read now, and how old the oldest proof is; null: some table was never proven whole. */
  cost(signal: AbortSignal): Promise<{ readonly dirtyRows: number; readonly dirtyChunks: number; readonly oldestProofMs: number | null }>;
  /** Both sides stand still at `at`. Differences are counted by table; none means equal. */
  check(at: Position, signal: AbortSignal): Promise<{ readonly equal: boolean; readonly rowsRead: number; readonly different: number }>;
}
