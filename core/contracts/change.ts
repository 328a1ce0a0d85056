/**
 * What a source says happened, and what the target is asked to hold. Positions order everything; parts are only packaging.
 */
import type { GroupId, MarkerId, RereadId, TableId } from "../vocabulary/ids.js";
import type { Position } from "../vocabulary/position.js";
import type { TableDescription } from "../vocabulary/table.js";
import type { Key, Row } from "../vocabulary/value.js";

/**
 * One live change. `create` and `update` stay apart through fold and apply: an insert-only column needs to know whether the row was
 * born in the window.
 */
export type Change =
  | { readonly kind: "create"; readonly at: Position; readonly key: Key; readonly after: Row }
  | { readonly kind: "update"; readonly at: Position; readonly key: Key; readonly after: Row }
  /** Key changed in place. On the wire delete + create with Debezium's old/new key headers, counting 2. */
  | { readonly kind: "rekey"; readonly at: Position; readonly from: Key; readonly key: Key; readonly after: Row }
  /** `before` is null where the capture has no full image: an eviction by REPLACE, a touched row that is gone. */
  | { readonly kind: "delete"; readonly at: Position; readonly key: Key; readonly before: Row | null }
  /** Answer to a touch: the row as it is at `at`. Overwrites whatever the target has; not a birth. (Gone: a delete.) */
  | { readonly kind: "state"; readonly at: Position; readonly key: Key; readonly after: Row };

/** Keys of a range, in the source's key order. null: open end. */
export interface KeyScope {
  readonly kind: "range";
  readonly after: Key | null;
  readonly upTo: Key | null;
}

/**
 * Rows of a scope as they were at `at`, in key order. What the scope holds at the target and `rows` lacks is gone at the source.
 * `at` is above every live change in the same batch.
 */
export interface Chunk {
  readonly reread: RereadId;
  readonly scope: KeyScope;
  readonly at: Position;
  readonly rows: readonly Row[];
  /** The last chunk of this table in this re-read. */
  readonly last: boolean;
}

/**
 * Goes to `.cuts` before the cut of its batch and ends a window: the window that ends at that cut holds nothing of another cut.
 * The target executes `schema`, `dropped` and `repair begins` before the window's rows, `marker` and `repair ends` after them.
 */
export type Control =
  | { readonly kind: "schema"; readonly table: TableDescription; readonly at: Position }
  | { readonly kind: "dropped"; readonly table: TableId; readonly at: Position }
  | { readonly kind: "marker"; readonly marker: MarkerId; readonly at: Position }
  /** Around a re-read after a new history or a capture gap: in between, the table's UNIQUE and foreign keys in both directions are off. */
  | {
      readonly kind: "repair";
      readonly step: "begins" | "ends";
      readonly table: TableId;
      readonly reread: RereadId;
      readonly at: Position;
    };

export type BatchPart =
  | { readonly kind: "changes"; readonly table: TableDescription; readonly changes: readonly Change[] }
  | { readonly kind: "chunk"; readonly table: TableDescription; readonly chunk: Chunk }
  | { readonly kind: "control"; readonly control: Control };

/** `snapshot` until the first snapshot's end cut of the group: half transactions may be visible (G3). */
export type Phase = "snapshot" | "streaming";
export type Phases = ReadonlyMap<GroupId, Phase>;
