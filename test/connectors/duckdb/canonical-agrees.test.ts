/** DuckDB's SQL for row hash v1 says the same as the mapping of every value that it is sure of; of what it is not sure, the mapping alone has the word. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, beforeAll, expect, test } from "vitest";
import { canonicalSql } from "../../../connectors/duckdb/canonical-sql.js";
import type { DuckTable } from "../../../connectors/duckdb/duck-table.js";
import { columnType } from "../../../connectors/duckdb/column-type.js";
import { Database } from "../../../connectors/duckdb/engine/database.js";
import { tableSql } from "../../../connectors/duckdb/duck-table.js";
import { RowParser } from "../../../connectors/duckdb/values.js";
import type { Conversion, TablePlan } from "../../../core/contracts/plan.js";
import { compileHashedRow } from "../../../core/mapping/hashed-row.js";
import { rowHash } from "../../../core/mapping/row-hash.js";
import { compileMapping } from "../../../core/mapping/table-mapping.js";
import { schemaVersion, tableId, theGroup } from "../../../core/vocabulary/ids.js";
import type { TableDescription } from "../../../core/vocabulary/table.js";

const seed = Number(process.env["TAILRACE_SEED"] ?? Date.now() % 1_000_000_007);
const runs = process.env.TAILRACE_TEST_LONG === "1" ? 5_000 : 400;
const sample = <T>(arbitrary: fc.Arbitrary<T>): readonly T[] => fc.sample(arbitrary, { numRuns: runs, seed });

let folder = "";
let database: Database;
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "tailrace-canonical-"));
  database = await Database.open(":memory:", { memoryMb: 300, threads: 1, spillDirectory: folder });
  await database.run("ATTACH ':memory:' AS src");
});
afterAll(async () => {
  await database[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true });
});

/** The parser takes no NUL. */
const quoted = (said: string): string => `('${said.replaceAll("'", "''").replaceAll("\0", "' || chr(0) || '")}')`;
const within = (bits: number, signed: boolean): fc.Arbitrary<string> => {
  const most = 2n ** BigInt(signed ? bits - 1 : bits) - 1n;
  const least = signed ? -most - 1n : 0n;
  const edges = fc.constantFrom(least, most, 0n);
  return fc.oneof({ weight: 9, arbitrary: fc.bigInt({ min: least, max: most }) }, edges).map(String);
};
const decimal = (precision: number, scale: number): fc.Arbitrary<string> => {
  const most = 10n ** BigInt(precision) - 1n;
  const digits = (n: bigint): string => {
    const text = (n < 0n ? -n : n).toString().padStart(scale + 1, "0");
    const sign = n < 0n ? "-" : "";
    return scale === 0 ? `${sign}${text}` : `${sign}${text.slice(0, -scale)}.${text.slice(-scale)}`;
  };
  const round = fc.integer({ min: -99, max: 99 }).map((n) => BigInt(n) * 10n ** BigInt(Math.floor(precision / 2)));
  return fc
    .oneof(
      fc.bigInt({ min: -most, max: most }),
      round.filter((n) => n <= most && n >= -most),
    )
    .map(digits);
};
const doubles = fc
  .oneof(
    fc.double(),
    fc.integer().map((n) => n / 1000),
    fc.constantFrom(0, -0, 5e-324, 1.797e308),
  )
  .map((n) => (Number.isNaN(n) ? "nan" : Number.isFinite(n) ? (Object.is(n, -0) ? "-0.0" : String(n)) : n > 0 ? "inf" : "-inf"));
const text = fc.oneof(
  fc.string({ unit: "binary" }),
  fc.constantFrom("", "|", "~", "~|~", "a  ", "1:a", "\u2028", "\u007f", "it's", "a\0b"),
);
const years = fc.integer({ min: -4_000, max: 280_000 }).map((year) => (year <= 0 ? { year: 1 - year, bc: " (BC)" } : { year, bc: "" }));
const day = fc
  .tuple(fc.oneof(years, fc.constant({ year: 2024, bc: "" })), fc.integer({ min: 1, max: 12 }), fc.integer({ min: 1, max: 28 }))
  .map(([{ year, bc }, month, date]) => ({ date: `${String(year).padStart(4, "0")}-${two(month)}-${two(date)}`, bc }));
