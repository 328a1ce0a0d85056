/** From target type and conversion to the one function that converts a column's values. Every caller that compares values uses it. */
import type { Conversion } from "../contracts/plan.js";
import { unreachable } from "../vocabulary/unreachable.js";
import { jsonConverter } from "./json.js";
import type { Convert } from "./mapped.js";
import { booleanConverter, floatConverter, integerConverter, numericConverter } from "./numbers.js";
import type { PostgresType } from "./postgres-type.js";
import { byteaConverter, limitedTextConverter, textConverter, uuidConverter } from "./texts.js";
import { dateConverter, timeConverter, timestampConverter } from "./times.js";

export function compileConvert(type: PostgresType, conversion: Conversion): Convert {
  switch (type.kind) {
    case "smallint":
      return integerConverter(16);
    case "integer":
      return integerConverter(32);
    case "bigint":
      return integerConverter(64);
    case "numeric":
      return numericConverter(type.precision, type.scale);
    case "double precision":
      return floatConverter(false);
    case "real":
      return floatConverter(true);
    case "boolean":
      return booleanConverter;
    case "varchar":
      return type.length === null ? textConverter : limitedTextConverter(type.length);
    case "char":
      return limitedTextConverter(type.length);
    case "text":
    case "other":
      return textConverter;
    case "bytea":
      return byteaConverter;
    case "uuid":
      return uuidConverter;
    case "json":
      return jsonConverter(false);
    case "jsonb":
      return jsonConverter(true);
    case "date":
      return dateConverter(conversion);
    case "timestamp":
      return timestampConverter(type.zone, type.precision, conversion);
    case "time":
      // `time with time zone` has no one form: PostgreSQL reads the text itself.
      return type.zone ? textConverter : timeConverter(type.precision);
    default:
      return unreachable(type);
  }
}

/** Types for which `from` means something. */
export const isTimeType = (type: PostgresType): boolean => type.kind === "date" || type.kind === "timestamp";
