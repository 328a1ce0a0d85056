/** What the capture of one table depends on, read from the catalogue. When any of it changes, the triggers must be made anew. */
import type { Database } from "./database.js";
import { isOwnTrigger } from "./own-names.js";
import { quoteName } from "./quote.js";

export interface ColumnFacts {
  readonly name: string;
  readonly type: string;
  readonly notNull: boolean;
  readonly generated: boolean;
  readonly defaultText: string | null;
}
/** One column or expression of a unique index. */
export interface UniqueTerm {
  readonly column: string | null;
  /** Text of the expression; "" for a column. */
  readonly expression: string;
  readonly collation: string;
}
export interface UniqueIndex {
  readonly terms: readonly UniqueTerm[];
  /** WHERE of a partial index; null: every row is in it. */
  readonly condition: string | null;
}
export interface TableFacts {
  readonly name: string;
  readonly sql: string;
  readonly columns: readonly ColumnFacts[];
  /** Name under which the rowid can be reached, when rows can collide by it without the key: no WITHOUT ROWID, no INTEGER PRIMARY KEY. */
  readonly rowid: string | null;
  readonly uniques: readonly UniqueIndex[];
  /** Something else may change a row between a write and our trigger: log the row as it is, not as it was written. */
  readonly logsCurrentRow: boolean;
}

interface IndexRow {
  readonly name: string;
  readonly unique: number;
  readonly origin: string;
  readonly partial: number;
}
interface IndexColumnRow {
  readonly seqno: number;
  readonly name: string | null;
  readonly cid: number;
  readonly coll: string;
  readonly key: number;
}
interface ColumnRow {
  readonly name: string;
  readonly type: string;
  readonly notnull: number;
  readonly dflt_value: string | null;
  readonly pk: number;
  readonly hidden: number;
}

/** null: there is no such table. */
export function readTableFacts(database: Database, name: string): TableFacts | null {
  const sql = database.prepare("SELECT sql FROM sqlite_master WHERE type = 'table' AND name = ?").pluck().get(name);
  if (typeof sql !== "string") return null;
  const columns = database.pragma(`table_xinfo(${quoteName(name)})`) as ColumnRow[];
  const indexes = (database.pragma(`index_list(${quoteName(name)})`) as IndexRow[]).toSorted((a, b) => (a.name < b.name ? -1 : 1));
  return {
    name,
    sql,
    columns: columns.map((c) => ({
      name: c.name,
      type: c.type,
      notNull: c.notnull !== 0 || c.pk !== 0,
      generated: c.hidden === 2 || c.hidden === 3,
      defaultText: c.dflt_value,
    })),
    rowid: rowidName(database, name, columns, indexes),
    uniques: indexes.filter((index) => index.unique === 1).map((index) => uniqueIndex(database, index)),
    logsCurrentRow: foreignTriggers(database, name).length > 0 || hasFollowingChildren(database, name),
  };
}

/** Triggers of the application on this table, oldest first. */
export function foreignTriggers(
  database: Database,
  table: string,
): readonly { readonly name: string; readonly sql: string; readonly age: number }[] {
  const all = database
    .prepare(
      "SELECT name, coalesce(sql, '') AS sql, rowid AS age FROM sqlite_master WHERE type = 'trigger' AND tbl_name = ? COLLATE NOCASE ORDER BY rowid",
    )
    .all(table) as { name: string; sql: string; age: number }[];
  return all.filter(({ name }) => !isOwnTrigger(name));
}

/**
 * Children that follow a change of this table by a foreign key action run before our AFTER trigger, and their own triggers may write back.
 */
function hasFollowingChildren(database: Database, table: string): boolean {
  return (
    database
      .prepare(
        `SELECT count(*) FROM sqlite_master m, pragma_foreign_key_list(m.name) f
         WHERE m.type = 'table' AND f."table" = ? COLLATE NOCASE
           AND (f.on_update NOT IN ('NO ACTION', 'RESTRICT') OR f.on_delete NOT IN ('NO ACTION', 'RESTRICT'))`,
      )
      .pluck()
      .get(table) !== 0
  );
}

function rowidName(database: Database, table: string, columns: readonly ColumnRow[], indexes: readonly IndexRow[]): string | null {
  const { wr } = database.prepare("SELECT wr FROM pragma_table_list WHERE schema = 'main' AND name = ?").get(table) as { wr: number };
  const hasAlias = columns.some((c) => c.pk !== 0) && !indexes.some((index) => index.origin === "pk");
  if (wr === 1 || hasAlias) return null;
  const taken = new Set(columns.map((c) => c.name.toLowerCase()));
  return ["rowid", "_rowid_", "oid"].find((name) => !taken.has(name)) ?? null;
}

function uniqueIndex(database: Database, index: IndexRow): UniqueIndex {
  const rows = (database.pragma(`index_xinfo(${quoteName(index.name)})`) as IndexColumnRow[]).filter((row) => row.key === 1);
  const sql = database.prepare("SELECT sql FROM sqlite_master WHERE type = 'index' AND name = ?").pluck().get(index.name);
  const { expressions, condition } = readIndex(typeof sql === "string" ? sql : "");
  return {
    terms: rows.map((row) => ({
      column: row.name,
      expression: row.cid === -2 ? (expressions[row.seqno] ?? "") : "",
      collation: row.coll,
    })),
    condition: index.partial === 1 ? condition : null,
  };
}

/** What stands in the first parentheses of a CREATE INDEX, without ASC and DESC, and behind its WHERE. Quotes and comments are stepped over. */
function readIndex(sql: string): { readonly expressions: readonly string[]; readonly condition: string } {
  const found: string[] = [];
  let depth = 0;
  let text = "";
  let isBehind = false;
  const token = /--[^\n]*|\/\*[\s\S]*?\*\/|'(?:[^']|'')*'|"(?:[^"]|"")*"|`(?:[^`]|``)*`|\[[^\]]*\]|[\s\S]/g;
  for (const [piece] of sql.matchAll(token)) {
    if (piece.startsWith("--") || piece.startsWith("/*")) {
      text += " ";
      continue;
    }
    if (!isBehind && piece === ")") depth--;
    if (!isBehind && ((piece === "," && depth === 1) || (piece === ")" && depth === 0))) {
      found.push(trimTerm(text));
      text = "";
      isBehind = piece === ")";
    } else if (isBehind || depth > 0) {
      text += piece;
    }
    if (!isBehind && piece === "(") depth++;
  }
  return {
    expressions: found,
    condition: isBehind
      ? text
          .trim()
          .replace(/^where\b/i, "")
          .trim()
      : "",
  };
}

const trimTerm = (text: string): string => text.trim().replace(/\s+(asc|desc)$/i, "");
