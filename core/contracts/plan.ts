/**
 * The plan: how one source table becomes one target table. Made by core/plan from catalogue, profile and settings; stored at the target by
 * `apply`; compiled by core/mapping. Plain JSON, so that a sink on another machine needs neither settings nor source.
 */
import type { GroupId, PipelineId, TableId } from "../vocabulary/ids.js";

/** How values of one column are converted. `as-is`: by the target type alone. */
export type Conversion =
  | { readonly kind: "as-is" }
  /** Whole numbers since 1970 (text or REAL that is whole included). */
  | { readonly kind: "epoch"; readonly unit: "s" | "ms" | "us" }
  /** As a source with time types of its own counts them from 1970: days, micro- or nanoseconds; the largest number there is means infinity. */
  | { readonly kind: "counted"; readonly unit: "d" | "us" | "ns" }
  | { readonly kind: "julian-day" }
  /** `2026-11-20 10:11:12.5+01:00`, `T`, `Z` and date alone are all understood; without a zone it is UTC. */
  | { readonly kind: "iso" };

export interface ColumnPlan {
  /** Source column; null for a constant. */
  readonly source: string | null;
  readonly target: string;
  /** PostgreSQL type as `format_type` prints it: bigint, numeric(10,2), timestamp with time zone, … */
  readonly type: string;
  readonly nullable: boolean;
  readonly conversion: Conversion;
  /** `insert`: constants, never in SET, never in a row hash. */
  readonly written: "always" | "insert";
  /** PostgreSQL text form of the constant; null for a source column (and for a constant NULL). */
  readonly constant: string | null;
}
export interface IndexPlan {
  readonly name: string;
  readonly columns: readonly string[];
  readonly unique: boolean;
}
export interface ForeignKeyPlan {
  readonly name: string;
  readonly columns: readonly string[];
  /** Index into TargetPlan.tables is avoided on purpose: names survive re-planning. */
  readonly parent: { readonly schema: string; readonly name: string };
  readonly parentColumns: readonly string[];
  /** What the source does when the parent's row goes or changes its key. Off while changes stream in; absent: nothing, or a plan of before. */
  readonly wanted?: { readonly onDelete: ReferentialAction; readonly onUpdate: ReferentialAction };
}
export type ReferentialAction = "NO ACTION" | "RESTRICT" | "CASCADE" | "SET NULL" | "SET DEFAULT";
export interface TablePlan {
  readonly source: TableId;
  readonly group: GroupId;
  /** As settings name it; absent: `main`, which nobody has to declare. */
  readonly groupName?: string;
  readonly target: { readonly schema: string; readonly name: string };
  readonly columns: readonly ColumnPlan[];
  /** Target columns that hold the source's key, in key order: primary key, identity and arbiter in one for now. */
  readonly key: readonly [string, ...string[]];
  /** Built after the snapshot. UNIQUE ones as DEFERRABLE INITIALLY DEFERRED constraints. */
  readonly indexes: readonly IndexPlan[];
  readonly foreignKeys: readonly ForeignKeyPlan[];
  /** Source columns that are not carried over. */
  readonly dropped: readonly string[];
}
export interface TargetPlan {
  readonly version: 1;
  readonly pipeline: PipelineId;
  readonly prefix: string;
  /** Parents before children. */
  readonly tables: readonly TablePlan[];
}
