/**
 * Canonical row form v1 (core/mapping/canonical.ts) in DuckDB's SQL, for pairs of source and target type where SQL says it exactly. Each form names the
 * values for which it does; a row with any other (infinite times, years BC, texts with NUL) is left to the mapping itself, as are all rows of a table
 * with a pair that is not here. test/connectors/duckdb/canonical-agrees.test.ts holds it against the mapping.
 */
import type { Conversion, TablePlan } from "../../core/contracts/plan.js";
import { canonicalColumns } from "../../core/mapping/canonical.js";
import { parseType, type PostgresType } from "../../core/mapping/postgres-type.js";
import type { TableDescription } from "../../core/vocabulary/table.js";
import { quoteName } from "./duck-table.js";

export interface CanonicalSql {
  /** MD5 of the row's canonical text, as 32 hex digits. */
  readonly hash: string;
  /** True for the rows of which `hash` is right. */
  readonly sure: string;
}

/** `text` gives NULL for NULL. */
interface Form {
  readonly text: string;
  /** null: for every value. */
  readonly sure: string | null;
}

/** null: the mapping's own code must hash this table's rows. */
export function canonicalSql(plan: TablePlan, table: TableDescription): CanonicalSql | null {
  const texts: string[] = [];
  const sure: string[] = [];
  for (const { place } of canonicalColumns(plan)) {
    const column = plan.columns[place];
    const source = table.columns.find(({ name }) => name === column?.source);
    const type = parseType(column?.type ?? "");
    if (column === undefined || source === undefined || type === null) return null;
    const c = quoteName(source.name);
    const form = formOf({ c, declared: source.declaredType, type, conversion: column.conversion });
    if (form === null) return null;
    texts.push(`coalesce(${form.text}, '~')`);
    if (form.sure !== null) sure.push(`coalesce(${form.sure}, true)`);
    // NULL where the target takes none is refused by the mapping.
    if (!column.nullable) sure.push(`${c} IS NOT NULL`);
  }
  return { hash: `md5(${texts.length === 0 ? "''" : texts.join(" || '|' || ")})`, sure: sure.length === 0 ? "true" : sure.join(" AND ") };
}

interface Pair {
  readonly c: string;
  readonly declared: string;
  readonly type: PostgresType;
  readonly conversion: Conversion;
}

const integerTypes: Readonly<Record<string, number>> = {
  TINYINT: 16,
  UTINYINT: 16,
  SMALLINT: 16,
  USMALLINT: 32,
  INTEGER: 32,
  UINTEGER: 64,
  BIGINT: 64,
};
const bitsOf = { smallint: 16, integer: 32, bigint: 64 } as const;

function formOf(pair: Pair): Form | null {
  const { c, declared, type, conversion } = pair;
  switch (type.kind) {
    case "smallint":
    case "integer":
    case "bigint": {
      const bits = integerTypes[declared];
      if (bits !== undefined) return bits <= bitsOf[type.kind] ? always(`${c}::VARCHAR`) : null;
      const isNanos = declared === "TIMESTAMP_NS" && type.kind === "bigint" && conversion.kind === "as-is";
      return isNanos ? { text: `epoch_ns(${c})::VARCHAR`, sure: `isfinite(${c})` } : null;
    }
    case "numeric":
      return numericForm(pair, type);
    case "double precision":
      return declared === "DOUBLE" ? always(doubleText(c)) : null;
    case "real":
      return declared === "FLOAT" ? always(doubleText(`${c}::DOUBLE`)) : null;
    case "boolean":
      return declared === "BOOLEAN" ? always(`CASE WHEN ${c} THEN 't' WHEN NOT ${c} THEN 'f' END`) : null;
    case "text":
      if (declared === "VARCHAR") return { text: netstring(c), sure: `NOT contains(${c}, chr(0))` };
      return declared.startsWith("ENUM(") ? { text: netstring(`${c}::VARCHAR`), sure: `NOT contains(${c}::VARCHAR, chr(0))` } : null;
    case "bytea":
      return declared === "BLOB" ? always(`lower(hex(${c}))`) : null;
    case "uuid":
      return declared === "UUID" ? always(`${c}::VARCHAR`) : null;
    case "date":
      if (declared !== "DATE" || conversion.kind !== "counted") return null;
      return { text: `${c}::VARCHAR`, sure: `${c} BETWEEN DATE '0001-01-01' AND DATE '9999-12-31'` };
    case "timestamp":
      return timestampForm(pair, type.precision);
    case "time":
      return declared === "TIME" && !type.zone && (type.precision ?? 6) === 6 ? always(netstring(`${c}::VARCHAR`)) : null;
    default:
      return null;
  }
}

