/**
 * Rows of a table in key order, page by page. Each page is one short read transaction, so that the application's WAL can be checkpointed
 * between two of them; what changes in between may or may not be seen.
 */
import { keyOf, type TableDescription } from "../../../core/vocabulary/table.js";
import { isRawText, type Key, type Row, type Value } from "../../../core/vocabulary/value.js";
import { type Database, withSqliteErrors } from "../database.js";
import { quoteName } from "../quote.js";

export type Direction = "ascending" | "descending";

export function* pagesOf(database: Database, table: TableDescription, rowsPerPage: number): Generator<readonly Row[]> {
  let after: Key | null = null;
  for (;;) {
    const page: readonly Row[] = readPage(database, table, { after, limit: rowsPerPage, direction: "ascending" });
    const last = page.at(-1);
    if (last === undefined) return;
    yield page;
    if (page.length < rowsPerPage) return;
    after = keyOf(table, last);
  }
}

export interface PageRequest {
  readonly after: Key | null;
  readonly limit: number;
  readonly direction: Direction;
}

export function readPage(database: Database, table: TableDescription, request: PageRequest): readonly Row[] {
  return withSqliteErrors(database.name, () =>
    database.transaction((): readonly Row[] => {
      const rows = select(database, table, request, (name) => name);
      return rows.some(hasReplacement) ? withRawText(database, table, request, rows) : rows;
    })(),
  );
}

function select(database: Database, table: TableDescription, request: PageRequest, read: (column: string) => string): readonly Row[] {
  const keyNames = table.key.map((i) => quoteName(table.columns[i]?.name ?? ""));
  const columns = table.columns.map((column) => read(quoteName(column.name))).join(", ");
  const bound = request.after === null ? null : bindKey(request.after);
  const operator = request.direction === "ascending" ? ">" : "<";
  const where = bound === null ? "" : ` WHERE ${tuple(keyNames)} ${operator} ${tuple(bound.map((part) => part.sql))}`;
  const order = keyNames.map((name) => (request.direction === "ascending" ? name : `${name} DESC`)).join(", ");
  const sql = `SELECT ${columns} FROM main.${quoteName(table.table)}${where} ORDER BY ${order} LIMIT ?`;
  const values = bound === null ? [] : bound.map((part) => part.value);
  const statement = database.prepare<unknown[], Row>(sql).raw(true).safeIntegers(true);
  return statement.all(...values, request.limit);
}

const tuple = (parts: readonly string[]): string => (parts.length === 1 ? (parts[0] ?? "") : `(${parts.join(", ")})`);

/**
 * Text that is not UTF-8 can only be bound as its bytes. The unary plus takes the affinity off the cast again: an untyped key column
 * would otherwise have its numbers compared as text.
 */
const bindKey = (key: Key): readonly { readonly sql: string; readonly value: unknown }[] =>
  key.map((value) => (isRawText(value) ? { sql: "+CAST(? AS TEXT)", value: value.rawText } : { sql: "?", value }));

const replacement = "\ufffd";
const hasReplacement = (row: Row): boolean => row.some((value) => typeof value === "string" && value.includes(replacement));

/** A U+FFFD is either itself or the sign that the driver could not decode a byte: the same page is read again as bytes to tell them apart. */
function withRawText(database: Database, table: TableDescription, request: PageRequest, rows: readonly Row[]): readonly Row[] {
  const bytes = select(database, table, request, (name) => `CAST(${name} AS BLOB)`);
  return rows.map((row, i) => row.map((value, column) => exactText(value, bytes[i]?.[column] ?? null)));
}

function exactText(value: Value, bytes: Value): Value {
  if (typeof value !== "string" || !value.includes(replacement) || !(bytes instanceof Uint8Array)) return value;
  return Buffer.from(value, "utf8").equals(bytes) ? value : { rawText: bytes };
}
