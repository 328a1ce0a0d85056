/**
 * O1: every table holds the same rows on both sides. Reads SQLite and PostgreSQL directly and brings both to one canonical text, driven by the
 * PostgreSQL type alone; shares nothing with the mapping that it judges.
 */
import Database from "better-sqlite3";
import type { Client } from "pg";

/** Source table and column names to target names; what is absent keeps its name. A column mapped to null is not carried over. */
export interface Names {
  readonly schema?: string;
  readonly tables?: Readonly<Record<string, string>>;
  readonly columns?: Readonly<Record<string, Readonly<Record<string, string | null>>>>;
  /** Source tables to leave out, each because the pipeline names it as not captured. */
  readonly without?: readonly string[];
}
export interface Difference {
  readonly table: string;
  readonly what: string;
}

interface ColumnPair {
  readonly source: string;
  readonly target: string;
  readonly form: Form;
}
/** How both sides say the same value: SQL for PostgreSQL, and a reading of what SQLite gives. */
interface Form {
  readonly postgres: (column: string) => string;
  readonly sqlite: (cell: Cell) => string;
}
/** Storage class and exact bytes or number. */
interface Cell {
  readonly type: string;
  readonly value: bigint | number | null;
  readonly hex: string;
}

const wrong = (cell: Cell): string => `?${cell.type}:${cell.hex}`;
const floatHex = (n: number): string => {
  const bytes = Buffer.alloc(8);
  bytes.writeDoubleBE(n);
  return bytes.toString("hex");
};
const decimal = (cell: Cell): string =>
  cell.type === "integer"
    ? String(cell.value)
    : cell.type === "text"
      ? Buffer.from(cell.hex, "hex").toString()
      : plainDecimal(Number(cell.value));
const whole: Form = {
  postgres: (c) => `${c}::text`,
  sqlite: (cell) => (cell.type === "integer" ? String(cell.value) : wrong(cell)),
};
const forms: Readonly<Record<string, Form>> = {
  bigint: whole,
  integer: whole,
  smallint: whole,
  boolean: {
    postgres: (c) => `(${c}::int)::text`,
    sqlite: (cell) => (cell.type === "integer" ? String(cell.value) : wrong(cell)),
  },
  "double precision": {
    postgres: (c) => `encode(float8send(${c}), 'hex')`,
    sqlite: (cell) => (cell.type === "real" || cell.type === "integer" ? floatHex(Number(cell.value)) : wrong(cell)),
  },
  text: {
    postgres: (c) => `encode(convert_to(${c}, 'UTF8'), 'hex')`,
    sqlite: (cell) => (cell.type === "text" ? cell.hex : wrong(cell)),
  },
  bytea: {
    postgres: (c) => `encode(${c}, 'hex')`,
    sqlite: (cell) => (cell.type === "blob" || cell.type === "text" ? cell.hex : wrong(cell)),
  },
  numeric: { postgres: (c) => `trim_scale(${c})::text`, sqlite: decimal },
  // Epoch milliseconds, or a text that Date understands as UTC.
  "timestamp with time zone": {
    postgres: (c) => `((extract(epoch FROM ${c}) * 1000)::bigint)::text`,
    sqlite: (cell) => (cell.type === "integer" ? String(cell.value) : cell.type === "text" ? utcMs(cell) : wrong(cell)),
  },
  date: { postgres: (c) => `${c}::text`, sqlite: (cell) => (cell.type === "text" ? textOf(cell) : wrong(cell)) },
};

const textOf = ({ hex }: Cell): string => Buffer.from(hex, "hex").toString();
function utcMs(cell: Cell): string {
  const text = textOf(cell).replace(" ", "T");
  const ms = Date.parse(/(Z|[+-]\d\d:?\d\d)$/.test(text) ? text : `${text.length === 10 ? `${text}T00:00:00` : text}Z`);
  return Number.isNaN(ms) ? wrong(cell) : String(ms);
}

export async function differences(file: string, client: Client, names: Names = {}): Promise<readonly Difference[]> {
  const db = new Database(file, { readonly: true });
  db.defaultSafeIntegers(true);
  try {
    // One read transaction and one snapshot: each side is a single state.
    db.exec("BEGIN");
    await client.query("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY");
    const found: Difference[] = [];
    for (const table of captured(db, names)) found.push(...(await compareTable(db, client, table, names)));
    return found;
  } finally {
    await client.query("ROLLBACK");
    db.close();
  }
}

function captured(db: Database.Database, names: Names): readonly string[] {
  const tables = db
    .prepare(
      "SELECT name FROM sqlite_schema WHERE type = 'table' AND substr(name, 1, 5) <> '_cdc_' AND substr(name, 1, 7) <> 'sqlite_' ORDER BY name",
    )
    .pluck()
    .all() as string[];
  return tables.filter((name) => names.without?.includes(name) !== true);
}

