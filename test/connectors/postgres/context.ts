/** What the tests of this connector share: reading a table without any code of the connector. */
import type { TablePlan } from "../../../core/contracts/plan.js";
import type { TestDatabase } from "../../support/postgres.js";

const quoted = (name: string): string => `"${name.replaceAll('"', '""')}"`;

export async function readRows(database: TestDatabase, table: TablePlan): Promise<(string | null)[][]> {
  const columns = table.columns.map((column, i) => `${quoted(column.target)}::text AS c${i}`).join(", ");
  const order = table.key.map((column) => `t.${quoted(column)}`).join(", ");
  const rows = await database.query<Record<string, string | null>>(
    `SELECT ${columns} FROM ${quoted(table.target.schema)}.${quoted(table.target.name)} AS t ORDER BY ${order}`,
  );
  return rows.map((row) => Object.values(row));
}
