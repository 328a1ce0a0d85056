/** Are the captured tables of a copy as they were when they were installed? */
import { TailraceError } from "../../../core/errors.js";
import { type DuckTable, rowKeyColumn } from "../duck-table.js";
import { isGenerated } from "../generated-columns.js";
import type { Database } from "./database.js";

/** Labels of an ENUM may be added; nothing of ours depends on them. */
export const comparableType = (declared: string): string => (declared.startsWith("ENUM(") ? "ENUM" : declared);

export async function checkShapes(database: Database, tables: readonly DuckTable[]): Promise<void> {
  const rows = await database.rows<{ schema_name: string; table_name: string; column_name: string; data_type: string; sql: string }>(
    `SELECT c.schema_name, c.table_name, c.column_name, c.data_type, t.sql FROM duckdb_columns() AS c
     JOIN duckdb_tables() AS t ON t.table_oid = c.table_oid AND t.database_oid = c.database_oid
     WHERE c.database_name = 'src' AND NOT c.internal ORDER BY c.column_index`,
  );
  const found = new Map<string, Map<string, string>>();
  for (const row of rows) {
    if (isGenerated(row.sql, row.column_name)) continue;
    const name = JSON.stringify([row.schema_name, row.table_name]);
    const columns = found.get(name) ?? new Map<string, string>();
    columns.set(row.column_name, comparableType(row.data_type));
    found.set(name, columns);
  }
  for (const table of tables) {
    const { schema, name, description } = table;
    const columns = found.get(JSON.stringify([schema, name]));
    const fault = columns === undefined ? "it is gone" : differenceOf(table, columns);
    if (fault === null) continue;
    throw new TailraceError("source.schema-changed", {
      what: `Table '${description.table}' is not as it was installed: ${fault}`,
      where: { table: description.table },
    });
  }
}

function differenceOf({ description }: DuckTable, found: ReadonlyMap<string, string>): string | null {
  const known = description.columns.filter(({ name }) => name !== rowKeyColumn);
  for (const { name, declaredType } of known) {
    const type = found.get(name);
    if (type === undefined) return `column '${name}' is gone`;
    if (type !== comparableType(declaredType)) return `column '${name}' is ${type} and was ${declaredType}`;
  }
  const extra = [...found.keys()].find((name) => !known.some((column) => column.name === name));
  return extra === undefined ? null : `column '${extra}' is new`;
}
