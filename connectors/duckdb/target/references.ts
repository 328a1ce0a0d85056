/**
 * Foreign keys of the file, asked once more at the end of a window, about what the window touched. DuckDB's own answer is not enough: what a transaction
 * has deleted is still in the index that it asks, so a child of a parent that is gone is let in.
 */
import { TailraceError } from "../../../core/errors.js";
import { quoteName, tableName } from "../duck-table.js";
import type { Database } from "../engine/database.js";
import type { ListedConstraint, ListedSchema } from "../inspect/schema.js";
import { referenceName } from "./constraint-errors.js";
import type { StageSql } from "./stage.js";

export interface Touched {
  readonly schema: string;
  readonly name: string;
  readonly sql: StageSql;
  /** Rows of it went. */
  readonly hasRemoved: boolean;
  /** Columns in which some row changed. */
  readonly changed: readonly string[];
}

export async function refuseBrokenReferences(
  database: Database,
  { tables, constraints }: ListedSchema,
  touched: readonly Touched[],
): Promise<void> {
  for (const child of tables) {
    const listed = constraints.get(JSON.stringify([child.schema, child.name])) ?? [];
    for (const key of listed.filter(({ kind }) => kind === "FOREIGN KEY")) {
      // References never leave their schema.
      const parent = touched.find(({ schema, name }) => schema === child.schema && name === key.parent);
      const staged = touched.find(({ schema, name }) => schema === child.schema && name === child.name);
      // Where what children point to went or became another, all of them are asked.
      const isFreed = parent !== undefined && (parent.hasRemoved || key.parentColumns.some((name) => parent.changed.includes(name)));
      if (!isFreed && staged === undefined) continue;
      const some = isFreed || staged === undefined ? "" : `JOIN ${staged.sql.staged("c")}`;
      const [found] = await database.rows<{ n: bigint }>(
        `SELECT count(*) AS n FROM (SELECT 1 FROM ${full(child)} AS c ${some} WHERE ${isBroken(key, child.schema)} LIMIT 1)`,
      );
      if ((found?.n ?? 0n) === 0n) continue;
      const name = tableName(child.schema, child.name);
      throw new TailraceError("target.constraint", {
        what: `A row of '${name}' would point to a row of '${key.parent ?? ""}' that is not there`,
        where: { table: name, constraint: referenceName(name, key) },
      });
    }
  }
}

function isBroken({ columns, parent, parentColumns }: ListedConstraint, schema: string): string {
  const given = columns.map((column) => `c.${quoteName(column)} IS NOT NULL`);
  const found = columns.map((column, i) => `p.${quoteName(parentColumns[i] ?? "")} = c.${quoteName(column)}`);
  const parentTable = full({ schema, name: parent ?? "" });
  return `${given.join(" AND ")} AND NOT EXISTS (SELECT 1 FROM ${parentTable} AS p WHERE ${found.join(" AND ")})`;
}

const full = ({ schema, name }: { readonly schema: string; readonly name: string }): string =>
  `src.${quoteName(schema)}.${quoteName(name)}`;
