/** One row of every type that DuckDB has and that goes to PostgreSQL and back. */
import { readDuckDb } from "./duckdb-read.js";

/** Declared type, a value as DuckDB's literal, and what PostgreSQL prints for it. */
const types: readonly (readonly [type: string, literal: string, printed: string])[] = [
  ["BOOLEAN", "true", "t"],
  ["TINYINT", "-128", "-128"],
  ["UTINYINT", "255", "255"],
  ["USMALLINT", "65535", "65535"],
  ["UINTEGER", "4294967295", "4294967295"],
  ["BIGINT", "9007199254740993", "9007199254740993"],
  ["UBIGINT", "18446744073709551615", "18446744073709551615"],
  ["HUGEINT", "-170141183460469231731687303715884105728", "-170141183460469231731687303715884105728"],
  ["UHUGEINT", "340282366920938463463374607431768211455", "340282366920938463463374607431768211455"],
  ["DECIMAL(38,10)", "1234567890123456789012345678.0123456789", "1234567890123456789012345678.0123456789"],
  ["DECIMAL(4,1)", "0.5", "0.5"],
  ["FLOAT", "0.1", "0.1"],
  ["FLOAT", "'nan'", "NaN"],
  ["DOUBLE", "'-inf'", "-Infinity"],
  ["DOUBLE", "1.7976931348623157e308", "1.7976931348623157e+308"],
  ["DOUBLE", "5e-324", "5e-324"],
  ["VARCHAR", "'a\tb\\N\n\"it''s\" 💥'", 'a\tb\\N\n"it\'s" 💥'],
  ["BLOB", "'\\x00\\xFFa'::BLOB", "\\x00ff61"],
  ["BLOB", "''::BLOB", "\\x"],
  ["BIT", "'0101'::BIT", "0101"],
  ["UUID", "'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"],
  ["DATE", "'0044-03-15 (BC)'", "0044-03-15 BC"],
  ["DATE", "'infinity'", "infinity"],
  ["TIME", "'24:00:00'", "24:00:00"],
  ["TIME WITH TIME ZONE", "'10:00:00+01:30'", "10:00:00+01:30"],
  ["TIMESTAMP", "'1969-12-31 23:59:59.000001'", "1969-12-31 23:59:59.000001"],
  ["TIMESTAMP", "'-infinity'", "-infinity"],
  ["TIMESTAMP_S", "'2024-01-01 00:00:01'", "2024-01-01 00:00:01"],
  ["TIMESTAMP_MS", "'2024-01-01 00:00:00.123'", "2024-01-01 00:00:00.123"],
  ["TIMESTAMP_NS", "'2024-01-01 00:00:00.123456789'", "1704067200123456789"],
  ["TIMESTAMP WITH TIME ZONE", "'2024-01-01 00:00:00+02'", "2023-12-31 22:00:00+00"],
  ["INTERVAL", "INTERVAL '14 months -3 days 04:05:06.000001'", "P1Y2M-3DT4H5M6.000001S"],
  ["ENUM('b', 'a')", "'b'", "b"],
  ["JSON", "'{\"a\": [1, null]}'", '{"a": [1, null]}'],
  ["INTEGER[]", "[1, NULL]", "[1, null]"],
  [
    "STRUCT(a DECIMAL(38,2), b VARCHAR)",
    "{a: 123456789012345678901234567890.12, b: 'x'}",
    '{"a": 123456789012345678901234567890.12, "b": "x"}',
  ],
  ["MAP(INTEGER, VARCHAR)", "MAP {1: 'a'}", '{"1": "a"}'],
  ["FLOAT[2]", "[0.5, 1.5]::FLOAT[2]", "[0.5, 1.5]"],
];

const columns = types.map(([type], i) => `c${i} ${type}`).join(", ");
/** Row 1 holds a value of each type, row 2 none. */
export const kindsTable = `CREATE TABLE kinds (id INTEGER PRIMARY KEY, ${columns});
  INSERT INTO kinds VALUES (1, ${types.map(([, literal]) => literal).join(", ")}); INSERT INTO kinds (id) VALUES (2)`;
export const printedKinds = types.map(([, , printed]) => printed);
export const kindsColumns: readonly string[] = types.map((_, i) => `c${i}`);

/** Types in which two rows differ, as DuckDB itself compares and as it prints them. */
export async function differingKinds(path: string, one: number, other: number): Promise<readonly string[]> {
  const checks = types.map(
    ([type], i) =>
      `CASE WHEN a.c${i} IS NOT DISTINCT FROM b.c${i} AND a.c${i}::VARCHAR IS NOT DISTINCT FROM b.c${i}::VARCHAR THEN NULL ELSE '${type.replaceAll("'", "''")}' END`,
  );
  const [row = ["a row is not there"]] = await readDuckDb(
    path,
    `SELECT ${checks.join(", ")} FROM kinds AS a JOIN kinds AS b ON a.id = ${one} AND b.id = ${other}`,
  );
  return row.flatMap((it) => it ?? []);
}
