/** Both sides as the verifier sees them. Opened with one plan, so that both digest the same mapped rows. */
import type { KeyScope } from "./change.js";
import type { TableId } from "../vocabulary/ids.js";
import type { Position } from "../vocabulary/position.js";
import type { Key } from "../vocabulary/value.js";

export interface Labelled<T> {
  /** The value was true at exactly this position. */
  readonly at: Position;
  readonly value: T;
}

/** Canonical row hash v1 (core/mapping): two independent sums mod 2^64 of the halves of each row's MD5. Equal for equal multisets of rows. */
export interface ScopeDigest {
  readonly rows: number;
  readonly high: bigint;
  readonly low: bigint;
}
export interface KeyedDigest {
  /** In source form on both sides: the verifier compares, repairs and reports by it. */
  readonly key: Key;
  /** 16 bytes as 32 lower hex digits: MD5 of the canonical form of the mapped row. */
  readonly digest: string;
}
/** Text forms of the target columns that are hashed, in plan order; null is NULL. */
export type CanonicalRow = readonly (string | null)[];

/** Every call is one short read transaction; nothing is held between calls. */
export interface RowReader extends AsyncDisposable {
  /** Cuts the table into ranges of about `rowsPerScope` rows, in key order, covering all keys; the first and last are open. */
  scopes(table: TableId, rowsPerScope: number, signal: AbortSignal): AsyncIterable<KeyScope>;
  digest(table: TableId, scope: KeyScope, signal: AbortSignal): Promise<Labelled<ScopeDigest>>;
  /** At most `rowsMax` rows of one scope; rejects with `verify.scope-too-large` beyond, so that the caller cuts it again. */
  digests(table: TableId, scope: KeyScope, rowsMax: number, signal: AbortSignal): Promise<Labelled<readonly KeyedDigest[]>>;
  /** Absent keys are absent from the answer (same order otherwise). At most 10,000 keys. */
  rowsByKey(
    table: TableId,
    keys: readonly Key[],
    signal: AbortSignal,
  ): Promise<Labelled<readonly { readonly key: Key; readonly row: CanonicalRow }[]>>;
}

/** Only the side that has a log of its own. Complete above the caller's hold; below it rejects with `source.pruned`, it never leaves out. */
export interface ChangedKeys {
  changedKeys(
    table: TableId,
    between: { readonly after: Position; readonly upTo: Position },
    signal: AbortSignal,
  ): AsyncIterable<readonly Key[]>;
}
