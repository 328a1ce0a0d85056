/**
 * From what PostgreSQL prints to what DuckDB stores: for each declared type a text that the engine reads and the SQL that reads it.
 *
 * What DuckDB makes of a text may be another value (a decimal is rounded, a fraction of a second cut off), so nothing here is believed: whoever
 * stores it prints it again and compares (apply-engine.ts, file-table.ts).
 */
import type { ColumnPlan } from "../../../core/contracts/plan.js";
import { isRefused } from "../../../core/mapping/way-back.js";
import { type Refused, refused } from "../../../core/mapping/mapped.js";
import type { PostgresType } from "../../../core/mapping/postgres-type.js";
import type { Value } from "../../../core/vocabulary/value.js";
import { isInterval, plainInterval } from "./interval.js";

export type IntoText = (text: string) => string | Refused;

const notHere = refused("value.no-way-back", "a value that the source has no form for");
const largest64 = "9223372036854775807";
const largestDays = "2147483647";
const numbers = /^(?:U?(?:TINYINT|SMALLINT|INTEGER|BIGINT|HUGEINT)|BIGNUM|DECIMAL\(.*)$/;
const numeric = new Set<PostgresType["kind"]>(["smallint", "integer", "bigint", "numeric"]);
const times = /^(?:DATE|TIMESTAMP)/;
export const isNested = (declared: string): boolean => declared.endsWith("]") || /^(?:STRUCT|MAP)\(/.test(declared);

/** `back`: what the mapping read backwards says, for pairs of types that only it knows. */
export function intoText(
  declared: string,
  type: PostgresType,
  column: ColumnPlan,
  back: (text: string | null) => Value | Refused,
): IntoText {
  const byValue: IntoText = (text) => {
    // No server prints it, and no target holds it as text: it would never be the same again.
    if (text.includes("\0")) return notHere;
    const value = back(text);
    return isRefused(value) ? value : valueText(value, declared);
  };
  if (numbers.test(declared) && numeric.has(type.kind)) return (text) => text;
  if (declared === "BOOLEAN" && type.kind === "boolean") return (text) => (text.startsWith("t") ? "true" : "false");
  if ((declared === "FLOAT" || declared === "DOUBLE") && (type.kind === "real" || type.kind === "double precision")) return floatText;
  if (times.test(declared) && column.conversion.kind === "counted") {
    const largest = declared === "DATE" ? largestDays : largest64;
    return (text) => (text === "infinity" ? largest : text === "-infinity" ? `-${largest}` : byValue(text));
  }
  if (declared === "INTERVAL" && isInterval(type)) return (text) => plainInterval(text) ?? notHere;
  if (isNested(declared)) return quotedNumbers;
  return byValue;
}

/** A text that cannot be read becomes NULL, which is another value than was asked for. */
export function intoSql(declared: string, text: string): string {
  if (declared === "BLOB") return `TRY(from_base64(${text}))`;
  if (declared === "DATE") {
    return endless(text, declared, largestDays, `DATE '1970-01-01' + CAST(${text} AS INTEGER)`);
  }
  if (declared === "TIMESTAMP_NS") return endless(text, declared, largest64, `make_timestamp_ns(CAST(${text} AS BIGINT))`);
  if (declared === "TIMESTAMP WITH TIME ZONE") return endless(text, declared, largest64, `make_timestamptz(CAST(${text} AS BIGINT))`);
  if (times.test(declared)) return endless(text, declared, largest64, `CAST(make_timestamp(CAST(${text} AS BIGINT)) AS ${declared})`);
  return isNested(declared) ? `TRY_CAST(TRY_CAST(${text} AS JSON) AS ${declared})` : `TRY_CAST(${text} AS ${declared})`;
}

const endless = (text: string, declared: string, largest: string, finite: string): string =>
  `TRY(CASE ${text} WHEN '${largest}' THEN CAST('infinity' AS ${declared}) WHEN '-${largest}' THEN CAST('-infinity' AS ${declared}) ELSE ${finite} END)`;

function valueText(value: Value, declared: string): string | Refused {
  if (value instanceof Uint8Array) return Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString("base64");
  if (typeof value === "string") return declared === "BLOB" ? Buffer.from(value, "utf8").toString("base64") : value;
  if (declared === "BOOLEAN" && typeof value === "bigint") return value === 0n ? "false" : "true";
  return typeof value === "bigint" || typeof value === "boolean" || typeof value === "number" ? String(value) : notHere;
}

const floatText: IntoText = (text) => (text === "NaN" ? "nan" : text.replace("Infinity", "inf"));

/** Numbers of JSON are read by way of a double, texts are not. */
export const quotedNumbers = (text: string): string =>
  text.replaceAll(/"(?:[^"\\]|\\.)*"|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/g, (token) => (token.startsWith('"') ? token : `"${token}"`));
