/** Source rows as the row hash sees them: mapped, then written in canonical form. What cannot be mapped has a text that no mapped row has. */
import type { TablePlan } from "../contracts/plan.js";
import type { CanonicalRow } from "../contracts/row-reader.js";
import type { Row } from "../vocabulary/value.js";
import { type CanonicalColumn, canonicalColumns, compileRowText } from "./canonical.js";
import type { Refusal, TableMapping, TargetRow } from "./mapped.js";

/** How PostgreSQL prints each text once the type has read it; null stays null. Same length and order. */
export type TargetText = (type: string, texts: readonly (string | null)[], signal: AbortSignal) => Promise<readonly (string | null)[]>;

export interface HashedRow {
  /** Some column's form is only known to PostgreSQL: use `texts` and `rows`. */
  readonly asksTarget: boolean;
  /** Legal unless `asksTarget`. */
  textOf(row: Row): string;
  texts(rows: readonly Row[], ask: TargetText, signal: AbortSignal): Promise<readonly string[]>;
  rows(rows: readonly Row[], ask: TargetText, signal: AbortSignal): Promise<readonly HashedOrRefused[]>;
  isRefusal(text: string): boolean;
}
export type HashedOrRefused = { readonly kind: "row"; readonly row: CanonicalRow } | Refusal;

/** Begins no canonical form. */
const refusalMark = "!";

export function compileHashedRow(plan: TablePlan, mapping: TableMapping): HashedRow {
  const columns = canonicalColumns(plan);
  const write = compileRowText(columns, "mapped");
  const foreign = columns.filter(({ form }) => form === "foreign");
  const textOf = (row: Row): string => {
    const mapped = mapping.map(row);
    return mapped.kind === "row" ? write(mapped.row) : `${refusalMark}${mapped.code} ${mapped.column}`;
  };
  const settled = async (rows: readonly Row[], ask: TargetText, signal: AbortSignal): Promise<readonly (TargetRow | Refusal)[]> => {
    const mapped = rows.map((row) => mapping.map(row)).map((one) => (one.kind === "row" ? one.row : one));
    return foreign.length === 0 ? mapped : await printed(mapped, foreign, ask, signal);
  };
  return {
    asksTarget: foreign.length > 0,
    textOf,
    texts: async (rows, ask, signal) => {
      if (foreign.length === 0) return rows.map(textOf);
      const all = await settled(rows, ask, signal);
      return all.map((one) => (isRow(one) ? write(one) : `${refusalMark}${one.code} ${one.column}`));
    },
    rows: async (rows, ask, signal) => {
      const all = await settled(rows, ask, signal);
      return all.map((one) => (isRow(one) ? { kind: "row", row: columns.map(({ place }) => one[place] ?? null) } : one));
    },
    isRefusal: (text) => text.startsWith(refusalMark),
  };
}

const isRow = (one: TargetRow | Refusal): one is TargetRow => Array.isArray(one);

async function printed(
  rows: readonly (TargetRow | Refusal)[],
  foreign: readonly CanonicalColumn[],
  ask: TargetText,
  signal: AbortSignal,
): Promise<readonly (TargetRow | Refusal)[]> {
  const out = rows.map((row) => (isRow(row) ? [...row] : row));
  const mapped = out.filter((row): row is (string | null)[] => Array.isArray(row));
  for (const { place, type } of foreign) {
    const texts = await ask(
      type,
      mapped.map((row) => row[place] ?? null),
      signal,
    );
    mapped.forEach((row, i) => (row[place] = texts[i] ?? null));
  }
  return out;
}
