/**
 * Foreign keys between captured tables. PostgreSQL lets them refer only to a key that is checked at once; our secondary unique constraints
 * are deferrable, so only a parent's key will do.
 */
import type { ColumnPlan, ForeignKeyPlan, ReferentialAction, TablePlan } from "../contracts/plan.js";
import type { SourceForeignKey, SourceTable } from "../contracts/source.js";
import type { TableId } from "../vocabulary/ids.js";
import { NameSpace } from "./names.js";
import type { Report } from "./plan-columns.js";

/** `tables`: every planned table by its source name, foreign keys not yet filled in. */
export function planForeignKeys(report: Report, source: SourceTable, tables: ReadonlyMap<TableId, TablePlan>): readonly ForeignKeyPlan[] {
  const child = tables.get(source.description.table);
  if (child === undefined) return [];
  const names = new NameSpace();
  return source.foreignKeys.flatMap((key): readonly ForeignKeyPlan[] => {
    const parent = tables.get(key.parent);
    const columns = columnsOf(child, key.columns);
    const why = parent === undefined ? `its parent '${key.parent}' is not carried over` : refusalOf(key, columns, parent);
    if (parent === undefined || columns === null || why !== null) {
      report({
        severity: "note",
        code: "foreign-key.left-out",
        what: `The foreign key (${key.columns.join(", ")}) to '${key.parent}' is not carried over: ${why ?? "a column of it is dropped"}`,
        remedy: "Create it by hand at the target if it is wanted",
      });
      return [];
    }
    const parentColumns = columnsOf(parent, key.parentColumns) ?? [];
    return [
      {
        name: names.take(`${child.target.name}_${columns.map((column) => column.target).join("_")}_fkey`),
        columns: columns.map((column) => column.target),
        parent: parent.target,
        parentColumns: parentColumns.map((column) => column.target),
        ...wantedActions(key),
      },
    ];
  });
}

/** Kept for the cutover: until then no action may run, since folded changes come in another order. */
function wantedActions(key: SourceForeignKey): Pick<ForeignKeyPlan, "wanted"> {
  const wanted = { onDelete: actionOf(key.onDelete), onUpdate: actionOf(key.onUpdate) };
  return wanted.onDelete === "NO ACTION" && wanted.onUpdate === "NO ACTION" ? {} : { wanted };
}

function actionOf(text: string): ReferentialAction {
  switch (text) {
    case "RESTRICT":
    case "CASCADE":
    case "SET NULL":
    case "SET DEFAULT":
      return text;
    default:
      return "NO ACTION";
  }
}

function columnsOf(table: TablePlan, names: readonly string[]): readonly ColumnPlan[] | null {
  const columns = names.map((name) => table.columns.find((column) => column.source === name));
  const known = columns.filter((column) => column !== undefined);
  return known.length === columns.length ? known : null;
}

function refusalOf(key: SourceForeignKey, columns: readonly ColumnPlan[] | null, parent: TablePlan): string | null {
  const parentColumns = columnsOf(parent, key.parentColumns);
  if (columns === null || parentColumns === null) return "a column of it is not carried over";
  const isKey = parentColumns.length === parent.key.length && parentColumns.every((column) => parent.key.includes(column.target));
  if (columns.length !== parentColumns.length || !isKey) return "it does not refer to the parent's key";
  const unlike = columns.find((column, i) => !comparable(column, parentColumns[i]));
  return unlike === undefined ? null : `column '${unlike.target}' is ${unlike.type}, which is not compared with the parent's type`;
}

const integers = new Set(["smallint", "integer", "bigint"]);
const isText = (type: string): boolean => type === "text" || type.startsWith("character varying");

function comparable(column: ColumnPlan, parent: ColumnPlan | undefined): boolean {
  if (parent === undefined || column.conversion.kind !== parent.conversion.kind) return false;
  if (column.type === parent.type) return true;
  return (integers.has(column.type) && integers.has(parent.type)) || (isText(column.type) && isText(parent.type));
}
