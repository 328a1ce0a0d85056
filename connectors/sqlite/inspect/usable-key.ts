/**
 * The key by which a table's rows are known: the primary key, else a unique index, in both cases only if it tells every row apart and sorts
 * by bytes. A table without one is refused with the reason.
 */
import type { ErrorCode } from "../../../core/error-catalogue.js";
import { type Database, withSqliteErrors } from "../database.js";
import { quoteName } from "../quote.js";
import type { ListedColumn, ListedIndex, ListedTable } from "./schema.js";

export type UsableKey =
  /** `index`: the index that holds it; null for a rowid alias, which has none. */
  | { readonly kind: "key"; readonly columns: readonly [string, ...string[]]; readonly index: string | null }
  | { readonly kind: "refused"; readonly code: ErrorCode; readonly reason: string };

export interface KeyRequest {
  readonly table: ListedTable;
  readonly columns: readonly ListedColumn[];
  readonly indexes: readonly ListedIndex[];
}

export function usableKey(database: Database, request: KeyRequest): UsableKey {
  const primary = primaryKey(database, request);
  if (primary !== null && primary.kind === "key") return primary;
  return uniqueKey(database, request) ?? primary ?? noKey;
}

const noKey: UsableKey = {
  kind: "refused",
  code: "table.no-key",
  reason: "it has no primary key and no unique index over NOT NULL columns that compare by bytes",
};

/** Null: the table has none. */
function primaryKey(database: Database, { table, columns, indexes }: KeyRequest): UsableKey | null {
  const parts = columns.filter((column) => column.keyPlace > 0).sort((a, b) => a.keyPlace - b.keyPlace);
  const [first, ...others] = parts.map((column) => column.name);
  if (first === undefined) return null;
  const names: readonly [string, ...string[]] = [first, ...others];
  const index = indexes.find((candidate) => candidate.isPrimaryKey);
  // A rowid alias has no index, is never NULL and knows no collation.
  if (index === undefined) return { kind: "key", columns: names, index: null };
  const collated = index.parts.find((part) => part.collation !== "BINARY");
  if (collated !== undefined) return keyCollation(collated.column ?? "", collated.collation);
  for (const name of names) {
    const own = ownCollation(database, table.name, name);
    if (own !== "BINARY") return keyCollation(name, own);
  }
  const nullable = table.withoutRowid ? [] : parts.filter((column) => !column.notNull).map((column) => column.name);
  if (nullable.length > 0 && hasNull(database, table.name, nullable)) {
    return { kind: "refused", code: "table.null-key", reason: `it has rows with NULL in its primary key (${nullable.join(", ")})` };
  }
  return { kind: "key", columns: names, index: index.name };
}

const keyCollation = (column: string, collation: string): UsableKey => ({
  kind: "refused",
  code: "table.key-collation",
  reason: `its key column '${column}' compares by ${collation}, not by bytes`,
});

/**
 * By which a column is compared where no index is asked: another collation than its index's then finds other rows, and in another order. No pragma
 * tells it; the program of a comparison does.
 */
function ownCollation(database: Database, table: string, column: string): string {
  interface Instruction {
    readonly opcode: string;
    readonly p4: string | null;
  }
  const sql = `EXPLAIN SELECT ${quoteName(column)} < 'x' FROM main.${quoteName(table)}`;
  const program = withSqliteErrors(database.name, () => database.prepare<unknown[], Instruction>(sql).all());
  const comparison = program.find(({ opcode, p4 }) => /^(?:Lt|Ge|Gt|Le)$/.test(opcode) && p4 !== null);
  return comparison?.p4?.replace(/-\d+$/, "").toUpperCase() ?? "an unknown collation";
}

/** A primary key other than a rowid alias may hold NULL, any number of times: an old fault of SQLite that is kept. */
function hasNull(database: Database, table: string, columns: readonly string[]): boolean {
  const condition = columns.map((name) => `${quoteName(name)} IS NULL`).join(" OR ");
  const sql = `SELECT 1 FROM main.${quoteName(table)} WHERE ${condition} LIMIT 1`;
  return withSqliteErrors(database.name, () => database.prepare(sql).get() !== undefined);
}

/** The one with the fewest columns; of several the first by name. */
function uniqueKey(database: Database, { table, columns, indexes }: KeyRequest): UsableKey | null {
  const isBinary = (column: string): boolean => ownCollation(database, table.name, column) === "BINARY";
  const notNull = new Set(columns.filter((column) => column.notNull).map((column) => column.name));
  const usable = indexes
    .filter((index) => index.unique && !index.partial)
    .filter((index) =>
      index.parts.every((part) => part.column !== null && notNull.has(part.column) && part.collation === "BINARY" && isBinary(part.column)),
    )
    .sort((a, b) => a.parts.length - b.parts.length);
  const [best] = usable;
  const [first, ...others] = best?.parts.flatMap((part) => (part.column === null ? [] : [part.column])) ?? [];
  return best === undefined || first === undefined ? null : { kind: "key", columns: [first, ...others], index: best.name };
}
