import fc from "fast-check";
import { expect, test } from "vitest";
import { compileConvert } from "../../../core/mapping/converter.js";
import { parseType } from "../../../core/mapping/postgres-type.js";
import type { Value } from "../../../core/vocabulary/value.js";
import { planOf, said } from "./catalogue-of.js";

const blob = new Uint8Array([1]);
const raw = { rawText: new Uint8Array([255]) };

/** The type of a column `v` that is declared so and holds these values. */
function typeFor(declared: string, values: readonly Value[]): { readonly type: string | undefined; readonly said: readonly string[] } {
  const result = planOf({
    tables: [{ name: "t", columns: ["id INTEGER", `v ${declared}`], rows: values.map((value, i) => [BigInt(i), value]) }],
  });
  return { type: result.plan.tables[0]?.columns[1]?.type, said: said(result) };
}

const stamp = "timestamp with time zone";

test.each([
  ["INTEGER", [1n, 2n ** 62n], "bigint"],
  ["BIGINT UNSIGNED", [1n], "bigint"],
  ["INTEGER", [], "bigint"],
  ["INTEGER", [1n, 1.5], "numeric"],
  ["INTEGER", [1.5], "numeric"],
  ["INTEGER", [1n, Infinity], "numeric"],
  ["INTEGER", [1n, "n/a"], "text"],
  ["BOOLEAN", [0n, 1n, null], "boolean"],
  ["BOOLEAN", [], "boolean"],
  ["BOOLEAN", [0n, 2n], "bigint"],
  ["BOOLEAN", ["true", 1n], "boolean"],
  ["BOOLEAN", ["yes", 1n], "text"],
  ["REAL", [1.5, Infinity], "double precision"],
  ["DOUBLE", [], "double precision"],
  ["FLOAT", [1.5, ""], "text"],
  ["DECIMAL(10,2)", [1n, 2.5], "numeric(10,2)"],
  ["DECIMAL(10,2)", [], "numeric(10,2)"],
  ["DECIMAL(10,2)", [0.1 + 0.2], "numeric"],
  ["DECIMAL(10,2)", [100000000n], "numeric"],
  ["DECIMAL(10,2)", [2.5, "1,50"], "text"],
  ["NUMERIC", [1.5], "numeric"],
  ["DECIMAL(2000)", [1n], "numeric"],
  ["MONEY", [1.5], "numeric"],
  ["DATE", ["2024-02-29"], "date"],
  ["DATE", ["2024-02-29", "2024-03-01 10:00:00"], stamp],
  ["DATE", ["2024-02-30"], "text"],
  ["DATETIME", ["2024-02-29 10:00:00", null, "2024-02-29T10:00:00.5Z"], stamp],
  ["TIMESTAMP", ["2024-02-29"], stamp],
  ["DATETIME", [1700000000000n], "bigint"],
  ["DATETIME", [2460000.5], "double precision"],
  ["DATETIME", [1700000000000n, "2024-02-29 10:00:00"], "text"],
  ["DATETIME", [1700000000000n, 1.7e12], "numeric"],
  ["DATETIME", [], "text"],
  ["DATETIME", [null], "text"],
  ["TEXT", ["a"], "text"],
  ["TEXT", [], "text"],
  ["VARCHAR(2)", ["longer"], "text"],
  ["TEXT", ["a", "b\0"], "bytea"],
  ["TEXT", ["a", raw], "bytea"],
  ["TEXT", ["a", blob], "bytea"],
  ["JSON", ['{"a":1}', "[]", null], "jsonb"],
  ["JSON", ['{"a":1}', "broken"], "text"],
  ["JSON", ['"\\u0000"'], "text"],
  ["JSON", [5n, "{}"], "jsonb"],
  ["BLOB", [blob], "bytea"],
  ["BLOB", ["a"], "bytea"],
  ["BLOB", [1n], "bigint"],
  ["BLOB", [], "bytea"],
  ["", [1n], "bigint"],
  ["", [1.5], "double precision"],
  ["", [1n, 1.5], "numeric"],
  ["", ["a"], "text"],
  ["", ["a", 1n, 1.5], "text"],
  ["", [blob, "a"], "bytea"],
  ["", [], "text"],
  ["UUID", ["a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"], "text"],
  ["STRING", ["a", 1n], "text"],
] as const)("%s with %o becomes %s", (declared, values, expected) => {
  expect(typeFor(declared, values).type).toBe(expected);
});

test("values that no one type holds are an error with their number", () => {
  expect(typeFor("", [blob, 1n]).said).toEqual(["error value.type v"]);
  expect(typeFor("INTEGER", [1n, "a\0"]).said).toEqual(["error value.nul v"]);
  expect(typeFor("INTEGER", [1n, raw]).said).toEqual(["error value.encoding v"]);
});

test("a time column without values is text, and a warning says why", () => {
  expect(typeFor("DATETIME", [null]).said).toEqual(["warning column.empty v"]);
});

test("a default refuses no value that is in the table, or says how many it refuses", () => {
  const value: fc.Arbitrary<Value> = fc.oneof(
    fc.constant(null),
    fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
    fc.double({ noNaN: true }),
    fc.string({ unit: "binary" }),
    fc.constantFrom("2024-02-29", "2024-02-29 10:00:00", "{}", "1.50", "true", ""),
    fc.uint8Array({ maxLength: 4 }),
    fc.constant(raw),
  );
  const declared = fc.constantFrom("", "INTEGER", "TEXT", "REAL", "BLOB", "DECIMAL(5,2)", "BOOLEAN", "DATE", "DATETIME", "JSON", "STRING");
  fc.assert(
    fc.property(declared, fc.array(value, { maxLength: 6 }), (type, values) => {
      const result = planOf({
        tables: [{ name: "t", columns: ["id INTEGER", `v ${type}`], rows: values.map((one, i) => [BigInt(i), one]) }],
      });
      const counted = result.findings.filter((finding) => finding.severity === "error").reduce((sum, { count }) => sum + (count ?? 0), 0);
      const column = result.plan.tables[0]?.columns[1];
      if (column === undefined) {
        expect(counted).toBeGreaterThan(0);
        return;
      }
      expect(counted).toBe(0);
      const parsed = parseType(column.type);
      expect(parsed).not.toBeNull();
      if (parsed === null) return;
      const convert = compileConvert(parsed, column.conversion);
      for (const one of values) if (one !== null) expect(typeof convert(one)).toBe("string");
    }),
    { numRuns: 2_000 },
  );
});
