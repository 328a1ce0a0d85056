/** What the capture of one table depends on, read from the catalogue. When any of it changes, the triggers must be made anew. */
import { foldCase } from "../../core/plan/names.js";
import type { Database } from "./database.js";
import { quoteName, quoteText } from "./quote.js";
import type { SchemaLook } from "./schema-look.js";

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
export function readTableFacts(database: Database, look: SchemaLook, name: string): TableFacts | null {
  const sql = look.sqlOf(name);
  if (sql === null) return null;
  const columns = database.pragma(`table_xinfo(${quoteName(name)})`) as ColumnRow[];
  const names = new Set(columns.map((column) => foldCase(column.name)));
  const indexes = (database.pragma(`index_list(${quoteName(name)})`) as IndexRow[]).toSorted((a, b) => (a.name < b.name ? -1 : 1));
  return {
    name,
    sql,
    columns: columns.map((c) => ({
      name: c.name,
      type: c.type,
      notNull: c.notnull !== 0 || c.pk !== 0,
      generated: c.hidden === 2 || c.hidden === 3,
      defaultText: c.dflt_value === null ? null : piecesOf(c.dflt_value, noColumns).join(""),
    })),
    rowid: look.isWithoutRowid(name) ? null : rowidName(columns, indexes),
    uniques: indexes.filter((index) => index.unique === 1).map((index) => uniqueIndex(database, look, names, index)),
    // Children that follow a change run before our AFTER trigger, and their own triggers may write back.
    logsCurrentRow: look.triggersOn(name).length > 0 || look.isFollowed(name),
  };
}

function rowidName(columns: readonly ColumnRow[], indexes: readonly IndexRow[]): string | null {
  const hasAlias = columns.some((c) => c.pk !== 0) && !indexes.some((index) => index.origin === "pk");
  if (hasAlias) return null;
  const taken = new Set(columns.map((c) => c.name.toLowerCase()));
  return ["rowid", "_rowid_", "oid"].find((name) => !taken.has(name)) ?? null;
}

function uniqueIndex(database: Database, look: SchemaLook, columns: ReadonlySet<string>, index: IndexRow): UniqueIndex {
  const rows = (database.pragma(`index_xinfo(${quoteName(index.name)})`) as IndexColumnRow[]).filter((row) => row.key === 1);
  const { expressions, condition } = readIndex(look.sqlOfIndex(index.name) ?? "", columns);
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
function readIndex(sql: string, columns: ReadonlySet<string>): { readonly expressions: readonly string[]; readonly condition: string } {
  const found: string[] = [];
  let depth = 0;
  let text = "";
  let isBehind = false;
  for (const piece of piecesOf(sql, columns)) {
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

const noColumns: ReadonlySet<string> = new Set();
const pieces = /--[^\n]*|\/\*[\s\S]*?\*\/|'(?:[^']|'')*'|"(?:[^"]|"")*"|`(?:[^`]|``)*`|\[[^\]]*\]|[\s\S]/g;

/**
 * SQL in pieces: what is quoted, comments, and single characters. What is in double quotes and names no column is a text to SQLite, if its library was
 * built like that: it is written as one, which every library understands.
 */
const piecesOf = (sql: string, columns: ReadonlySet<string>): readonly string[] =>
  [...sql.matchAll(pieces)].map(([piece]) => (piece.startsWith('"') ? nameOrText(piece, columns) : piece));

function nameOrText(quoted: string, columns: ReadonlySet<string>): string {
  const name = quoted.slice(1, -1).replaceAll('""', '"');
  return columns.has(foldCase(name)) ? quoted : quoteText(name);
}

const trimTerm = (text: string): string => text.trim().replace(/\s+(asc|desc)$/i, "");
