/** DuckDB's own description of the file that is attached as `src`. */
import type { Database } from "../engine/database.js";

export interface ListedTable {
  readonly schema: string;
  readonly name: string;
  readonly rows: number;
  readonly sql: string;
  readonly comment: string | null;
}
export interface ListedColumn {
  readonly name: string;
  readonly type: string;
  readonly nullable: boolean;
  readonly defaultText: string | null;
  readonly comment: string | null;
}
export interface ListedConstraint {
  readonly kind: "PRIMARY KEY" | "UNIQUE" | "CHECK" | "FOREIGN KEY" | "NOT NULL";
  readonly name: string;
  readonly columns: readonly string[];
  readonly text: string;
  readonly parent: string | null;
  readonly parentColumns: readonly string[];
}
export interface ListedIndex {
  readonly name: string;
  readonly unique: boolean;
  /** As DuckDB prints them: names, quoted where needed, or expressions in parentheses. */
  readonly terms: readonly string[];
}
export interface ListedView {
  readonly schema: string;
  readonly name: string;
  readonly sql: string;
}
export interface ListedSequence {
  readonly name: string;
  readonly start: bigint;
  readonly increment: bigint;
  readonly min: bigint;
  readonly max: bigint;
  readonly cycle: boolean;
  readonly last: bigint | null;
}
export interface ListedMacro {
  readonly schema: string;
  readonly name: string;
  readonly kind: string;
}
export interface ListedSchema {
  readonly tables: readonly ListedTable[];
  /** All of these by `"schema"."table"`. */
  readonly columns: ReadonlyMap<string, readonly ListedColumn[]>;
  readonly constraints: ReadonlyMap<string, readonly ListedConstraint[]>;
  readonly indexes: ReadonlyMap<string, readonly ListedIndex[]>;
  readonly views: readonly ListedView[];
  readonly sequences: readonly ListedSequence[];
  readonly macros: readonly ListedMacro[];
}

export const placeOf = (schema: string, name: string): string => JSON.stringify([schema, name]);

export async function listSchema(database: Database): Promise<ListedSchema> {
  return {
    tables: await listTables(database),
    columns: await listColumns(database),
    constraints: await listConstraints(database),
    indexes: await listIndexes(database),
    views: await database.rows<{ schema: string; name: string; sql: string }>(
      "SELECT schema_name AS schema, view_name AS name, sql FROM duckdb_views() WHERE database_name = 'src' AND NOT internal ORDER BY 1, 2",
    ),
    sequences: await listSequences(database),
    macros: await database.rows<{ schema: string; name: string; kind: string }>(
      `SELECT DISTINCT schema_name AS schema, function_name AS name, function_type AS kind FROM duckdb_functions()
       WHERE database_name = 'src' AND NOT internal ORDER BY 1, 2`,
    ),
  };
}

/** Ours, in a file that was a target: nobody's to be carried over. */
const ownTables: ReadonlySet<string> = new Set(["_cdc_applied", "_cdc_plan"]);

async function listTables(database: Database): Promise<readonly ListedTable[]> {
  const rows = await database.rows<{ schema: string; name: string; rows: bigint; sql: string; comment: string | null }>(
    `SELECT schema_name AS schema, table_name AS name, estimated_size AS rows, sql, comment
     FROM duckdb_tables() WHERE database_name = 'src' AND NOT internal AND NOT temporary ORDER BY schema_name, table_name`,
  );
  return rows.filter(({ name }) => !ownTables.has(name)).map((row) => ({ ...row, rows: Number(row.rows) }));
}

