/** What a mapping answers, for a whole row and for one value. */
import type { ErrorCode } from "../error-catalogue.js";
import type { Key, Row, Value } from "../vocabulary/value.js";

/** Values in PostgreSQL's text input form, null for NULL. */
export type TargetRow = readonly (string | null)[];

export interface Refusal {
  readonly kind: "refused";
  /** The source column whose value cannot be mapped. */
  readonly column: string;
  readonly code: ErrorCode;
  /** What is wrong with the value, without the value. */
  readonly reason: string;
}

export type Mapped = { readonly kind: "row"; readonly row: TargetRow } | Refusal;

export interface TableMapping {
  /** Every column of the plan, in its order, constants included. Stops at the first value that is refused. */
  map(row: Row): Mapped;
  /** The columns of `TablePlan.key`, in its order. */
  mapKey(key: Key): Mapped;
  /** Every value of the row that `map` would refuse: for the census, not for the hot path. */
  refusals(row: Row): readonly Refusal[];
}

/** Why one value cannot be mapped. Made once per converter, so that refusing costs nothing and says no value. */
export interface Refused {
  readonly code: ErrorCode;
  readonly reason: string;
}

/** Converts one value that is not NULL. Compiled per column; a string is the accepted text form. */
export type Convert = (value: Value) => string | Refused;

export const refused = (code: ErrorCode, reason: string): Refused => ({ code, reason });
