/** What a reader is made of, and how much it holds. */
import type { Clock } from "../clock.js";
import type { ChangeDecoder, Window } from "../contracts/log.js";
import type { LogStore } from "../contracts/log-store.js";
import type { GroupId, Topic } from "../vocabulary/ids.js";
import type { Elsewhere } from "./elsewhere.js";
import type { FlowLimits } from "./lanes.js";
import type { ProtocolRules } from "./rules.js";

export interface LogReaderOptions {
  readonly store: LogStore;
  readonly decoder: ChangeDecoder;
  readonly clock: Clock;
  readonly prefix: string;
  readonly group: GroupId;
  /** Topics whose records count here: one per table of the group, and `.snapshot`. */
  readonly topics: readonly Topic[];
  /** Absent: all topics are here. */
  readonly elsewhere?: Elsewhere | undefined;
  readonly limits?: Partial<ReaderLimits>;
  readonly rules?: ProtocolRules;
  /**
   * Shown a window while the one before it is applied: the very object that comes next, unless the reader ends before. Nothing of it may be sent yet; what
   * needs no database can be done. Awaited: nothing is read meanwhile.
   */
  readonly ahead?: (window: Window, signal: AbortSignal) => Promise<void>;
}
/** Above `totalBytes` an incomplete window is streamed. */
export interface ReaderLimits extends FlowLimits {
  readonly mergeRecords: number;
  /** An undecided cut stops the reader after this. */
  readonly watchdogMs: number;
  /** How often an idle or undecided reader looks whether the log still holds what it has read. */
  readonly verifyMs: number;
  /** While a window of this many bytes is applied, the reader reads on. Smaller ones are done before it would be worth it. */
  readonly aheadBytes: number;
  /** So many bytes are a window, if their cut is there: gathering more would only make the target wait for it. */
  readonly showBytes: number;
  /** Nor is more gathered for longer than this while the target has nothing to do. A writer may be as fast as this reader. */
  readonly gatherMs: number;
}
/** `.cuts` is paused above this many undecided records, unless they are what the reader waits for. */
export const cutsHeld = 20_000;

export const defaultLimits: ReaderLimits = {
  laneBytes: 4 << 20,
  totalBytes: 16 << 20,
  mergeRecords: 20_000,
  watchdogMs: 30_000,
  verifyMs: 5_000,
  aheadBytes: 256 << 10,
  showBytes: 4 << 20,
  gatherMs: 50,
};