const two = (n: number): string => String(n).padStart(2, "0");
const clock = fc
  .tuple(fc.integer({ min: 0, max: 23 }), fc.integer({ min: 0, max: 59 }), fc.integer({ min: 0, max: 59 }))
  .map(([h, m, s]) => `${two(h)}:${two(m)}:${two(s)}`);
const fraction = (digits: number): fc.Arbitrary<string> =>
  fc.oneof(
    fc.constant(""),
    fc.integer({ min: 0, max: 10 ** digits - 1 }).map((n) => `.${String(n).padStart(digits, "0")}`),
  );
const moment = (digits: number): fc.Arbitrary<string> =>
  fc.oneof(
    { weight: 20, arbitrary: fc.tuple(day, clock, fraction(digits)).map(([{ date, bc }, time, rest]) => `${date}${bc} ${time}${rest}`) },
    fc.constantFrom("infinity", "-infinity", "0001-01-01 00:00:00", "9999-12-31 23:59:59", "1970-01-01 00:00:00"),
  );
const nearMoment = (digits: number): fc.Arbitrary<string> =>
  fc.tuple(fc.integer({ min: 1700, max: 2200 }), clock, fraction(digits)).map(([year, time, rest]) => `${year}-02-03 ${time}${rest}`);
const blob = fc.uint8Array({ maxLength: 40 }).map((bytes) => [...bytes].map((byte) => `\\x${byte.toString(16).padStart(2, "0")}`).join(""));

const asIs: Conversion = { kind: "as-is" };
const cases: readonly (readonly [string, string, Conversion, fc.Arbitrary<string>])[] = [
  ["TINYINT", "smallint", asIs, within(8, true)],
  ["UTINYINT", "integer", asIs, within(8, false)],
  ["SMALLINT", "smallint", asIs, within(16, true)],
  ["USMALLINT", "integer", asIs, within(16, false)],
  ["INTEGER", "bigint", asIs, within(32, true)],
  ["UINTEGER", "bigint", asIs, within(32, false)],
  ["BIGINT", "bigint", asIs, within(64, true)],
  ["UBIGINT", "numeric(20,0)", asIs, within(64, false)],
  ["HUGEINT", "numeric(39,0)", asIs, within(128, true)],
  ["UHUGEINT", "numeric(39,0)", asIs, within(128, false)],
  ["BIGNUM", "numeric", asIs, within(300, true)],
  ["DECIMAL(4,0)", "numeric(4,0)", asIs, decimal(4, 0)],
  ["DECIMAL(9,2)", "numeric(9,2)", asIs, decimal(9, 2)],
  ["DECIMAL(18,6)", "numeric", asIs, decimal(18, 6)],
  ["DECIMAL(5,5)", "numeric(5,5)", asIs, decimal(5, 5)],
  ["DECIMAL(38,10)", "numeric(38,10)", asIs, decimal(38, 10)],
  ["FLOAT", "real", asIs, doubles.map((n) => (Number.isNaN(Number(n)) ? n : String(Math.fround(Number(n)))).replace("Infinity", "inf"))],
  ["DOUBLE", "double precision", asIs, doubles],
  ["BOOLEAN", "boolean", asIs, fc.constantFrom("true", "false")],
  ["VARCHAR", "text", asIs, text],
  ["ENUM('a', 'b|~', 'é')", "text", asIs, fc.constantFrom("a", "b|~", "é")],
  ["BLOB", "bytea", asIs, blob],
  ["UUID", "uuid", asIs, fc.uuid()],
  [
    "DATE",
    "date",
    { kind: "counted", unit: "d" },
    fc.oneof(
      day.map(({ date, bc }) => date + bc),
      fc.constantFrom("infinity", "-infinity"),
    ),
  ],
  [
    "TIME",
    "time without time zone",
    asIs,
    fc.oneof(
      fc.tuple(clock, fraction(6)).map((parts) => parts.join("")),
      fc.constant("24:00:00"),
    ),
  ],
  ["TIMESTAMP", "timestamp without time zone", { kind: "counted", unit: "us" }, moment(6)],
  ["TIMESTAMP_S", "timestamp without time zone", { kind: "counted", unit: "us" }, moment(0)],
  ["TIMESTAMP_MS", "timestamp without time zone", { kind: "counted", unit: "us" }, moment(3)],
  [
    "TIMESTAMP WITH TIME ZONE",
    "timestamp with time zone",
    { kind: "counted", unit: "us" },
    moment(6).map((at) => at.replace(/(\d)$/, "$1+00")),
  ],
  ["TIMESTAMP_NS", "timestamp without time zone", { kind: "counted", unit: "ns" }, fc.oneof(nearMoment(9), nearMoment(6))],
  ["TIMESTAMP_NS", "bigint", asIs, nearMoment(9)],
];

