/** DDL of a target table: what can be said from the plan alone, and what the plan must not say. */
import type { ColumnPlan, TablePlan, TargetPlan } from "../../core/contracts/plan.js";
import { TailraceError } from "../../core/errors.js";
import { parseType } from "../../core/mapping/postgres-type.js";
import { columnFault, nameFault, schemaFault } from "../../core/plan/names.js";
import { qualified, quoteName, quoteNames } from "./quote.js";

const columnsMax = 1600;

/** Text of keys compares by bytes, as the source compares it: ranges of a chunk mean the same rows on both sides. */
export const comparesByBytes = (type: string): boolean => /^(text|character varying|character|bpchar)\b/.test(type);

/** No index but the key's and no foreign key: those are built when the snapshot is in. Room on each page keeps updates on it. */
export function createTable(table: TablePlan): string {
  const columns = table.columns.map((column) => `  ${columnDefinition(table, column)}`);
  const key = `  PRIMARY KEY (${quoteNames(table.key)})`;
  return `CREATE TABLE ${qualified(table.target)} (\n${[...columns, key].join(",\n")}\n) WITH (fillfactor = 90)`;
}

function columnDefinition(table: TablePlan, column: ColumnPlan): string {
  const isKey = table.key.includes(column.target);
  const collation = isKey && comparesByBytes(column.type) ? ' COLLATE "C"' : "";
  return `${quoteName(column.target)} ${column.type}${collation}${isKey || !column.nullable ? " NOT NULL" : ""}`;
}

/** What can be refused without asking the server. PostgreSQL itself would cut a long name without a word. */
export function refuseFaults(plan: TargetPlan): void {
  const taken = new Map<string, TablePlan>();
  for (const table of plan.tables) {
    const name = qualified(table.target);
    const where = { table: table.source, target: name };
    const fault = schemaFault(table.target.schema) ?? nameFault(table.target.name);
    if (fault !== null) throw new TailraceError("table.name", { what: `The name ${name} cannot be used: ${fault}`, where });
    if (taken.has(name)) throw new TailraceError("plan.refused", { what: `Two tables of the plan are written to ${name}`, where });
    taken.set(name, table);
    refuseColumnFaults(table, where);
  }
}

function refuseColumnFaults(table: TablePlan, where: Readonly<Record<string, string>>): void {
  if (table.columns.length > columnsMax) {
    throw new TailraceError("table.too-wide", { what: `${table.columns.length} columns; PostgreSQL has at most ${columnsMax}`, where });
  }
  for (const column of table.columns) {
    const fault = columnFault(column.target);
    if (fault !== null) throw refused(`The column name '${column.target}' cannot be used: ${fault}`, { ...where, column: column.target });
    // The type's text goes into DDL as it is.
    if (parseType(column.type) === null) throw refused(`'${column.type}' has not the form of a type`, { ...where, column: column.target });
  }
  for (const name of [...table.indexes, ...table.foreignKeys].map((object) => object.name)) {
    const fault = nameFault(name);
    if (fault !== null) throw refused(`The name '${name}' cannot be used: ${fault}`, where);
  }
}

const refused = (what: string, where: Readonly<Record<string, string>>): TailraceError =>
  new TailraceError("plan.refused", { what, where });
