/** One captured table, and the SQL fragments that everything else is made of. */
import { TailraceError } from "../../core/errors.js";
import type { TableDescription } from "../../core/vocabulary/table.js";
import { type ColumnType, columnType } from "./column-type.js";

export interface DuckTable {
  /** Its name in our own state; never given to another table. */
  readonly number: number;
  readonly schema: string;
  readonly name: string;
  readonly description: TableDescription;
  /**
   * `rows`: the table has no key. Each row gets one made of its values and, where a row is there several times, of its number among its likes:
   * then a table is the same multiset exactly when it has the same keys.
   */
  readonly mode: "keyed" | "rows";
}

/** Column of the target that holds the key of a table in mode `rows`. */
export const rowKeyColumn = "_tailrace_row";
export const rowKeyType = "UUID";

export const quoteName = (name: string): string => `"${name.replaceAll('"', '""')}"`;
export const quoteText = (text: string): string => `'${text.replaceAll("'", "''")}'`;

/** As settings, topics and messages name it: without the schema when that is the default one. */
export const tableName = (schema: string, name: string): string => (schema === "main" ? name : `${schema}.${name}`);

export interface TableSql {
  /** What a copy attached as `src` has of it, with the key column that it may lack; to stand behind FROM. */
  readonly relation: string;
  readonly keys: readonly KeySql[];
  /** A row's number in the relation, the same for as long as its row group is not written anew; null: it has none, or none that can be asked for. */
  readonly place: string | null;
  /** JSON array of all columns of a relation with this alias. */
  readonly row: (alias: string) => string;
  /** JSON array of key columns `k0`, `k1`, … of a relation with this alias. */
  readonly key: (alias: string) => string;
  /** Two hashes of 64 bits, as columns `h` and `g`. */
  readonly hashes: string;
  /** About how many bytes a row takes as JSON. */
  readonly bytes: string;
}
export interface KeySql {
  /** Of the relation. */
  readonly expression: string;
  readonly type: ColumnType;
}

export function tableSql(table: DuckTable): TableSql {
  const columns = table.description.columns.map(({ name, declaredType }) => ({
    name: quoteName(name),
    type: typeOf(table, name, declaredType),
  }));
  const keys = table.description.key.map((i): KeySql => {
    const column = columns[i];
    if (column === undefined) throw new Error("a key column is not there");
    return { expression: column.type.keyed(column.name), type: column.type };
  });
  const all = columns.flatMap(({ name, type }) => type.hashed(name)).join(", ");
  const reversed = columns
    .flatMap(({ name, type }) => type.hashed(name))
    .reverse()
    .join(", ");
  const stored = `src.${quoteName(table.schema)}.${quoteName(table.name)}`;
  const own = columns.filter(({ name }) => name !== quoteName(rowKeyColumn));
  return {
    relation: table.mode === "keyed" ? stored : withRowKeys(stored, own.map(({ name, type }) => type.json(name)).join(", ")),
    keys,
    place: table.mode === "rows" || columns.some(({ name }) => name.toLowerCase() === '"rowid"') ? null : "rowid",
    row: (alias) => `json_array(${columns.map(({ name, type }) => type.json(`${alias}.${name}`)).join(", ")})`,
    key: (alias) => `json_array(${keys.map(({ type }, i) => type.json(`${alias}.k${i}`)).join(", ")})`,
    // In mode `rows` the key says everything.
    hashes: table.mode === "keyed" ? `hash(${all}) AS h, hash('second', ${reversed}) AS g` : "0::UBIGINT AS h, 0::UBIGINT AS g",
    bytes: [
      String(fewBytes * columns.length),
      ...columns.flatMap(({ name, type }) => (type.bytes === null ? [] : [`coalesce(${type.bytes(name)}, 0)`])),
    ].join(" + "),
  };
}

/** Of a value that has no bytes of its own. */
const fewBytes = 16;

function withRowKeys(stored: string, json: string): string {
  return `(SELECT * EXCLUDE (_tailrace_m, _tailrace_n),
    CAST(CASE WHEN _tailrace_n = 1 THEN _tailrace_m ELSE md5(_tailrace_m || ':' || _tailrace_n) END AS UUID) AS ${quoteName(rowKeyColumn)}
    FROM (SELECT *, row_number() OVER (PARTITION BY _tailrace_m) AS _tailrace_n FROM (SELECT *, md5(json_array(${json})::VARCHAR) AS _tailrace_m FROM ${stored})))`;
}

function typeOf(table: DuckTable, column: string, declared: string): ColumnType {
  const type = columnType(declared);
  if (type !== null) return type;
  throw new TailraceError("table.type", {
    what: `Column '${column}' has the type ${declared}`,
    where: { table: table.description.table, column, type: declared },
  });
}

/** SQL literals of a key's parts, of the key columns' types; from texts that `keyPartText` made. */
export function textLiterals(table: DuckTable, texts: readonly string[]): readonly string[] {
  return tableSql(table).keys.map(({ type: { fromText } }, i) => {
    if (fromText === null) throw new Error("a column of this type cannot be a key");
    return fromText(quoteText(texts[i] ?? ""));
  });
}

/** SQL: columns beyond a bound, part by part, the first one alone once more: by it row groups are left out. `last`: what the last part is compared by. */
export function beyond(
  columns: readonly string[],
  bound: readonly string[],
  { than, last }: { readonly than: "<" | ">"; readonly last: "<=" | ">" },
): string {
  const pairs = columns.map((column, i) => [column, bound[i] ?? "NULL"] as const);
  const [[first, least] = ["NULL", "NULL"]] = pairs;
  const tie = pairs.reduceRight<string | null>((rest, [column, literal]) => {
    return rest === null ? `${column} ${last} ${literal}` : `(${column} ${than} ${literal} OR (${column} = ${literal} AND ${rest}))`;
  }, null);
  return pairs.length === 1 ? (tie ?? "true") : `${first} ${than}= ${least} AND ${tie ?? "true"}`;
}

/** Changes when the stored hashes or keys could mean something else. */
export const signatureOf = ({ mode, description }: DuckTable): string =>
  JSON.stringify([2, mode, description.columns.map(({ name, declaredType }) => [name, declaredType]), description.key]);

/** `k0, k1, …`, each with this in front. */
export const keyColumns = (table: DuckTable, prefix = ""): string => table.description.key.map((_, i) => `${prefix}k${i}`).join(", ");
export const sameKey = (table: DuckTable, a: string, b: string): string =>
  table.description.key.map((_, i) => `${a}.k${i} = ${b}.k${i}`).join(" AND ");
/** The same beside a table's own columns, whose names may be anything but this. */
export const joinedKeys = (keys: readonly KeySql[]): string =>
  keys.map(({ expression }, i) => `${expression} AS _tailrace_k${i}`).join(", ");
export const sameJoinedKey = (table: DuckTable, a: string, b: string): string =>
  table.description.key.map((_, i) => `${a}.k${i} = ${b}._tailrace_k${i}`).join(" AND ");
