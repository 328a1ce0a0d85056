/** What verification remembers: runs, what each range of keys was found to be, and rows that differ. Public tables of schema `tailrace`. */
import type { TableId } from "../vocabulary/ids.js";
import type { Position } from "../vocabulary/position.js";
import type { Key } from "../vocabulary/value.js";
import type { KeyScope } from "./change.js";

/** Counted at the store, from 1. */
export type RunNumber = number & { readonly run: unique symbol };
/** `demand`: an operator asked. `continuous`: a service, in the background. */
export type RunKind = "demand" | "continuous";
export type RunState = "running" | "done" | "stopped" | "failed";

export type ProofState = "equal" | "different" | "unsettled";
/** One range of keys, as it was read last in its run. */
export interface ChunkProof {
  readonly table: TableId;
  /** In key order, from 0. */
  readonly number: number;
  readonly scope: KeyScope;
  readonly rows: number;
  readonly state: ProofState;
  /** Equal as of here: the lowest position of all reads that prove it. */
  readonly at: Position;
}
export interface StoredChunk extends ChunkProof {
  readonly ageMs: number;
}

export type MismatchKind = "missing" | "extra" | "changed" | "unsettled";
export interface Mismatch {
  readonly table: TableId;
  readonly key: Key;
  /** `idHash` of the row's name: identifies it within its table. */
  readonly id: string;
  readonly kind: MismatchKind;
  /** Target columns that differ; empty unless `changed`. */
  readonly columns: readonly string[];
  /** Why it is unsettled; else null. */
  readonly why: string | null;
  /** The target held it so at this position. */
  readonly at: Position;
}
export interface StoredMismatch extends Mismatch {
  readonly number: number;
  /** `asked`: its repair was asked for. */
  readonly state: "open" | "asked" | "repaired" | "gone";
  readonly foundMs: number;
}

export interface TableResult {
  readonly table: TableId;
  readonly state: "waiting" | "reading" | "done";
  readonly rows: number;
  readonly chunks: number;
  readonly equalChunks: number;
  readonly missing: number;
  readonly extra: number;
  readonly changed: number;
  readonly unsettled: number;
  readonly ms: number;
}

export interface RunRecord {
  readonly run: RunNumber;
  readonly kind: RunKind;
  readonly state: RunState;
  /** Every table of the plan. */
  readonly whole: boolean;
  /** Changes after here are followed. */
  readonly since: Position;
  /** Every row that was found equal is proven equal as of here: ranges were read above `since`, and every key changed up to here was read again. */
  readonly proven: Position;
  readonly startedMs: number;
  readonly endedMs: number | null;
  readonly error: string | null;
  readonly tables: readonly TableResult[];
}

/** What is new since the last note; stored in one transaction. */
export interface Progress {
  /** null: only rows were looked at again; what the run says as a whole stays. */
  readonly run: { readonly proven: Position; readonly tables: readonly TableResult[] } | null;
  readonly chunks: readonly ChunkProof[];
  readonly found: readonly Mismatch[];
  /** Ids of rows that were on record as differing and are equal now. */
  readonly cleared: readonly Pick<Mismatch, "table" | "id">[];
}

export interface VerificationStore extends AsyncDisposable {
  begin(
    start: { readonly kind: RunKind; readonly whole: boolean; readonly since: Position; readonly tables: readonly TableId[] },
    signal: AbortSignal,
  ): Promise<RunNumber>;
  /** Durable on return. */
  note(run: RunNumber, progress: Progress, signal: AbortSignal): Promise<void>;
  end(run: RunNumber, how: { readonly state: RunState; readonly error: string | null }, signal: AbortSignal): Promise<void>;
  /** Newest first; none from before the last switch. */
  runs(limit: number, signal: AbortSignal): Promise<readonly RunRecord[]>;
  chunks(run: RunNumber, signal: AbortSignal): Promise<readonly StoredChunk[]>;
  /** Per table that has ranges: how long ago the oldest was read. */
  ages(run: RunNumber, signal: AbortSignal): Promise<ReadonlyMap<TableId, number>>;
  /** How many rows differ (open or asked for). */
  openMismatches(signal: AbortSignal): Promise<number>;
  /** Rows that differ (open or asked for), of one table or all, oldest first. */
  mismatches(of: { readonly table: TableId | null; readonly limit: number }, signal: AbortSignal): Promise<readonly StoredMismatch[]>;
  /** Records that their repair was asked for. Durable on return. */
  asked(numbers: readonly number[], signal: AbortSignal): Promise<void>;
}
