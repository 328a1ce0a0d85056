/**
 * Which tables of the file can be captured exactly, and what they look like. Reads the schema and a handful of rows of each table; writes
 * nothing.
 *
 * The storage classes of a description are those of the first and last rows in key order; a column without values there gets the class its
 * declaration leads to. They are a beginning: the capture adds what it sees, the profile knows all.
 */
import type { SourceCatalog, SourceForeignKey, SourceIndex, SourceTable } from "../../../core/contracts/source.js";
import type { ErrorCode } from "../../../core/error-catalogue.js";
import { storageClassOf } from "../../../core/mapping/storage-class.js";
import { affinityOf } from "../../../core/plan/default-types.js";
import { type GroupId, schemaVersion, type TableId, tableId } from "../../../core/vocabulary/ids.js";
import type { ColumnDescription, StorageClass, TableDescription } from "../../../core/vocabulary/table.js";
import type { Database } from "../database.js";
import { isOwnTable } from "../own-names.js";
import { estimateRows } from "./estimate.js";
import { readPage } from "./pages.js";
import {
  hasCheck,
  type ListedColumn,
  type ListedIndex,
  type ListedTable,
  listColumns,
  listForeignKeys,
  listIndexes,
  listTables,
  listTriggers,
} from "./schema.js";
import { usableKey } from "./usable-key.js";

type Inspected =
  | { readonly kind: "table"; readonly table: SourceTable }
  | { readonly kind: "refused"; readonly table: TableId; readonly code: ErrorCode; readonly reason: string };

/** SQLite's limit on columns, less those of the capture log that are not values of the row. */
export const loggedColumnsMax = 2_000 - 4;

export function readCatalogue(database: Database, group: GroupId): SourceCatalog {
  const listed = listTables(database).filter((table) => table.type !== "view" && !isOwnTable(table.name));
  const inspected = listed.map((table) => inspectTable(database, group, table, listed));
  return {
    tables: inspected.flatMap((one) => (one.kind === "table" ? [one.table] : [])),
    refused: inspected.flatMap((one) => (one.kind === "refused" ? [{ table: one.table, code: one.code, reason: one.reason }] : [])),
  };
}

function inspectTable(database: Database, group: GroupId, table: ListedTable, listed: readonly ListedTable[]): Inspected {
  const refuse = (code: ErrorCode, reason: string): Inspected => ({ kind: "refused", table: tableId(table.name), code, reason });
  if (table.type === "virtual") return refuse("table.virtual", "it is a virtual table, which fires no triggers");
  if (table.type === "shadow") return refuse("table.virtual", "it is the shadow table of a virtual table");
  if (/^_cdc_/i.test(table.name)) return refuse("table.reserved", "its name begins with _cdc_");
  const columns = listColumns(database, table.name);
  const indexes = listIndexes(database, table.name);
  const key = usableKey(database, { table, columns, indexes });
  if (key.kind === "refused") return refuse(key.code, key.reason);
  if (columns.length + key.columns.length > loggedColumnsMax) {
    return refuse("table.too-wide", `it has ${columns.length} columns, and with its key the capture log takes ${loggedColumnsMax}`);
  }
  const [first, ...others] = key.columns.map((name) => columns.findIndex((column) => column.name === name));
  const bare: TableDescription = {
    table: tableId(table.name),
    group,
    schema: schemaVersion(1),
    columns: columns.map((column) => describeColumn(column, [])),
    key: [first ?? 0, ...others],
  };
  const secondary = indexes.filter((index) => index.name !== key.index);
  return {
    kind: "table",
    table: {
      description: { ...bare, columns: withClasses(database, bare, columns) },
      rowsEstimated: estimateRows(database, table, columns),
      uniques: secondary.filter((index) => index.unique).map(describeIndex),
      indexes: secondary.filter((index) => !index.unique).map(describeIndex),
      foreignKeys: describeForeignKeys(database, table.name, columns, listed),
      notes: notesOn(database, table.name, columns),
    },
  };
}

function describeColumn(column: ListedColumn, classes: readonly StorageClass[]): ColumnDescription {
  return {
    name: column.name,
    declaredType: column.declaredType,
    nullable: !column.notNull,
    generated: column.generated,
    classes,
  };
}

const sampledRows = 100;

function withClasses(database: Database, table: TableDescription, columns: readonly ListedColumn[]): readonly ColumnDescription[] {
  const rows = (["ascending", "descending"] as const).flatMap((direction) =>
    readPage(database, table, { after: null, limit: sampledRows, direction }),
  );
  return columns.map((column, i) => {
    const seen = new Set(rows.map((row) => storageClassOf(row[i] ?? null)).filter((storage) => storage !== null));
    return describeColumn(column, seen.size > 0 ? [...seen].sort() : declaredClasses(column.declaredType));
  });
}

function declaredClasses(declaredType: string): readonly StorageClass[] {
  if (declaredType === "") return [];
  const affinity = affinityOf(declaredType);
  // What NUMERIC columns hold (dates, JSON, money) cannot be told from the declaration.
  return affinity === "numeric" ? [] : [affinity];
}

const describeIndex = (index: ListedIndex): SourceIndex => {
  const columns = index.parts.flatMap((part) => (part.column === null ? [] : [part.column]));
  return {
    name: index.name,
    columns: columns.length === index.parts.length ? columns : null,
    partial: index.partial,
    collated: index.parts.some((part) => part.collation !== "BINARY"),
  };
};

/** SQLite takes names in any case; here they are as their table spells them. */
function describeForeignKeys(
  database: Database,
  table: string,
  columns: readonly ListedColumn[],
  listed: readonly ListedTable[],
): readonly SourceForeignKey[] {
  return listForeignKeys(database, table).map((key): SourceForeignKey => {
    const parent = listed.find((candidate) => sameName(candidate.name, key.parent))?.name ?? key.parent;
    const parentListed = listColumns(database, parent);
    const primary = parentListed.filter((column) => column.keyPlace > 0).sort((a, b) => a.keyPlace - b.keyPlace);
    return {
      columns: key.columns.map((name) => spelled(name, columns)),
      parent: tableId(parent),
      parentColumns: (key.parentColumns ?? primary.map((column) => column.name)).map((name) => spelled(name, parentListed)),
      onDelete: key.onDelete,
      onUpdate: key.onUpdate,
    };
  });
}

const sameName = (a: string, b: string): boolean => a === b || a.toLowerCase() === b.toLowerCase();
const spelled = (name: string, columns: readonly ListedColumn[]): string =>
  columns.find((column) => sameName(column.name, name))?.name ?? name;

function notesOn(database: Database, table: string, columns: readonly ListedColumn[]): readonly string[] {
  const triggers = listTriggers(database, table);
  const generated = columns.filter((column) => column.generated);
  const defaults = columns.filter((column) => column.hasDefault);
  return [
    ...(triggers.length === 0 ? [] : [`The table has triggers of its own, which stay at the source: ${triggers.join(", ")}`]),
    ...(generated.length === 0
      ? []
      : [`Generated columns arrive as plain columns with their values: ${generated.map((column) => column.name).join(", ")}`]),
    ...(defaults.length === 0 ? [] : [`Default values of ${defaults.length} columns are not carried over`]),
    ...(hasCheck(database, table) ? ["CHECK constraints are not carried over"] : []),
  ];
}
