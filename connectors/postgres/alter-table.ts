/**
 * What makes a table that this pipeline has written to fit a plan that changed.
 *
 * Promises: nothing that is there is removed; a column that the plan no longer has stays and may be empty from now on. Relies on the rows being read
 * again by whoever executes it: a new column is empty until then, and one of another type holds what PostgreSQL's cast makes of it, or nothing.
 */
import type { ColumnPlan, TablePlan } from "../../core/contracts/plan.js";
import type { FoundColumn, FoundTable } from "./found-table.js";
import { qualified, quoteName, quoteText } from "./quote.js";

export interface Alteration {
  readonly statements: readonly string[];
  /** Target columns whose type becomes another one. */
  readonly retyped: readonly string[];
  /** Rows do not hold what the plan says before they are read again. */
  readonly stale: boolean;
}

/** Differences that cannot be altered away have been refused before. */
export function alterationOf(table: TablePlan, found: FoundTable): Alteration {
  const columns = table.columns.map((column) => ({ column, there: found.columns.find(({ name }) => name === column.target) }));
  const added = columns.filter(({ there }) => there === undefined).map(({ column }) => addColumn(table, column));
  const retyped = columns.flatMap(({ column, there }) => (there === undefined || there.type === column.type ? [] : [{ column, there }]));
  const optional = columns.filter(({ column, there }) => there?.not_null === true && column.nullable && !table.key.includes(column.target));
  const left = found.columns.filter(({ name, not_null, has_default }) => not_null && !has_default && !isPlanned(table, name));
  const mayBeNull = new Set(
    [...retyped.filter(({ column, there }) => there.not_null && cast(column.target, there.type, column.type) === null), ...optional].map(
      ({ column }) => column.target,
    ),
  );
  return {
    statements: [
      ...[...mayBeNull, ...left.map(({ name }) => name)].map((name) => alter(table, `ALTER COLUMN ${quoteName(name)} DROP NOT NULL`)),
      ...added.flat(),
      ...retyped.map(({ column, there }) => retype(table, column, there)),
    ],
    retyped: retyped.map(({ column }) => column.target),
    stale: added.length + retyped.length > 0,
  };
}

export const isPlanned = (table: TablePlan, name: string): boolean => table.columns.some(({ target }) => target === name);

const alter = (table: TablePlan, what: string): string => `ALTER TABLE ${qualified(table.target)} ${what}`;

/** Nullable, whatever the plan says: rows are there. A constant is what they would have got when they were inserted. */
function addColumn(table: TablePlan, column: ColumnPlan): readonly string[] {
  const name = quoteName(column.target);
  if (column.constant === null) return [alter(table, `ADD COLUMN ${name} ${column.type}`)];
  return [
    alter(table, `ADD COLUMN ${name} ${column.type} DEFAULT ${quoteText(column.constant)}`),
    alter(table, `ALTER COLUMN ${name} DROP DEFAULT`),
  ];
}

function retype(table: TablePlan, { target, type }: ColumnPlan, there: FoundColumn): string {
  const using = cast(target, there.type, type) ?? `NULL::${type}`;
  return alter(table, `ALTER COLUMN ${quoteName(target)} TYPE ${type} USING ${using}`);
}

const whole = ["smallint", "integer", "bigint"];

/** Only where no value is refused, cut or rounded; null: there is no such cast. */
function cast(column: string, from: string, to: string): string | null {
  const name = quoteName(column);
  const widened = whole.includes(from) && (whole.indexOf(to) > whole.indexOf(from) || to === "numeric");
  if (widened || (from === "real" && to === "double precision") || (/^numeric\b/.test(from) && to === "numeric")) return `${name}::${to}`;
  if (to === "text" && from !== "bytea") return `${name}::text`;
  return to === "bytea" && /^(text|character varying)\b/.test(from) ? `convert_to(${name}, 'UTF8')` : null;
}
