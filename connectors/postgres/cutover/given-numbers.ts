/** The highest numbers that PostgreSQL has given to new rows: rows that are gone count, so what goes on elsewhere must be told. */
import type { GivenNumber } from "../../../core/contracts/cutover.js";
import type { TablePlan } from "../../../core/contracts/plan.js";
import type { Connection } from "../connection.js";
import { qualified } from "../quote.js";

export async function readGivenNumbers(connection: Connection, tables: readonly TablePlan[]): Promise<readonly GivenNumber[]> {
  const columns = tables.flatMap(({ source, target, columns: all }) =>
    all.flatMap((column) =>
      column.source !== null && ["smallint", "integer", "bigint"].includes(column.type)
        ? [{ table: source, column: column.source, on: qualified(target), target: column.target }]
        : [],
    ),
  );
  const rows = await connection.rows<{ n: number; last: string | null }>(
    `SELECT w.n::int AS n, pg_sequence_last_value(s.name::regclass)::text AS last
     FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS w (on_table, column_name, n),
       LATERAL (SELECT pg_get_serial_sequence(w.on_table, w.column_name) AS name) AS s
     WHERE s.name IS NOT NULL`,
    [columns.map(({ on }) => on), columns.map(({ target }) => target)],
  );
  return rows.flatMap(({ n, last }): readonly GivenNumber[] => {
    const column = columns[n - 1];
    return column === undefined || last === null ? [] : [{ table: column.table, column: column.column, highest: BigInt(last) }];
  });
}
