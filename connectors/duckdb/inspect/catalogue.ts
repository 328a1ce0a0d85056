/** The source's tables as a plan needs them. What is not carried over is said, each with its reason. */
import type { SourceCatalog, SourceForeignKey, SourceIndex, SourceTable } from "../../../core/contracts/source.js";
import type { ErrorCode } from "../../../core/error-catalogue.js";
import { type GroupId, schemaVersion, tableId } from "../../../core/vocabulary/ids.js";
import type { ColumnDescription } from "../../../core/vocabulary/table.js";
import { columnType } from "../column-type.js";
import { rowKeyColumn, rowKeyType, tableName } from "../duck-table.js";
import { isGenerated } from "../generated-columns.js";
import { besideOf } from "./beside.js";
import { columnOfTerm, type ListedColumn, type ListedSchema, type ListedTable, placeOf } from "./schema.js";

export interface CatalogueOptions {
  readonly group: GroupId;
  /** Keys that the settings declare, by table; they have been looked at and are keys. */
  readonly declaredKeys: ReadonlyMap<string, readonly string[]>;
}

type Entry =
  | { readonly kind: "table"; readonly table: SourceTable }
  | { readonly kind: "refused"; readonly refusal: SourceCatalog["refused"][number] };

export function catalogueOf(schema: ListedSchema, options: CatalogueOptions): SourceCatalog {
  const entries = schema.tables.map((table) => entryOf(table, schema, options));
  return {
    tables: entries.flatMap((entry) => (entry.kind === "table" ? [entry.table] : [])),
    refused: entries.flatMap((entry) => (entry.kind === "refused" ? [entry.refusal] : [])),
    beside: besideOf(schema),
  };
}

function entryOf(table: ListedTable, schema: ListedSchema, options: CatalogueOptions): Entry {
  const name = tableName(table.schema, table.name);
  const place = placeOf(table.schema, table.name);
  const refuse = (code: ErrorCode, reason: string): Entry => ({ kind: "refused", refusal: { table: tableId(name), code, reason } });
  if (table.name.includes(".") || table.schema.includes("."))
    return refuse("table.name", "its name, or that of its schema, has a dot in it");
  const listed = schema.columns.get(place) ?? [];
  const generated = listed.filter((column) => isGenerated(table.sql, column.name));
  const stored = listed.filter((column) => !generated.includes(column));
  const untyped = stored.find(({ type }) => columnType(type) === null);
  if (untyped !== undefined) return refuse("table.type", `its column '${untyped.name}' is of type ${untyped.type}`);
  if (stored.some((column) => column.name === rowKeyColumn))
    return refuse("table.reserved", `it has a column '${rowKeyColumn}', which is ours`);
  const chosen = chooseKey(table, stored, schema, options.declaredKeys.get(name));
  const columns = stored.map((column) => describe(column, chosen.columns));
  const withKey = chosen.columns.length > 0 ? columns : [...columns, rowKey];
  const names = withKey.map((column) => column.name);
  const [first = names.length - 1, ...others] = chosen.columns.map((column) => names.indexOf(column));
  return {
    kind: "table",
    table: {
      description: { table: tableId(name), group: options.group, schema: schemaVersion(1), columns: withKey, key: [first, ...others] },
      rowsEstimated: table.rows,
      ...indexesOf(place, schema, stored, chosen.columns),
      foreignKeys: foreignKeysOf(table, schema),
      notes: [...chosen.notes, ...notesOf(table, schema, stored, generated)],
    },
  };
}

const rowKey: ColumnDescription = {
  name: rowKeyColumn,
  declaredType: rowKeyType,
  nullable: false,
  generated: false,
  classes: ["text"],
};

function describe({ name, type, nullable }: ListedColumn, key: readonly string[]): ColumnDescription {
  const storage = columnType(type)?.storage ?? "text";
  return { name, declaredType: type, nullable: nullable && !key.includes(name), generated: false, classes: [storage] };
}

interface ChosenKey {
  /** Empty: none, rows are known by their values. */
  readonly columns: readonly string[];
  readonly notes: readonly string[];
}

