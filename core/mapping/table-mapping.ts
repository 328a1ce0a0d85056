/**
 * The one place where source values become target values: compiled once per table, used by census, sink and (later) verifier alike, so that
 * they agree by construction.
 *
 * Promises: a row that is answered can be written to columns of the plan's types as text; what it says is exactly what the source had, never
 * rounded, cut or replaced; anything else is refused with a column, a code and a reason that holds no value. Pure: no state, no clock.
 */
import type { ColumnPlan, TablePlan } from "../contracts/plan.js";
import { TailraceError } from "../errors.js";
import type { TableDescription } from "../vocabulary/table.js";
import type { Key, Row, Value } from "../vocabulary/value.js";
import { compileConvert } from "./converter.js";
import { strictConvert } from "./key-class.js";
import { type Convert, type Mapped, type Refusal, type Refused, refused, type TableMapping } from "./mapped.js";
import { parseType } from "./postgres-type.js";

export type { Mapped, Refusal, TableMapping, TargetRow } from "./mapped.js";

/** One column, compiled. `index` is its place in the source row. */
interface SourceColumn {
  readonly target: number;
  readonly index: number;
  readonly name: string;
  readonly convert: Convert;
  /** Answers for NULL: allowed, or why not. */
  readonly onNull: null | Refused;
}

/**
 * Throws `plan.changed` when plan and description do not fit together. `older`: the description is known to be no newer than the plan, so a column
 * that only one of them has was added or dropped in between. Its values are NULL or left out, and the re-read that follows a new plan sets them right.
 */
export function compileMapping(plan: TablePlan, table: TableDescription, fit: "exact" | "older" = "exact"): TableMapping {
  if (fit === "exact") refuseUnmapped(plan, table);
  const there = new Set(table.columns.map(({ name }) => name));
  const columns = plan.columns.flatMap((column, target) =>
    column.source === null || (fit === "older" && !there.has(column.source)) ? [] : [compileColumn(plan, table, column, target)],
  );
  const template = plan.columns.map((column) => (column.source === null ? column.constant : null));
  const keyColumns = keyInOrder(plan, table, columns);
  return {
    map: (row) => mapRow(columns, template, row),
    mapKey: (key) => mapKey(keyColumns, key),
    refusals: (row) =>
      columns.flatMap((column) => {
        const value = convertOne(column, row[column.index] ?? null);
        return value === null || typeof value === "string" ? [] : [refusal(column, value)];
      }),
  };
}

// The loop of the hot path: one call per value, no allocation but the row itself.
function mapRow(columns: readonly SourceColumn[], template: readonly (string | null)[], row: Row): Mapped {
  const out = template.slice();
  for (let i = 0; i < columns.length; i++) {
    const column = columns[i];
    if (column === undefined) break;
    const value = row[column.index];
    if (value === null || value === undefined) {
      if (column.onNull !== null) return refusal(column, column.onNull);
      continue;
    }
    const text = column.convert(value);
    if (typeof text !== "string") return refusal(column, text);
    out[column.target] = text;
  }
  return { kind: "row", row: out };
}

function mapKey(columns: readonly SourceColumn[], key: Key): Mapped {
  const out: (string | null)[] = [];
  for (const [i, column] of columns.entries()) {
    const text = convertOne(column, key[i] ?? null);
    if (text !== null && typeof text !== "string") return refusal(column, text);
    out.push(text);
  }
  return { kind: "row", row: out };
}

function convertOne(column: SourceColumn, value: Value): string | null | Refused {
  return value === null ? column.onNull : column.convert(value);
}

const refusal = (column: SourceColumn, why: Refused): Refusal => ({
  kind: "refused",
  column: column.name,
  code: why.code,
  reason: why.reason,
});

const nullRefused = refused("value.null", "NULL in a column that is NOT NULL at the target");

function compileColumn(plan: TablePlan, table: TableDescription, column: ColumnPlan, target: number): SourceColumn {
  const index = table.columns.findIndex((candidate) => candidate.name === column.source);
  const description = table.columns[index];
  if (description === undefined) throw changed(plan, `the source has no column '${column.source ?? ""}' any more`);
  const type = parseType(column.type);
  if (type === null) throw changed(plan, `the type of column '${column.target}' is not understood`);
  const isKey = plan.key.includes(column.target);
  const convert = compileConvert(type, column.conversion);
  return {
    target,
    index,
    name: description.name,
    convert: isKey ? strictConvert(description, type, convert) : convert,
    onNull: column.nullable && !isKey ? null : nullRefused,
  };
}

function refuseUnmapped(plan: TablePlan, table: TableDescription): void {
  const known = new Set([...plan.dropped, ...plan.columns.map((column) => column.source)]);
  const extra = table.columns.find((column) => !known.has(column.name));
  if (extra !== undefined) throw changed(plan, `the source has a column '${extra.name}' that the plan does not know`);
}

function keyInOrder(plan: TablePlan, table: TableDescription, columns: readonly SourceColumn[]): readonly SourceColumn[] {
  if (plan.key.length !== table.key.length) throw changed(plan, "the key of the source has another number of columns than the plan's");
  return plan.key.map((target, i) => {
    const column = columns.find((candidate) => plan.columns[candidate.target]?.target === target);
    if (column === undefined || column.index !== table.key[i]) throw changed(plan, `the key column '${target}' is not the source's key`);
    return column;
  });
}

const changed = (plan: TablePlan, what: string): TailraceError =>
  new TailraceError("plan.changed", { what, where: { table: plan.source, target: `${plan.target.schema}.${plan.target.name}` } });
