/**
 * What the pure reader needs from a database that keeps a capture log in the application's own transactions. SQLite implements it; the
 * model test does so in memory. Everything is synchronous: a read transaction is never open while somebody else runs.
 */
import type { ColumnDescription, TableDescription } from "../vocabulary/table.js";
import type { Key, Row } from "../vocabulary/value.js";
import type { AnchoredLog } from "./anchor.js";
import type { LogRow, Note } from "./log-row.js";

export interface CapturedTable {
  readonly number: number;
  /** `schema` counts through all tables of the source: a table whose description changes gets the highest plus one. */
  readonly description: TableDescription;
  /** `retired`: no longer captured, but rows about it may still be in the log. */
  readonly state: "captured" | "retired";
}
export interface PageLimits {
  readonly rows: number;
  readonly bytes: number;
}
export interface LogPage {
  readonly rows: readonly LogRow[];
  readonly bytes: number;
}

/** One committed state of the database; legal only inside `CaptureLog.read`. */
export interface CaptureView extends AnchoredLog {
  /** By number. */
  tables(): ReadonlyMap<number, CapturedTable>;
  /** Rows with after < seq ≤ until in order, as many as the limits allow, and at least one if there is one. */
  page(after: number, until: number, limits: PageLimits): LogPage;
  /** All rows of the same range that are notes. */
  notes(after: number, until: number): readonly Note[];
  /** The row with exactly this key (storage classes included), or null. */
  row(table: number, key: Key): Row | null;
  /** The next rows above `after` in key order, at least one if there is one. `ended`: there is none above the last one. */
  chunk(
    table: number,
    after: Key | null,
    limits: PageLimits,
  ): { readonly rows: readonly Row[]; readonly bytes: number; readonly ended: boolean };
}

export interface CaptureLog {
  /** Runs `work` in one short read transaction. */
  read<T>(work: (view: CaptureView) => T): T;
  /** As the view's, outside of it: rows of the log are immutable. */
  page(after: number, until: number, limits: PageLimits): LogPage;
  /** Durable on return: the table's description with these columns (united with what is stored) and a new schema number. */
  widen(table: number, columns: readonly ColumnDescription[]): TableDescription;
  /** Durable on return: one more row in the log, which says nothing. */
  advance(): void;
}
