/**
 * Decides about rows that seem to differ while both sides are being written to.
 *
 * The source is read at Ps; then the target, once it has applied Ps, at Pt. A row that did not change in (Ps, Pt] must be at Pt what it was at Ps. One
 * that did must be what the log says it was at Pt. Where neither is known (the log does not say, the past was replaced) both are read again, a few
 * times; what is undecided then is said to be so, never called different.
 */
import { type KeyedRow, type RowName, rowsByKeyMax, type RowThen } from "../../core/contracts/row-reader.js";
import { asTailraceError } from "../../core/errors.js";
import type { TableId } from "../../core/vocabulary/ids.js";
import type { Position } from "../../core/vocabulary/position.js";
import { unreachable } from "../../core/vocabulary/unreachable.js";
import type { Comparison, CompareRows } from "./compare-rows.js";
import { compareOf, lower, reached, type Sides } from "./sides.js";

export type Settled =
  | { readonly kind: "equal"; readonly row: RowName; readonly at: Position }
  | { readonly kind: "missing" | "extra"; readonly row: RowName; readonly at: Position }
  | { readonly kind: "changed"; readonly row: RowName; readonly at: Position; readonly columns: readonly string[] }
  | { readonly kind: "unsettled"; readonly row: RowName; readonly at: Position; readonly why: string };

export const roundsMax = 8;

/** One answer per row. At most 10,000 rows. */
export async function settle(sides: Sides, table: TableId, rows: readonly RowName[], signal: AbortSignal): Promise<readonly Settled[]> {
  if (rows.length > rowsByKeyMax) throw new Error(`${rows.length} rows of table ${table} cannot be settled at once`);
  const compare = compareOf(sides, table);
  const settled: Settled[] = [];
  let open: ReadonlyMap<string, RowName> = new Map(rows.map((row) => [row.id, row]));
  for (let round = 1; open.size > 0; round++) {
    const last = round === roundsMax;
    const looked = await look(sides, table, open, compare, signal);
    const next = new Map<string, RowName>();
    for (const row of open.values()) {
      const answer = answerOf(row, looked, last);
      if (answer === null) next.set(row.id, row);
      else settled.push(answer);
    }
    open = next;
  }
  return settled;
}

interface Looked {
  readonly at: Position;
  /** Of all rows alike: why nothing is decided; null when something is. */
  readonly why: string | null;
  readonly again: boolean;
  readonly comparisons: ReadonlyMap<string, Comparison | { readonly kind: "unknown" }>;
}

function answerOf(row: RowName, looked: Looked, last: boolean): Settled | null {
  const { at, why } = looked;
  if (why !== null) return looked.again && !last ? null : { kind: "unsettled", row, at, why };
  const comparison = looked.comparisons.get(row.id) ?? { kind: "equal" };
  if (comparison.kind !== "unknown") return settledAs(row, comparison, at);
  return last ? { kind: "unsettled", row, at, why: `it changed in each of ${roundsMax} reads` } : null;
}

export function settledAs(row: RowName, comparison: Comparison, at: Position): Settled {
  switch (comparison.kind) {
    case "equal":
      return { kind: "equal", row, at };
    case "missing":
    case "extra":
      return { kind: comparison.kind, row, at };
    case "changed":
      return { kind: "changed", row, at, columns: comparison.columns };
    case "refused":
      return { kind: "unsettled", row, at, why: `the mapping refuses the source's value: ${comparison.why}` };
    default:
      return unreachable(comparison);
  }
}

async function look(
  sides: Sides,
  table: TableId,
  open: ReadonlyMap<string, RowName>,
  compare: CompareRows,
  signal: AbortSignal,
): Promise<Looked> {
  const keys = [...open.values()].map(({ key }) => key);
  const source = await sides.source.rowsByKey(table, keys, signal);
  const nothing: Looked = { at: source.at, why: null, again: false, comparisons: new Map() };
  const late = await reached(sides, source.at, signal);
  if (late !== null) return { ...nothing, why: late };
  const target = await sides.target.rowsByKey(table, keys, signal);
  const between = { after: source.at, upTo: target.at };
  const replaced = { ...nothing, why: "the source's past was replaced while it was read", again: true };
  if (target.at.history !== source.at.history || target.at.order < source.at.order) return replaced;
  const then = await changedThen(sides, table, [...open.values()], between, signal);
  if (typeof then === "string") return { ...nothing, why: then, again: true };
  const ours = byId(source.value);
  const theirs = byId(target.value);
  const comparisons = [...open.keys()].map((id): readonly [string, Comparison | { readonly kind: "unknown" }] => {
    const image = then.get(id);
    if (image?.kind === "unknown") return [id, { kind: "unknown" }];
    return [id, compare(image ?? ours.get(id), theirs.get(id))];
  });
  return { at: lower(source.at, target.at), why: null, again: false, comparisons: new Map(comparisons) };
}

/** Rows that changed between the two reads, as they were at the second; a text: why nobody knows. */
async function changedThen(
  { changes }: Sides,
  table: TableId,
  rows: readonly RowName[],
  between: { readonly after: Position; readonly upTo: Position },
  signal: AbortSignal,
): Promise<ReadonlyMap<string, RowThen> | string> {
  if (between.after.order === between.upTo.order) return new Map();
  if (changes === null) return "the source went on between the two reads, and has no log that says what changed";
  try {
    return await changes.changedRows(table, rows, between, signal);
  } catch (thrown) {
    const error = asTailraceError(thrown);
    if (error.code !== "source.pruned") throw thrown;
    return error.message;
  }
}

const byId = (rows: readonly KeyedRow[]): ReadonlyMap<string, KeyedRow> => new Map(rows.map((row) => [row.id, row]));
