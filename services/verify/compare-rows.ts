/** Two rows of one key, compared by their canonical forms: what equals by hash equals here, and the columns that differ have names. */
import type { TablePlan } from "../../core/contracts/plan.js";
import type { RowThen } from "../../core/contracts/row-reader.js";
import { canonicalColumns, canonicalValue } from "../../core/mapping/canonical.js";

export type Comparison =
  | { readonly kind: "equal" }
  | { readonly kind: "missing" | "extra" }
  | { readonly kind: "changed"; readonly columns: readonly string[] }
  /** The source holds a value that no row of the target can have. */
  | { readonly kind: "refused"; readonly why: string };

export type CompareRows = (source: RowThen | undefined, target: RowThen | undefined) => Comparison;

export function compileCompareRows(plan: TablePlan): CompareRows {
  const columns = canonicalColumns(plan);
  return (source, target) => {
    if (source?.kind === "refused") return { kind: "refused", why: `${source.code}: ${source.reason} (column ${source.column})` };
    const ours = source?.kind === "row" ? source.row : null;
    const theirs = target?.kind === "row" ? target.row : null;
    if (ours === null || theirs === null) return { kind: ours === theirs ? "equal" : ours === null ? "extra" : "missing" };
    const differing = columns.filter(({ form }, i) => canonicalValue(form, ours[i] ?? null) !== canonicalValue(form, theirs[i] ?? null));
    return differing.length === 0 ? { kind: "equal" } : { kind: "changed", columns: differing.map(({ target: name }) => name) };
  };
}
