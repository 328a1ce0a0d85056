/** SQLite's own description of a table, by its table-valued pragmas. Names are bound, never put into SQL text. */
import type { Database } from "../database.js";
import { withSqliteErrors } from "../database.js";
import { isOwnTrigger } from "../own-names.js";

export interface ListedTable {
  readonly name: string;
  readonly type: "table" | "view" | "virtual" | "shadow";
  readonly withoutRowid: boolean;
  readonly strict: boolean;
}
export interface ListedColumn {
  readonly name: string;
  readonly declaredType: string;
  readonly notNull: boolean;
  readonly hasDefault: boolean;
  /** Place in the primary key from 1; 0: not in it. */
  readonly keyPlace: number;
  readonly generated: boolean;
}
export interface ListedIndex {
  readonly name: string;
  readonly unique: boolean;
  readonly isPrimaryKey: boolean;
  readonly partial: boolean;
  readonly parts: readonly {
    /** null: an expression. */
    readonly column: string | null;
    /** In upper case: SQLite takes it in any. */
    readonly collation: string;
  }[];
}
export interface ListedForeignKey {
  readonly parent: string;
  readonly columns: readonly string[];
  /** null: the parent's primary key. */
  readonly parentColumns: readonly string[] | null;
  readonly onDelete: string;
  readonly onUpdate: string;
}

/** Every table and view of the file, in the order of their names' bytes; SQLite's own are left out. */
export function listTables(database: Database): readonly ListedTable[] {
  interface Line {
    name: string;
    type: ListedTable["type"];
    wr: number;
    strict: number;
  }
  const lines = all<Line>(database, "SELECT name, type, wr, strict FROM pragma_table_list WHERE schema = 'main' ORDER BY name");
  return lines
    .filter(({ name }) => !/^sqlite_/i.test(name))
    .map(({ name, type, wr, strict }) => ({ name, type, withoutRowid: wr === 1, strict: strict === 1 }));
}

export function listColumns(database: Database, table: string): readonly ListedColumn[] {
  interface Line {
    name: string;
    type: string;
    notnull: number;
    dflt_value: string | null;
    pk: number;
    hidden: number;
  }
  const sql = `SELECT name, type, "notnull", dflt_value, pk, hidden FROM pragma_table_xinfo(?, 'main') ORDER BY cid`;
  return all<Line>(database, sql, table).map((line) => ({
    name: line.name,
    declaredType: line.type,
    notNull: line.notnull === 1,
    hasDefault: line.dflt_value !== null && line.hidden === 0,
    keyPlace: line.pk,
    generated: line.hidden === 2 || line.hidden === 3,
  }));
}

/** In the order of their names, so that a plan does not depend on the order of creation. */
export function listIndexes(database: Database, table: string): readonly ListedIndex[] {
  interface Line {
    name: string;
    unique: number;
    origin: string;
    partial: number;
  }
  interface Part {
    cid: number;
    name: string | null;
    coll: string;
  }
  const lines = all<Line>(database, `SELECT name, "unique", origin, partial FROM pragma_index_list(?, 'main') ORDER BY name`, table);
  return lines.map((line) => ({
    name: line.name,
    unique: line.unique === 1,
    isPrimaryKey: line.origin === "pk",
    partial: line.partial === 1,
    parts: all<Part>(database, "SELECT cid, name, coll FROM pragma_index_xinfo(?, 'main') WHERE key = 1 ORDER BY seqno", line.name).map(
      (part) => ({ column: part.cid < 0 ? null : part.name, collation: part.coll.toUpperCase() }),
    ),
  }));
}

export function listForeignKeys(database: Database, table: string): readonly ListedForeignKey[] {
  interface Line {
    id: number;
    table: string;
    from: string;
    to: string | null;
    on_update: string;
    on_delete: string;
  }
  const sql = `SELECT id, "table", "from", "to", on_update, on_delete FROM pragma_foreign_key_list(?, 'main') ORDER BY id DESC, seq`;
  const byId = new Map<number, Line[]>();
  for (const line of all<Line>(database, sql, table)) byId.set(line.id, [...(byId.get(line.id) ?? []), line]);
  return [...byId.values()].flatMap((lines): readonly ListedForeignKey[] => {
    const [first] = lines;
    if (first === undefined) return [];
    const parentColumns = lines.map((line) => line.to).filter((name) => name !== null);
    return [
      {
        parent: first.table,
        columns: lines.map((line) => line.from),
        parentColumns: parentColumns.length === lines.length ? parentColumns : null,
        onDelete: first.on_delete,
        onUpdate: first.on_update,
      },
    ];
  });
}

/** Triggers that are not ours. */
export function listTriggers(database: Database, table: string): readonly string[] {
  const sql = `SELECT name FROM main.sqlite_schema WHERE type = 'trigger' AND tbl_name = ? COLLATE NOCASE ORDER BY name`;
  return all<{ name: string }>(database, sql, table)
    .map(({ name }) => name)
    .filter((name) => !isOwnTrigger(name));
}

export function hasCheck(database: Database, table: string): boolean {
  const [line] = all<{ sql: string }>(database, "SELECT sql FROM main.sqlite_schema WHERE type = 'table' AND name = ?", table);
  return line !== undefined && /\bCHECK\s*\(/i.test(line.sql);
}

function all<Line>(database: Database, sql: string, ...values: readonly string[]): readonly Line[] {
  return withSqliteErrors(database.name, () => database.prepare<unknown[], Line>(sql).all(...values));
}
