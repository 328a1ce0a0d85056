/**
 * Every row and every value of the inventory on both sides, after the application has stopped. Knows nothing of the mapping: it asks DuckDB and
 * PostgreSQL for texts that both print alike, and compares the tables as multisets.
 */
import { Connection } from "../../connectors/postgres/connection.js";
import { parseConnectionUrl } from "../../connectors/postgres/connection-url.js";
import type { Secret } from "../../core/secret.js";
import type { TableComparison } from "./compare.js";
import { openStock, stockTables } from "./stock-database.js";

/** As DuckDB and as PostgreSQL print a row; NULL is a tilde. */
const rowsOf: Readonly<Record<(typeof stockTables)[number], readonly (readonly [duckdb: string, postgres: string])[]>> = {
  shops: [same("code"), same("name"), same("opened"), ["place.city", "place->>'city'"], ["place.floor", "place->>'floor'"]],
  products: [
    ...["id", "name", "price", "class", "code"].map(same),
    [
      "array_to_string(tags, ',')",
      "(SELECT string_agg(t, ',' ORDER BY n) FROM jsonb_array_elements_text(tags) WITH ORDINALITY AS u(t, n))",
    ],
    ["lower(hex(weight::BIT::BLOB))", "encode(float8send(weight), 'hex')"],
  ],
  stock: [
    ...["shop", "product", "pieces"].map(same),
    ["CASE WHEN isfinite(expires) THEN epoch_us(expires)::VARCHAR ELSE 'infinity' END", microseconds("expires")],
  ],
  movements: [...["id", "giver", "taker", "product", "pieces"].map(same), ["epoch_us(made)", microseconds("made")]],
  sales: ["shop", "product", "sold", "at_hour", "paid"].map(same),
};

function same(column: string): readonly [string, string] {
  return [column, column];
}
function microseconds(column: string): string {
  return `CASE WHEN isfinite(${column}) THEN (extract(epoch FROM ${column}) * 1000000)::bigint::text ELSE 'infinity' END`;
}

export async function compareStock(path: string, url: Secret): Promise<readonly TableComparison[]> {
  await using connection = await Connection.open(parseConnectionUrl(url.reveal()), {
    applicationName: "tailrace demo compare",
    pipelined: false,
  });
  // Its application has ended: now the file may be opened.
  await using database = await openStock(path, `${path}.spill`);
  const comparisons: TableComparison[] = [];
  for (const table of stockTables) {
    const texts = rowsOf[table];
    const ours = texts.map(([duckdb]) => `coalesce((${duckdb})::VARCHAR, '~')`).join(" || '|' || ");
    const theirs = texts.map(([, postgres]) => `coalesce((${postgres})::text, '~')`).join(" || '|' || ");
    const source = await database.rows<{ row: string }>(`SELECT ${ours} AS row FROM ${table}`);
    const target = await connection.rows<{ row: string }>(`SELECT ${theirs} AS row FROM public.${table}`);
    comparisons.push({ table, sourceRows: source.length, targetRows: target.length, different: differing(source, target) });
  }
  return comparisons;
}

function differing(source: readonly { readonly row: string }[], target: readonly { readonly row: string }[]): number {
  const counts = new Map<string, number>();
  for (const { row } of source) counts.set(row, (counts.get(row) ?? 0) + 1);
  for (const { row } of target) counts.set(row, (counts.get(row) ?? 0) - 1);
  return [...counts.values()].reduce((sum, n) => sum + Math.abs(n), 0);
}
