/** What the tests of SQLite as a target share: reading a table without any code of the connector. */
import type { TablePlan } from "../../../core/contracts/plan.js";
import type { SourceFile } from "../../support/sqlite.js";

const quoted = (name: string): string => `"${name.replaceAll('"', '""')}"`;

export function readRows(file: SourceFile, table: TablePlan): (string | null)[][] {
  const columns = table.columns.map((column) => `CAST(${quoted(column.target)} AS TEXT)`).join(", ");
  const order = table.key.map(quoted).join(", ");
  const sql = `SELECT ${columns} FROM ${quoted(table.target.name)} ORDER BY ${order}`;
  return file.application().prepare(sql).raw().all() as (string | null)[][];
}