async function listColumns(database: Database): Promise<ListedSchema["columns"]> {
  const rows = await database.rows<{
    schema: string;
    table: string;
    name: string;
    type: string;
    nullable: boolean;
    default_text: string | null;
    comment: string | null;
  }>(
    `SELECT schema_name AS schema, table_name AS "table", column_name AS name, data_type AS type, is_nullable AS nullable,
       column_default AS default_text, comment
     FROM duckdb_columns() WHERE database_name = 'src' AND NOT internal ORDER BY schema_name, table_name, column_index`,
  );
  return grouped(rows, ({ name, type, nullable, default_text, comment }) => ({ name, type, nullable, defaultText: default_text, comment }));
}

async function listConstraints(database: Database): Promise<ListedSchema["constraints"]> {
  const rows = await database.rows<{
    schema: string;
    table: string;
    kind: ListedConstraint["kind"];
    name: string;
    columns: string;
    text: string;
    parent: string | null;
    parent_columns: string | null;
  }>(
    `SELECT schema_name AS schema, table_name AS "table", constraint_type AS kind, coalesce(constraint_name, '') AS name,
       to_json(constraint_column_names)::VARCHAR AS columns, coalesce(constraint_text, '') AS text, referenced_table AS parent,
       to_json(referenced_column_names)::VARCHAR AS parent_columns
     FROM duckdb_constraints() WHERE database_name = 'src' ORDER BY schema_name, table_name, constraint_index`,
  );
  return grouped(rows, ({ kind, name, columns, text, parent, parent_columns }) => ({
    kind,
    name,
    columns: namesIn(columns),
    text,
    parent: parent === "" ? null : parent,
    parentColumns: namesIn(parent_columns),
  }));
}

async function listIndexes(database: Database): Promise<ListedSchema["indexes"]> {
  const rows = await database.rows<{ schema: string; table: string; name: string; unique: boolean; terms: string }>(
    `SELECT schema_name AS schema, table_name AS "table", index_name AS name, is_unique AS "unique", expressions AS terms
     FROM duckdb_indexes() WHERE database_name = 'src' AND NOT is_primary ORDER BY schema_name, table_name, index_name`,
  );
  return grouped(rows, ({ name, unique, terms }) => ({ name, unique, terms: splitTerms(terms) }));
}

async function listSequences(database: Database): Promise<readonly ListedSequence[]> {
  const rows = await database.rows<Omit<ListedSequence, never> & Record<string, string | bigint | boolean | null>>(
    `SELECT sequence_name AS name, start_value AS start, increment_by AS increment, min_value AS min, max_value AS max, cycle, last_value AS last
     FROM duckdb_sequences() WHERE database_name = 'src' AND NOT temporary ORDER BY sequence_name`,
  );
  return rows;
}

/** `[a, '"b c"', '(x + 1)']`: the outermost list, its items without the quotes that the list's own text adds. */
export function splitTerms(list: string): readonly string[] {
  const terms: string[] = [];
  const token = /'((?:[^']|'')*)'|((?:\([^()]*(?:\([^()]*\)[^()]*)*\)|"(?:[^"]|"")*"|[^,'[\]])+)/g;
  for (const [, quoted, plain] of list.slice(1, -1).matchAll(token)) {
    const term = (quoted?.replaceAll("''", "'") ?? plain ?? "").trim();
    if (term !== "") terms.push(term);
  }
  return terms;
}

/** null: not the name of a column. */
export function columnOfTerm(term: string, columns: readonly string[]): string | null {
  const name = term.startsWith('"') && term.endsWith('"') ? term.slice(1, -1).replaceAll('""', '"') : term;
  return columns.find((column) => column === name) ?? null;
}

function namesIn(json: string | null): readonly string[] {
  return json === null ? [] : (JSON.parse(json) as readonly string[]);
}

function grouped<Row extends { readonly schema: string; readonly table: string }, T>(
  rows: readonly Row[],
  read: (row: Row) => T,
): ReadonlyMap<string, readonly T[]> {
  const found = new Map<string, T[]>();
  for (const row of rows) {
    const place = placeOf(row.schema, row.table);
    found.set(place, [...(found.get(place) ?? []), read(row)]);
  }
  return found;
}
