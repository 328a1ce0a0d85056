import BetterSqlite from "better-sqlite3";
import fc from "fast-check";
import { expect, test } from "vitest";
import { compareKeys, compareValues } from "../../../core/capture/key-order.js";
import type { Value } from "../../../core/vocabulary/value.js";

const text = fc.oneof(
  fc.string({ unit: "grapheme" }),
  fc.string({ unit: "binary" }),
  fc.constantFrom("", "\u0000", "\ue000", "\uffff", "\u{10000}", "\u{10ffff}"),
);
const value: fc.Arbitrary<Value> = fc.oneof(
  fc.constant(null),
  fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
  fc.constantFrom(9007199254740992n, 9007199254740993n, 9007199254740992, 0n, 0, 2 ** 63),
  fc.double({ noNaN: true }),
  text,
  fc.uint8Array({ maxLength: 4 }),
  fc.uint8Array({ maxLength: 4 }).map((rawText) => ({ rawText })),
);

const sign = (n: number): number => Math.sign(n);

test("the order of values is SQLite's own", () => {
  const database = new BetterSqlite(":memory:");
  const parameter = (v: Value): string => (v !== null && typeof v === "object" && "rawText" in v ? "CAST(? AS TEXT)" : "?");
  const bound = (v: Value): unknown => {
    if (v !== null && typeof v === "object" && "rawText" in v) return Buffer.from(v.rawText as Uint8Array);
    return v instanceof Uint8Array ? Buffer.from(v) : v;
  };
  fc.assert(
    fc.property(value, value, (a, b) => {
      // ORDER BY, because a comparison with NULL says nothing.
      const sql = `SELECT n FROM (SELECT 0 AS n, ${parameter(a)} AS v UNION ALL SELECT 1, ${parameter(b)}) ORDER BY v, n`;
      const down = `SELECT n FROM (SELECT 1 AS n, ${parameter(a)} AS v UNION ALL SELECT 0, ${parameter(b)}) ORDER BY v, n`;
      const first = database.prepare(sql).pluck().get(bound(a), bound(b)) === 0;
      const second = database.prepare(down).pluck().get(bound(a), bound(b)) === 1;
      const expected = first && second ? -1 : !first && !second ? 1 : 0;
      expect(sign(compareValues(a, b))).toBe(expected);
    }),
    { numRuns: 2_000 },
  );
  database.close();
});

test("composite keys are ordered part by part", () => {
  expect(sign(compareKeys([1n, "b"], [1n, "a"]))).toBe(1);
  expect(sign(compareKeys([1n, "b"], [2n, "a"]))).toBe(-1);
  expect(compareKeys([1.0, "b"], [1n, "b"])).toBe(0);
});