const always = (text: string): Form => ({ text, sure: null });
const netstring = (c: string): string => `strlen(${c}) || ':' || ${c}`;
const doubleText = (c: string): string =>
  `CASE WHEN ${c} = 0 THEN '0000000000000000' WHEN isnan(${c}) THEN '7ff8000000000000' ELSE lower(hex(${c}::BIT::BLOB)) END`;

function numericForm({ c, declared }: Pair, type: PostgresType & { readonly kind: "numeric" }): Form | null {
  const decimal = /^DECIMAL\((\d+),\s*(\d+)\)$/.exec(declared);
  if (decimal === null) {
    const digits = { UBIGINT: 20, HUGEINT: 39, UHUGEINT: 39 }[declared];
    if (digits === undefined) return declared === "BIGNUM" && type.precision === null ? always(`${c}::VARCHAR`) : null;
    return type.precision === null || (type.precision >= digits && type.scale === 0) ? always(`${c}::VARCHAR`) : null;
  }
  const [precision, scale] = [Number(decimal[1]), Number(decimal[2])];
  const fits = type.precision === null || (type.scale >= scale && type.precision - type.scale >= precision - scale);
  if (!fits) return null;
  if (scale === 0) return always(`${c}::VARCHAR`);
  // Without digits before the point DuckDB prints none.
  if (precision === scale && precision === 38) return null;
  const printed = precision === scale ? `${c}::DECIMAL(${precision + 1}, ${scale})::VARCHAR` : `${c}::VARCHAR`;
  return always(`rtrim(rtrim(${printed}, '0'), '.')`);
}

/** What makes microseconds of a moment that is not infinite. */
const microsOf: Readonly<Record<string, (c: string) => string>> = {
  TIMESTAMP: (c) => `epoch_us(${c})`,
  TIMESTAMP_S: (c) => `epoch_us(${c}::TIMESTAMP)`,
  TIMESTAMP_MS: (c) => `epoch_us(${c}::TIMESTAMP)`,
  "TIMESTAMP WITH TIME ZONE": (c) => `epoch_us(${c})`,
};
/** Years 1 to 9999: both sides take more, but say it in their own ways. */
const firstMicros = "-62135596800000000";
const lastMicros = "253402300799999999";

function timestampForm({ c, declared, conversion }: Pair, precision: number | null): Form | null {
  if (conversion.kind !== "counted" || (precision ?? 6) !== 6) return null;
  // CASE, for AND may look at its second part first.
  const whenFinite = (condition: string): string => `CASE WHEN isfinite(${c}) THEN ${condition} ELSE false END`;
  if (declared === "TIMESTAMP_NS" && conversion.unit === "ns")
    return { text: `(epoch_ns(${c}) // 1000)::VARCHAR`, sure: whenFinite(`epoch_ns(${c}) % 1000 = 0`) };
  const micros = microsOf[declared];
  if (micros === undefined || conversion.unit !== "us") return null;
  return { text: `(${micros(c)})::VARCHAR`, sure: whenFinite(`${micros(c)} BETWEEN ${firstMicros} AND ${lastMicros}`) };
}
