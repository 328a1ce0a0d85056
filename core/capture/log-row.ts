/**
 * The vocabulary of a capture log, whatever stores it. Rows are numbered without gaps by `seq` (the order of a position) and are never
 * changed once committed. `table` is the number under which the table was installed; it is never given to another table.
 */
import type { MarkerId, RereadId } from "../vocabulary/ids.js";
import type { Key, Row } from "../vocabulary/value.js";

export type LogRow =
  | { readonly op: "I"; readonly seq: number; readonly table: number; readonly row: Row }
  /** `from` is the key before the update, also when it did not change. */
  | { readonly op: "U"; readonly seq: number; readonly table: number; readonly from: Key; readonly row: Row }
  /** `row` is what was deleted. */
  | { readonly op: "D"; readonly seq: number; readonly table: number; readonly row: Row }
  | Hint
  | Touch
  /** `marker` null: written only to give the log a new order. */
  | { readonly op: "M"; readonly seq: number; readonly marker: MarkerId | null }
  | RereadRequest;

/** The statement that follows may push this row out (REPLACE through another unique index fires no delete trigger). */
export interface Hint {
  readonly op: "R";
  readonly seq: number;
  readonly table: number;
  readonly key: Key;
}
/** Somebody wants to know how this row is now. */
export interface Touch {
  readonly op: "T";
  readonly seq: number;
  readonly table: number;
  readonly key: Key;
}
/** `ask`: the log has everything, the rows are wanted again. `gap`: changes of this table may be missing in the log. `table` null: all. */
export interface RereadRequest {
  readonly op: "S";
  readonly seq: number;
  readonly table: number | null;
  readonly why: "ask" | "gap";
  readonly reread: RereadId;
}
/** Rows that must be known before the first change of a batch is told. */
export type Note = Exclude<LogRow, { readonly op: "I" | "U" | "D" }>;