async function compareTable(db: Database.Database, client: Client, table: string, names: Names): Promise<readonly Difference[]> {
  const target = `${quote(names.schema ?? "public")}.${quote(names.tables?.[table] ?? table)}`;
  const { rows: types } = await client.query<{ name: string; type: string }>(
    `SELECT attname AS name, format_type(atttypid, NULL) AS type FROM pg_attribute
      WHERE attrelid = to_regclass($1) AND attnum > 0 AND NOT attisdropped`,
    [target],
  );
  if (types.length === 0) return [{ table, what: `${target} is not there` }];
  const typeOf = new Map(types.map(({ name, type }) => [name, type]));
  const info = db.prepare(`SELECT name, pk FROM pragma_table_xinfo(?) WHERE hidden <> 1 ORDER BY cid`).all(table) as {
    name: string;
    pk: bigint;
  }[];
  const pairs: ColumnPair[] = [];
  for (const { name } of info) {
    const renamed = names.columns?.[table]?.[name];
    if (renamed === null) continue;
    const type = typeOf.get(renamed ?? name);
    if (type === undefined) return [{ table, what: `${target} has no column ${renamed ?? name}` }];
    const form = forms[type];
    if (form === undefined) throw new Error(`${table}.${name}: the oracle does not know how to compare ${type}`);
    pairs.push({ source: name, target: renamed ?? name, form });
  }
  const there = (await client.query({ text: postgresSql(target, pairs), rowMode: "array" })).rows as (string | null)[][];
  return compareRows(table, sqliteRows(db, table, pairs), there, pairs);
}

function postgresSql(target: string, pairs: readonly ColumnPair[]): string {
  return `SELECT ${pairs.map(({ target: column, form }) => form.postgres(quote(column))).join(", ")} FROM ${target}`;
}

function* sqliteRows(db: Database.Database, table: string, pairs: readonly ColumnPair[]): Generator<(string | null)[]> {
  const cells = pairs.map(({ source }) => {
    const column = quote(source);
    return `typeof(${column}), CASE WHEN typeof(${column}) IN ('integer', 'real') THEN ${column} END, hex(CAST(${column} AS BLOB))`;
  });
  for (const raw of db
    .prepare(`SELECT ${cells.join(", ")} FROM ${quote(table)}`)
    .raw()
    .iterate()) {
    const row = raw as (string | bigint | number | null)[];
    yield pairs.map(({ form }, i) => {
      const [type, value, hex] = [row[i * 3] as string, row[i * 3 + 1] as bigint | number | null, (row[i * 3 + 2] as string).toLowerCase()];
      return type === "null" ? null : form.sqlite({ type, value, hex });
    });
  }
}

/** As multisets of whole rows: needs no key, and finds a duplicate. */
function compareRows(
  table: string,
  here: Iterable<(string | null)[]>,
  there: readonly (string | null)[][],
  pairs: readonly ColumnPair[],
): readonly Difference[] {
  const count = new Map<string, number>();
  for (const row of here) bump(count, JSON.stringify(row), 1);
  for (const row of there) bump(count, JSON.stringify(row), -1);
  const differing = [...count].filter(([, n]) => n !== 0);
  if (differing.length === 0) return [];
  const shown = differing
    .slice(0, 6)
    .map(([row, n]) => `${n > 0 ? "only in the source" : "only at the target"} (${Math.abs(n)}×): ${row.slice(0, 300)}`);
  const columns = pairs.map(({ source }) => source).join(", ");
  return [{ table, what: `${differing.length} rows differ [${columns}]\n  ${shown.join("\n  ")}` }];
}

function bump(count: Map<string, number>, key: string, by: number): void {
  count.set(key, (count.get(key) ?? 0) + by);
}

/** Without an exponent: 1e21 is 1000000000000000000000. */
function plainDecimal(n: number): string {
  const [mantissa = "", exponent] = String(n).split("e");
  if (exponent === undefined) return mantissa;
  const negative = mantissa.startsWith("-");
  const [before = "", after = ""] = mantissa.replace("-", "").split(".");
  const digits = before + after;
  const point = before.length + Number(exponent);
  const text =
    point <= 0
      ? `0.${"0".repeat(-point)}${digits}`
      : point >= digits.length
        ? digits.padEnd(point, "0")
        : `${digits.slice(0, point)}.${digits.slice(point)}`;
  return negative ? `-${text}` : text;
}

const quote = (name: string): string => `"${name.replaceAll('"', '""')}"`;
