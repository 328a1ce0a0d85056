/** About how many rows a table has, without reading it all: exact up to a bound, beyond it what SQLite's statistics or the rowids say. */
import { type Database, withSqliteErrors } from "../database.js";
import { quoteName } from "../quote.js";
import type { ListedColumn, ListedTable } from "./schema.js";

const countedMax = 200_000;

export function estimateRows(database: Database, table: ListedTable, columns: readonly ListedColumn[]): number {
  return withSqliteErrors(database.name, () => {
    const name = `main.${quoteName(table.name)}`;
    const counted = numberOf(database, `SELECT count(*) FROM (SELECT 1 FROM ${name} LIMIT ${countedMax})`);
    if (counted === null || counted < countedMax) return counted ?? 0;
    return Math.max(counted, byStatistics(database, table.name) ?? byRowid(database, table, columns) ?? 0);
  });
}

function byStatistics(database: Database, table: string): number | null {
  const exists = numberOf(database, "SELECT count(*) FROM main.sqlite_schema WHERE name = 'sqlite_stat1'");
  if (exists !== 1) return null;
  // The first number of each line is the number of rows when ANALYZE ran.
  return numberOf(database, "SELECT max(CAST(stat AS INTEGER)) FROM main.sqlite_stat1 WHERE tbl = ?", table);
}

/** Too high when rowids have gaps, which an estimate may be. */
function byRowid(database: Database, table: ListedTable, columns: readonly ListedColumn[]): number | null {
  const taken = new Set(columns.map((column) => column.name.toLowerCase()));
  const rowid = ["rowid", "_rowid_", "oid"].find((word) => !taken.has(word));
  if (table.withoutRowid || rowid === undefined) return null;
  const name = `main.${quoteName(table.name)}`;
  return numberOf(database, `SELECT (SELECT max(${rowid}) FROM ${name}) - (SELECT min(${rowid}) FROM ${name}) + 1`);
}

function numberOf(database: Database, sql: string, ...values: readonly string[]): number | null {
  const value: unknown = database
    .prepare(sql)
    .pluck(true)
    .get(...values);
  return typeof value === "number" ? value : null;
}
