/**
 * What is made of each DuckDB type: how a value travels out of the engine (JSON, exact), what it is for us, how it is hashed, and what it becomes
 * at the target. One table, so that snapshot, comparison, plan and verifier cannot disagree.
 *
 * hash() of DuckDB takes some different values for equal ones: NULL, [] and [NULL]; {a: NULL} and NULL; one month and thirty days; two zones of
 * one moment. Types that have such values are hashed by their texts.
 */
import type { Conversion } from "../../core/contracts/plan.js";
import type { StorageClass } from "../../core/vocabulary/table.js";
import type { Value } from "../../core/vocabulary/value.js";

export type Json = string | number | boolean | null;

export interface ColumnType {
  readonly storage: StorageClass;
  /** SQL of a JSON value; `c` is a column, quoted. */
  readonly json: (c: string) => string;
  readonly value: (json: Exclude<Json, null>) => Value;
  /** SQL of the values whose hashes tell two values apart. */
  readonly hashed: (c: string) => readonly string[];
  readonly target: { readonly type: string; readonly conversion: Conversion };
  /** SQL that makes the key part of a text that `keyText` made; null: values of the type cannot be keys. */
  readonly fromText: ((text: string) => string) | null;
  /** Key columns are stored and compared as this. */
  readonly keyed: (c: string) => string;
  /** SQL of about how many bytes a value takes as JSON; null: few. */
  readonly bytes: ((c: string) => string) | null;
}

const asIs: Conversion = { kind: "as-is" };
const same = (c: string): string => c;
const itself = (c: string): readonly string[] => [c];
const text = (c: string): string => `${c}::VARCHAR`;
const asText = (json: Exclude<Json, null>): Value => String(json);
const asBigInt = (json: Exclude<Json, null>): Value => BigInt(json);

interface Base extends Partial<ColumnType> {
  readonly storage: StorageClass;
}
function type(name: string, target: string, base: Base, conversion: Conversion = asIs): ColumnType {
  return {
    json: text,
    value: asText,
    hashed: itself,
    target: { type: target, conversion },
    fromText: (said) => `CAST(${said} AS ${name})`,
    keyed: same,
    bytes: null,
    ...base,
  };
}

const small = (name: string, target: string): ColumnType => type(name, target, { storage: "integer", json: same, value: asBigInt });
const exact = (name: string, target: string): ColumnType => type(name, target, { storage: "decimal" });
const textBytes = (c: string): string => `strlen(${text(c)})`;
const byText = (name: string, target: string): ColumnType =>
  type(name, target, { storage: "text", hashed: (c) => [text(c)], fromText: null, bytes: textBytes });

const largest64 = "9223372036854775807";
/** Infinite ones have no distance from 1970; they travel as the number that DuckDB itself stores for them. */
function counted(finite: (c: string) => string, largest: string): (c: string) => string {
  return (c) =>
    `CASE WHEN ${c} IS NULL THEN NULL WHEN isfinite(${c}) THEN (${finite(c)})::VARCHAR WHEN ${c} > 'epoch' THEN '${largest}' ELSE '-${largest}' END`;
}
function moment(name: string, target: string, micros: (c: string) => string): ColumnType {
  return type(
    name,
    target,
    {
      storage: "integer",
      json: counted(micros, largest64),
      value: asBigInt,
      fromText: (said) =>
        `CASE ${said} WHEN '${largest64}' THEN 'infinity'::${name} WHEN '-${largest64}' THEN '-infinity'::${name} ELSE make_timestamp(${said}::BIGINT)::${name} END`,
    },
    { kind: "counted", unit: "us" },
  );
}

const words: Readonly<Record<string, number>> = { nan: Number.NaN, inf: Number.POSITIVE_INFINITY, "-inf": Number.NEGATIVE_INFINITY };
const floating = (name: string, target: string): ColumnType =>
  type(name, target, {
    storage: "real",
    // By way of DOUBLE, whose text reads back as the same number; that of a FLOAT is one of its decimal neighbours.
    json: (c) => `${c}::DOUBLE::VARCHAR`,
    value: (json) => words[String(json)] ?? Number(json),
    fromText: null,
  });