/** Declared in the settings, else the primary key, else the first UNIQUE over columns that are NOT NULL. */
function chooseKey(
  table: ListedTable,
  columns: readonly ListedColumn[],
  schema: ListedSchema,
  declared: readonly string[] | undefined,
): ChosenKey {
  if (declared !== undefined) return { columns: declared, notes: [`Its key is the one that the settings declare: ${declared.join(", ")}`] };
  const place = placeOf(table.schema, table.name);
  const constraints = schema.constraints.get(place) ?? [];
  const names = columns.map(({ name }) => name);
  const notNull = new Set(columns.filter(({ nullable }) => !nullable).map(({ name }) => name));
  const candidates = [
    ...constraints.filter(({ kind }) => kind === "PRIMARY KEY").map((c) => c.columns),
    ...constraints.filter(({ kind }) => kind === "UNIQUE").map((c) => c.columns),
    ...(schema.indexes.get(place) ?? [])
      .filter(({ unique }) => unique)
      .map(({ terms }) => terms.map((term) => columnOfTerm(term, names) ?? "")),
  ];
  const usable = candidates.find((key) => key.length > 0 && key.every((name) => notNull.has(name) && isKeyColumn(table, columns, name)));
  if (usable !== undefined) return { columns: usable, notes: [] };
  const why =
    candidates.length === 0
      ? "It has no key"
      : "Its key holds NULL, or a type or collation that does not tell keys apart as the target does";
  return {
    columns: [],
    notes: [
      `${why}: rows are known by their values, in a column '${rowKeyColumn}' at the target; a changed row is a deleted and a new one`,
    ],
  };
}

export function isKeyColumn(table: ListedTable, columns: readonly ListedColumn[], name: string): boolean {
  const column = columns.find((candidate) => candidate.name === name);
  const type = column === undefined ? null : columnType(column.type);
  // Only the table's text says that a column compares other than by bytes.
  return type !== null && type.fromText !== null && !(type.storage === "text" && /\bCOLLATE\b/i.test(table.sql));
}

function indexesOf(
  place: string,
  schema: ListedSchema,
  columns: readonly ListedColumn[],
  key: readonly string[],
): Pick<SourceTable, "uniques" | "indexes"> {
  const names = columns.map(({ name }) => name);
  const uniques = (schema.constraints.get(place) ?? [])
    .filter(({ kind, columns: of }) => (kind === "UNIQUE" || kind === "PRIMARY KEY") && of.join("\0") !== key.join("\0"))
    .map((constraint): SourceIndex => ({ name: constraint.name, columns: constraint.columns, partial: false, collated: false }));
  const all = (schema.indexes.get(place) ?? []).map(({ name, unique, terms }) => {
    const found = terms.map((term) => columnOfTerm(term, names));
    const known = found.filter((column) => column !== null);
    return { unique, index: { name, columns: known.length === found.length ? known : null, partial: false, collated: false } };
  });
  return {
    uniques: [
      ...uniques,
      ...all.filter(({ unique, index }) => unique && index.columns?.join("\0") !== key.join("\0")).map(({ index }) => index),
    ],
    indexes: all.filter(({ unique }) => !unique).map(({ index }) => index),
  };
}

function foreignKeysOf(table: ListedTable, schema: ListedSchema): readonly SourceForeignKey[] {
  return (schema.constraints.get(placeOf(table.schema, table.name)) ?? []).flatMap((constraint): readonly SourceForeignKey[] => {
    if (constraint.kind !== "FOREIGN KEY" || constraint.parent === null) return [];
    const parent = tableId(tableName(table.schema, constraint.parent));
    return [{ columns: constraint.columns, parent, parentColumns: constraint.parentColumns, onDelete: "NO ACTION", onUpdate: "NO ACTION" }];
  });
}

function notesOf(
  table: ListedTable,
  schema: ListedSchema,
  columns: readonly ListedColumn[],
  generated: readonly ListedColumn[],
): readonly string[] {
  const constraints = schema.constraints.get(placeOf(table.schema, table.name)) ?? [];
  const defaults = columns.filter(({ defaultText }) => defaultText !== null);
  const comments = [table.comment, ...columns.map(({ comment }) => comment)].filter((text) => text !== null).length;
  return [
    ...generated.map(({ name }) => `Column '${name}' is generated and not stored: it is left out`),
    ...defaults.map(
      ({ name, defaultText }) =>
        `The default of column '${name}' (${defaultText ?? ""}) is not carried over: the application does not write there yet`,
    ),
    ...constraints.filter(({ kind }) => kind === "CHECK").map(({ text }) => `Not carried over: ${text}`),
    ...(comments === 0 ? [] : [`${comments} comments of the table and its columns are not carried over`]),
  ];
}
