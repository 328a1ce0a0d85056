/**
 * Every row and every value of the shop on both sides, after the application has stopped. Knows nothing of the mapping: it reads SQLite and
 * PostgreSQL and decides by itself what the same value looks like on each.
 */
import { Connection } from "../../connectors/postgres/connection.js";
import { parseConnectionUrl } from "../../connectors/postgres/connection-url.js";
import { type Database, openDatabase } from "../../connectors/sqlite/database.js";
import { quoteName } from "../../connectors/sqlite/quote.js";
import type { Secret } from "../../core/secret.js";
import { shopTables } from "./shop-database.js";

export interface TableComparison {
  readonly table: string;
  readonly sourceRows: number;
  readonly targetRows: number;
  readonly different: number;
}

const keys: Readonly<Record<(typeof shopTables)[number], readonly string[]>> = {
  customers: ["id"],
  orders: ["id"],
  order_lines: ["order_id", "line"],
  payments: ["reference"],
  transfers: ["id"],
};

type Cell = string | number | bigint | Buffer | null;

export async function compareShop(path: string, url: Secret): Promise<readonly TableComparison[]> {
  await using connection = await Connection.open(parseConnectionUrl(url.reveal()), {
    applicationName: "tailrace demo compare",
    pipelined: false,
  });
  const database = openDatabase(path, { readonly: true });
  try {
    const comparisons: TableComparison[] = [];
    for (const table of shopTables) comparisons.push(await compareTable(database, connection, table));
    return comparisons;
  } finally {
    database.close();
  }
}

async function compareTable(database: Database, connection: Connection, table: (typeof shopTables)[number]): Promise<TableComparison> {
  const columns = database.prepare(`SELECT name FROM pragma_table_info('${table}') ORDER BY cid`).pluck().all() as string[];
  const types = await typesOf(connection, table, columns);
  const keyAt = keys[table].map((name) => columns.indexOf(name));
  const target = await targetRows(connection, table, columns, keyAt);
  const targetCount = target.size;
  let sourceRows = 0;
  let different = 0;
  const rows = database
    .prepare(`SELECT ${columns.map(quoteName).join(", ")} FROM ${table}`)
    .safeIntegers()
    .raw()
    .iterate() as Iterable<readonly Cell[]>;
  for (const row of rows) {
    sourceRows += 1;
    const key = keyText(keyAt.map((i) => String(row[i] ?? "")));
    const other = target.get(key);
    target.delete(key);
    if (other === undefined || !row.every((cell, i) => same(cell, other[i] ?? null, types[i] ?? ""))) different += 1;
  }
  return { table, sourceRows, targetRows: targetCount, different: different + target.size };
}

const keyText = (parts: readonly string[]): string => parts.join("\u0000");

async function targetRows(
  connection: Connection,
  table: string,
  columns: readonly string[],
  keyAt: readonly number[],
): Promise<Map<string, readonly (string | null)[]>> {
  const list = columns.map((name) => `${quoteName(name)}::text`).join(", ");
  const rows = await connection.rows<{ cells: (string | null)[] }>(`SELECT ARRAY[${list}] AS cells FROM public.${table}`);
  return new Map(rows.map(({ cells }) => [keyText(keyAt.map((i) => cells[i] ?? "")), cells]));
}

async function typesOf(connection: Connection, table: string, columns: readonly string[]): Promise<readonly string[]> {
  const rows = await connection.rows<{ name: string; type: string }>(
    "SELECT attname::text AS name, format_type(atttypid, atttypmod) AS type FROM pg_attribute WHERE attrelid = $1::regclass AND attnum > 0 AND NOT attisdropped",
    [`public.${table}`],
  );
  return columns.map((name) => rows.find((row) => row.name === name)?.type ?? "");
}

function same(source: Cell, target: string | null, type: string): boolean {
  if (source === null || target === null) return source === target;
  if (type === "boolean") return (target === "true" || target === "t") === (source === 1n);
  if (type === "json" || type === "jsonb") return canonicalJson(String(source)) === canonicalJson(target);
  if (typeof source === "bigint") return target === String(source);
  if (typeof source === "number") return Object.is(Number(target), source);
  if (typeof source === "string") return target === source;
  return target === `\\x${source.toString("hex")}`;
}

function canonicalJson(text: string): string {
  return JSON.stringify(JSON.parse(text), (_, value: unknown) =>
    typeof value === "object" && value !== null && !Array.isArray(value)
      ? Object.fromEntries(Object.entries(value).toSorted(([a], [b]) => (a < b ? -1 : 1)))
      : value,
  );
}