const plainTimestamp = "TIMESTAMP";
const types: ReadonlyMap<string, ColumnType> = new Map([
  ["BOOLEAN", type("BOOLEAN", "boolean", { storage: "boolean", json: same, value: (json) => json === true })],
  ["TINYINT", small("TINYINT", "smallint")],
  ["SMALLINT", small("SMALLINT", "smallint")],
  ["UTINYINT", small("UTINYINT", "smallint")],
  ["USMALLINT", small("USMALLINT", "integer")],
  ["INTEGER", small("INTEGER", "integer")],
  ["UINTEGER", small("UINTEGER", "bigint")],
  ["BIGINT", type("BIGINT", "bigint", { storage: "integer", value: asBigInt })],
  ["UBIGINT", exact("UBIGINT", "numeric(20,0)")],
  ["HUGEINT", exact("HUGEINT", "numeric(39,0)")],
  ["UHUGEINT", exact("UHUGEINT", "numeric(39,0)")],
  ["BIGNUM", type("BIGNUM", "numeric", { storage: "decimal", hashed: (c) => [text(c)], fromText: null, bytes: textBytes })],
  ["FLOAT", floating("FLOAT", "real")],
  ["DOUBLE", floating("DOUBLE", "double precision")],
  ["VARCHAR", type("VARCHAR", "text", { storage: "text", json: same, bytes: textBytes })],
  ["BLOB", blobType()],
  ["BIT", byText("BIT", "bit varying")],
  ["UUID", type("UUID", "uuid", { storage: "text" })],
  ["DATE", dateType()],
  ["TIME", type("TIME", "time without time zone", { storage: "text", fromText: null })],
  ["TIME_NS", byText("TIME_NS", "text")],
  ["TIME WITH TIME ZONE", byText("TIMETZ", "time with time zone")],
  ["TIMESTAMP", moment(plainTimestamp, "timestamp without time zone", (c) => `epoch_us(${c})`)],
  ["TIMESTAMP_S", moment("TIMESTAMP_S", "timestamp without time zone", (c) => `epoch_us(${c}::${plainTimestamp})`)],
  ["TIMESTAMP_MS", moment("TIMESTAMP_MS", "timestamp without time zone", (c) => `epoch_us(${c}::${plainTimestamp})`)],
  ["TIMESTAMP_NS", nanoType()],
  ["TIMESTAMP WITH TIME ZONE", zonedType()],
  ["INTERVAL", byText("INTERVAL", "interval")],
  ["JSON", type("VARCHAR", "jsonb", { storage: "text", json: text, fromText: null, bytes: textBytes })],
]);

function blobType(): ColumnType {
  return type("BLOB", "bytea", {
    storage: "blob",
    json: (c) => `to_base64(${c})`,
    value: (json) => new Uint8Array(Buffer.from(String(json), "base64")),
    fromText: (said) => `from_base64(${said})`,
    bytes: (c) => `octet_length(${c}) * 4 // 3`,
  });
}

function dateType(): ColumnType {
  const largest = "2147483647";
  return type(
    "DATE",
    "date",
    {
      storage: "integer",
      json: counted((c) => `${c} - DATE '1970-01-01'`, largest),
      value: asBigInt,
      fromText: (said) =>
        `CASE ${said} WHEN '${largest}' THEN 'infinity'::DATE WHEN '-${largest}' THEN '-infinity'::DATE ELSE DATE '1970-01-01' + ${said}::INTEGER END`,
    },
    { kind: "counted", unit: "d" },
  );
}

function nanoType(): ColumnType {
  const conversion: Conversion = { kind: "counted", unit: "ns" };
  return type(
    "TIMESTAMP_NS",
    "timestamp without time zone",
    { storage: "integer", json: counted((c) => `epoch_ns(${c})`, largest64), value: asBigInt, fromText: null },
    conversion,
  );
}

function zonedType(): ColumnType {
  const zoned = moment("TIMESTAMPTZ", "timestamp with time zone", (c) => `epoch_us(${c})`);
  return { ...zoned, fromText: (said) => `to_timestamp(0) + to_microseconds(${said}::BIGINT)` };
}

/** As `to_json` writes it: decimals keep their digits, blobs are written with \\x escapes. */
const nested: ColumnType = {
  storage: "text",
  json: (c) => `to_json(${c})::VARCHAR`,
  value: asText,
  // A text form of its own beside JSON, in which some values of a union, and NaN, look like others.
  hashed: (c) => [`${c} IS NULL`, `to_json(${c})::VARCHAR`, text(c)],
  target: { type: "jsonb", conversion: asIs },
  fromText: null,
  keyed: same,
  bytes: (c) => `strlen(to_json(${c})::VARCHAR)`,
};

const enumeration: ColumnType = type("VARCHAR", "text", { storage: "text", hashed: (c) => [text(c)], keyed: text });

/** `declared` as `duckdb_columns` says it. null: there is no exact way out. */
export function columnType(declared: string): ColumnType | null {
  const known = types.get(declared);
  if (known !== undefined) return known;
  if (declared.endsWith("]") || /^(?:STRUCT|MAP|UNION)\(/.test(declared)) return /\b(?:VARIANT|GEOMETRY)\b/.test(declared) ? null : nested;
  if (declared.startsWith("ENUM(")) return enumeration;
  const decimal = /^DECIMAL\((\d+),\s*(\d+)\)$/.exec(declared);
  return decimal === null ? null : exact(declared, `numeric(${decimal[1] ?? ""},${decimal[2] ?? ""})`);
}

/** What `fromText` reads. */
export function keyPartText(value: Value): string {
  if (typeof value === "bigint" || typeof value === "boolean") return value.toString();
  if (typeof value === "string") return value;
  if (value instanceof Uint8Array) return Buffer.from(value).toString("base64");
  throw new Error("a key holds a value that no DuckDB key has");
}