function described(declared: string, nullable: boolean): TableDescription {
  const storage = columnType(declared)?.storage ?? "text";
  return {
    table: tableId("t"),
    group: theGroup,
    schema: schemaVersion(1),
    columns: [
      { name: "id", declaredType: "INTEGER", nullable: false, generated: false, classes: ["integer"] },
      { name: "v", declaredType: declared, nullable, generated: false, classes: [storage] },
    ],
    key: [0],
  };
}

function planned(type: string, conversion: Conversion, nullable: boolean): TablePlan {
  const column = { written: "always", constant: null } as const;
  return {
    source: tableId("t"),
    group: theGroup,
    target: { schema: "public", name: "t" },
    columns: [
      { source: "id", target: "id", type: "integer", nullable: false, conversion: asIs, ...column },
      { source: "v", target: "v", type, nullable, conversion, ...column },
    ],
    key: ["id"],
    indexes: [],
    foreignKeys: [],
    dropped: [],
  };
}

test.each(cases)(`%s as %s (seed ${seed})`, async (declared, type, conversion, values) => {
  const description = described(declared, true);
  const plan = planned(type, conversion, true);
  const sql = canonicalSql(plan, description);
  if (sql === null) throw new Error(`${declared} as ${type} has no SQL`);
  const table: DuckTable = { number: 1, schema: "main", name: "t", mode: "keyed", description };
  const literals = sample(values).map((said, i) => `(${i}, ${quoted(said)})`);
  await database.run(
    `CREATE OR REPLACE TABLE src.t AS SELECT id::INTEGER AS id, v::${declared} AS v FROM (VALUES ${literals.join(", ")}, (-1, NULL)) AS x(id, v)`,
  );
  const { row, relation } = tableSql(table);
  const rows = await database.rows<{ json: string; sure: boolean; hash: string | null }>(
    `SELECT ${row("r")}::VARCHAR AS json, sure, CASE WHEN sure THEN ${sql.hash} END AS hash FROM (SELECT *, (${sql.sure}) AS sure FROM ${relation}) AS r`,
  );
  const hashed = compileHashedRow(plan, compileMapping(plan, description));
  const parser = new RowParser(table);
  const sure = rows.filter((one) => one.sure);
  for (const { json, hash } of sure) {
    const [parsed = []] = parser.rows(`[${json}]`);
    const said = hashed.textOf(parsed);
    expect([json, said, hash]).toEqual([json, said, rowHash(said)]);
    expect(hashed.isRefusal(said), json).toBe(false);
  }
  expect(rows.length).toBe(runs + 1);
  expect(sure.length, "some of it must be sure").toBeGreaterThan(rows.length / 20);
});

test("NULL where the target takes none is left to the mapping, which refuses it", async () => {
  const sql = canonicalSql(planned("bigint", asIs, false), described("BIGINT", true));
  await database.run("CREATE OR REPLACE TABLE src.t AS SELECT 1 AS id, NULL::BIGINT AS v UNION ALL SELECT 2, 5");
  expect(await database.rows(`SELECT id, (${sql?.sure ?? ""}) AS sure FROM src.t ORDER BY id`)).toEqual([
    { id: 1, sure: false },
    { id: 2, sure: true },
  ]);
});

test.each([
  ["VARCHAR", "character varying(9)", asIs],
  ["INTEGER", "smallint", asIs],
  ["DECIMAL(9,2)", "numeric(9,1)", asIs],
  ["DOUBLE", "numeric", asIs],
  ["INTERVAL", "interval", asIs],
  ["JSON", "jsonb", asIs],
  ["TIMESTAMP", "timestamp(3) without time zone", { kind: "counted", unit: "us" }],
] as const)("%s as %s is left to the mapping", (declared, type, conversion) => {
  expect(canonicalSql(planned(type, conversion, true), described(declared, true))).toBeNull();
});
