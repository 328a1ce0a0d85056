import type { ErrorCode } from "../error-catalogue.js";
import type { TableId } from "../vocabulary/ids.js";

/** `error`: must be mended before the plan can be applied. `warning`: a risk that the data show. `note`: what was decided and why. */
export type Severity = "error" | "warning" | "note";

/** Codes of what is only noted; whatever can also stop a pipeline has its error code. */
export type NoteCode =
  | "type.chosen"
  | "column.empty"
  | "column.dropped"
  | "index.left-out"
  | "foreign-key.left-out"
  | "table.left-out"
  | "source.note";

/** Holds names and counts, never row values. */
export interface Finding {
  readonly severity: Severity;
  readonly code: ErrorCode | NoteCode;
  readonly table: TableId;
  readonly column?: string;
  /** What is so, in one sentence. */
  readonly what: string;
  /** What a person can do, "" when nothing is needed. */
  readonly remedy: string;
  /** How many values it concerns. */
  readonly count?: number;
}
