/** Both sides as the verifier sees them. Opened with one plan, so that both digest the same mapped rows. */
import type { ErrorCode } from "../error-catalogue.js";
import type { TableId } from "../vocabulary/ids.js";
import type { Position } from "../vocabulary/position.js";
import type { Key } from "../vocabulary/value.js";
import type { KeyScope } from "./change.js";
import type { HoldName } from "./source.js";

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
/** A row as both sides name it. */
export interface RowName {
  /** In source form on both sides: the verifier repairs and reports by it. */
  readonly key: Key;
  /** Canonical form of the mapped key (core/mapping/row-names): equal exactly when both sides mean the same row. */
  readonly id: string;
}
export interface KeyedDigest extends RowName {
  /** 16 bytes as 32 lower hex digits: MD5 of the canonical form of the mapped row. Of a row that cannot be mapped: `refusedDigest`. */
  readonly digest: string;
}
/** No row that was mapped has it. */
export const refusedDigest = "refused";

/** Text forms of the target columns that are hashed, in plan order; null is NULL. Compared by their canonical form. */
export type CanonicalRow = readonly (string | null)[];
export type KeyedRow =
  | (RowName & { readonly kind: "row"; readonly row: CanonicalRow })
  /** The source holds a value that the mapping refuses. */
  | (RowName & { readonly kind: "refused"; readonly column: string; readonly code: ErrorCode; readonly reason: string });

/**
 * Every call is one short read transaction; nothing is held between calls. Rejects with `verify.differs-in-kind` when the table or its mapping are
 * not what the plan says: then rows say nothing. A target rejects with `verify.not-settled` while rows of the table are being copied for the first
 * time or after a new history: the position does not say which.
 */
export interface RowReader extends AsyncDisposable {
  /** Of a read made now. */
  position(signal: AbortSignal): Promise<Position>;
  /** Cuts the table, or what lies within a range, into ranges of about `rowsPerScope` rows, in key order, covering all keys of it. */
  scopes(table: TableId, cut: ScopeCut, signal: AbortSignal): AsyncIterable<KeyScope>;
  digest(table: TableId, scope: KeyScope, signal: AbortSignal): Promise<Labelled<ScopeDigest>>;
  /** At most `rowsMax` rows of one scope; rejects with `verify.scope-too-large` beyond, so that the caller cuts it again. */
  digests(table: TableId, scope: KeyScope, rowsMax: number, signal: AbortSignal): Promise<Labelled<readonly KeyedDigest[]>>;
  /** Absent keys are absent from the answer, in any order. At most 10,000 keys. */
  rowsByKey(table: TableId, keys: readonly Key[], signal: AbortSignal): Promise<Labelled<readonly KeyedRow[]>>;
  /** Names of rows, whether they are there or not. Same length and order. */
  identify(table: TableId, keys: readonly Key[], signal: AbortSignal): Promise<readonly RowName[]>;
}

export interface ScopeCut {
  readonly rowsPerScope: number;
  /** Default: the whole table, whose first and last range are open. */
  readonly within?: KeyScope;
}
export const rowsByKeyMax = 10_000;

export interface ChangedKey extends RowName {
  readonly table: TableId;
  /** Of the newest change of this key in the page that tells it. */
  readonly order: number;
}

/** Changes above `after`, up to `upTo`. */
export interface Between {
  readonly after: Position;
  readonly upTo: Position;
}
export type RowThen = KeyedRow | { readonly kind: "absent" } | { readonly kind: "unknown" };

/** Only the side that has a log of its own. Complete above the caller's hold; below it rejects with `source.pruned`, it never leaves out. */
export interface ChangedKeys {
  /**
   * Keys that a change after `after` and up to `upTo` may have touched: inserted, updated (old and new key), deleted, pushed out. By pages in log
   * order; a page names a key once. Rejects with `source.pruned`, too, when the log ends below `upTo` or is of another history.
   */
  changedKeys(between: Between, signal: AbortSignal): AsyncIterable<readonly ChangedKey[]>;
  /**
   * Of these rows (at most 10,000), those that a change of the range may have touched, by id: as they were at `upTo`, by the log alone. `unknown`: it
   * does not say. Same rejections.
   */
  changedRows(table: TableId, rows: readonly RowName[], between: Between, signal: AbortSignal): Promise<ReadonlyMap<string, RowThen>>;
}

/**
 * The side that applications write to while changes come back. Its log cannot be asked what a row was at a position, so a row is recognised by its
 * version: one that is the same in two reads was the same in between.
 */
export interface Leading extends AsyncDisposable {
  /** Unlabelled: no position of ours says what it holds. */
  readonly rows: RowReader;
  /**
   * Versions of these rows now, later than all that had come back before the call. A row that a transaction may be changing which has committed already,
   * and cannot be seen yet, is left out unless it becomes clear within a moment.
   */
  versions(table: TableId, rows: readonly RowName[], signal: AbortSignal): Promise<RowVersions>;
  /** Writes a marker. Answers a place in the log below it, above everything that could be seen before. */
  mark(signal: AbortSignal): Promise<number>;
  /**
   * Tells these rows as they are now, or that they are not there, as changes of one transaction that come back like any other. Durable on return. May be
   * repeated. Writers to the tables wait for moments; rejects with `verify.put-off` when they do not end. At most 20,000 keys a call.
   */
  touch(rows: readonly KeysOfTable[], signal: AbortSignal): Promise<void>;
  /** As `RowVersions.reign`. */
  reign(signal: AbortSignal): Promise<string | null>;
}
/** In source form. */
export interface KeysOfTable {
  readonly table: TableId;
  readonly keys: readonly Key[];
}
export interface RowVersions {
  /** Names the time since the last switch; null: applications do not write here. */
  readonly reign: string | null;
  /** By id. A row that is not there is `absentVersion`, whatever has come and gone there. */
  readonly versions: ReadonlyMap<string, string>;
}
export const absentVersion = "absent";

/** The side that follows: rows labelled by what has come back to it. */
export interface Following extends Pick<ChangedKeys, "changedKeys">, AsyncDisposable {
  readonly rows: RowReader;
  /** Both sides were equal at `at`, above it all keys that have come back are known, and so many are; null: that is not known. */
  since(): Promise<{ readonly at: Position | null; readonly keys: number }>;
  /** As `SourceRequests.hold`; from its return on, all keys that come back are known. */
  hold(name: HoldName, from: Position | null, forMs: number): Promise<void>;
  /** Every row was found equal as of there: keys from before need not be known, unless they are held. */
  proven(at: Position): Promise<void>;
}
