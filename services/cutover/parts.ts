/** What a cutover is made of, and what it tells. Every part is a contract: the dry run and the tests bring their own. */
import type { Clock } from "../../core/clock.js";
import type {
  CutoverDesk,
  CutoverSession,
  FinalCheck,
  RouteState,
  SourceFence,
  SourceNumbers,
  WayBack,
} from "../../core/contracts/cutover.js";
import type { LeftOut, Passed } from "../../core/contracts/target.js";
import { type CutoverKind, type CutoverSide, type CutoverState, sidesOf } from "../../core/cutover/states.js";
import type { TailraceError } from "../../core/errors.js";
import type { GroupId, MarkerId, TableId } from "../../core/vocabulary/ids.js";
import type { ToldTable } from "./tell-again.js";

export interface CutoverLimits {
  /** Longer than this writes may not wait: then everything goes back. */
  readonly pauseMs: number;
  /** How long a fence stands without its process. Renewed three times as often; on a machine that has much else to do a short one does not hold. */
  readonly leaseMs: number;
  /** For a running transaction of the application. */
  readonly fenceWaitMs: number;
  /** To build indexes before anything is paused. */
  readonly prepareMs: number;
  /** For the canary to come home. */
  readonly canaryMs: number;
  /** To come to a settled state while something is away. */
  readonly settleMs: number;
}
export const defaultLimits: CutoverLimits = {
  pauseMs: 5_000,
  leaseMs: 2_500,
  fenceWaitMs: 2_000,
  prepareMs: 3_600_000,
  canaryMs: 30_000,
  settleMs: 30_000,
};

/** Tells applications that switch by configuration. Called after the route has moved, at least once for each version that stands. */
export interface RouteHooks {
  /** Rejects with `cutover.hook`. */
  tell(route: RouteState, signal: AbortSignal): Promise<void>;
}

/** Where a test may make the process die or fail: the state is stored and nothing was done, or all was done and the next state is not stored. */
export type CutoverPoint = `${CutoverState}.${"before" | "after"}`;

/** What is different on the way back: whose writes are refused, who has to catch up, and how the other side is opened. */
export interface CutoverWay {
  /** Of the side that applications leave. */
  readonly fence: SourceFence;
  readonly check: FinalCheck;
  /** What the side that they go to has applied. */
  passed(session: CutoverSession): Promise<Passed | null>;
  /** Once the route has moved: opens the side that they go to, where the switch's own transaction has not done so. Idempotent. */
  arrive(session: CutoverSession, signal: AbortSignal): Promise<void>;
}

/** And what is left behind when nobody wants it any more. */
export interface CutoverWayBack extends CutoverWay {
  /** Idempotent; answers what it removed. */
  forget(signal: AbortSignal): Promise<readonly string[]>;
}

/** For a way back that was lost. */
export interface MissedChanges {
  /** Whatever was proven equal before is proven no more. Durable on return. */
  unprove(signal: AbortSignal): Promise<void>;
  /** Legal once all that was carried back has arrived. Tables of the group by the source's names. */
  tellAgain(tables: readonly TableId[], signal: AbortSignal): Promise<readonly ToldTable[]>;
}

export interface CutoverParts {
  readonly group: GroupId;
  readonly clock: Clock;
  /** User, host and process. */
  readonly holder: string;
  readonly fence: SourceFence;
  readonly numbers: SourceNumbers;
  readonly desk: CutoverDesk;
  readonly check: FinalCheck;
  /** For rollbacks. The rest of the parts is the way forth. */
  readonly back: CutoverWayBack;
  readonly hooks: RouteHooks;
  /** null: the operator goes without. */
  readonly wayBack: WayBack | null;
  readonly newMarker: () => MarkerId;
  readonly limits: CutoverLimits;
  readonly tell: (progress: CutoverProgress) => void;
  readonly at: (point: CutoverPoint) => Promise<void>;
}

export function wayOf(
  { fence, check, back }: CutoverParts,
  kind: CutoverKind,
): CutoverWay & { readonly from: CutoverSide; readonly to: CutoverSide } {
  const sides = sidesOf(kind);
  if (kind === "rollback")
    return {
      ...sides,
      fence: back.fence,
      check: back.check,
      passed: (session) => back.passed(session),
      arrive: (session, signal) => back.arrive(session, signal),
    };
  return { ...sides, fence, check, passed: (session) => session.passed(), arrive: () => Promise.resolve() };
}

export type CutoverProgress =
  | { readonly kind: "begins"; readonly step: CutoverState; readonly sinceMs: number | null }
  | { readonly kind: "ended"; readonly step: CutoverState; readonly ms: number; readonly said: string }
  /** While draining: what the target has applied, and how many capture rows lie between it and the fence. */
  | { readonly kind: "lag"; readonly applied: string; readonly behind: number }
  | { readonly kind: "trouble"; readonly error: TailraceError };

export type CutoverOutcome =
  | {
      readonly kind: "switched";
      readonly id: number;
      readonly pauseMs: number | null;
      /** Foreign keys that did not validate, and hooks that failed: the switch stands. */
      readonly afterwards: readonly LeftOut[];
    }
  | { readonly kind: "rehearsed"; readonly id: number; readonly pauseMs: number | null; readonly afterwards: readonly LeftOut[] }
  | { readonly kind: "undone"; readonly id: number; readonly error: TailraceError; readonly afterwards: readonly LeftOut[] }
  /** Something is away for too long. Safe to run again. */
  | { readonly kind: "half-way"; readonly error: TailraceError; readonly cause: TailraceError };
