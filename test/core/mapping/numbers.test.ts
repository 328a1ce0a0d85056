import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { parseDecimal, sameDecimal } from "../../../core/mapping/decimal.js";
import { floatText } from "../../../core/mapping/numbers.js";
import { mapOne, mappingOf } from "./one-column.js";

describe("integers", () => {
  test.each([
    ["bigint", 9223372036854775807n, "9223372036854775807"],
    ["bigint", -9223372036854775808n, "-9223372036854775808"],
    ["bigint", 9223372036854775808n, "value.range"],
    ["bigint", 9007199254740993n, "9007199254740993"],
    ["integer", 2147483647n, "2147483647"],
    ["integer", 2147483648n, "value.range"],
    ["smallint", -32768n, "-32768"],
    ["smallint", -32769n, "value.range"],
    ["bigint", 12, "12"],
    ["bigint", -0, "0"],
    ["smallint", 40000, "value.range"],
    ["bigint", 1.5, "value.type"],
    ["bigint", 2 ** 53, "value.type"],
    ["bigint", Infinity, "value.type"],
    ["bigint", Number.NaN, "value.type"],
    ["bigint", "42", "42"],
    ["bigint", "-9223372036854775808", "-9223372036854775808"],
    ["bigint", "9223372036854775808", "value.range"],
    ["bigint", "007", "value.type"],
    ["bigint", "-0", "value.type"],
    ["bigint", "+1", "value.type"],
    ["bigint", " 1", "value.type"],
    ["bigint", "1\n", "value.type"],
    ["bigint", "0x10", "value.type"],
    ["bigint", "1e3", "value.type"],
    ["bigint", "", "value.type"],
    ["bigint", new Uint8Array([49]), "value.type"],
  ])("%s takes %s as %s", (type, value, expected) => {
    expect(mapOne(type, value)).toBe(expected);
  });
});

describe("numeric", () => {
  test.each([
    ["numeric(10,2)", 1234n, "1234"],
    ["numeric(10,2)", 99999999n, "99999999"],
    ["numeric(10,2)", 100000000n, "value.range"],
    ["numeric(10,2)", -100000000n, "value.range"],
    ["numeric(10,2)", 0.1, "0.1"],
    ["numeric(10,2)", 0.1 + 0.2, "value.range"],
    ["numeric(10,2)", 1e-7, "value.range"],
    ["numeric(10,2)", 1e21, "value.range"],
    ["numeric(10,2)", Infinity, "value.range"],
    ["numeric(10,2)", "1.50", "1.5"],
    ["numeric(10,2)", "1.500000", "1.5"],
    ["numeric(10,2)", "1.505", "value.range"],
    ["numeric(10,2)", "1e3", "1000"],
    ["numeric(10,2)", "-.5", "-0.5"],
    ["numeric(10,2)", "5.", "5"],
    ["numeric(10,2)", "-0.00", "0"],
    ["numeric(10,2)", "0e999999999999", "0"],
    ["numeric(10,2)", "99999999.99", "99999999.99"],
    ["numeric(20,4)", "1000000000000.0001", "1000000000000.0001"],
    ["numeric(10,2)", "1,234.50", "value.type"],
    ["numeric(10,2)", "$ 80", "value.type"],
    ["numeric(10,2)", "", "value.type"],
    ["numeric(10,2)", ".", "value.type"],
    ["numeric(10,2)", "NaN", "value.type"],
    ["numeric(3,-2)", 12300n, "12300"],
    ["numeric(3,-2)", 12350n, "value.range"],
    ["numeric(2,4)", "0.0012", "0.0012"],
    ["numeric(2,4)", "0.012", "value.range"],
    ["numeric", "1.50", "1.50"],
    ["numeric", 0.1 + 0.2, "0.30000000000000004"],
    ["numeric", Infinity, "Infinity"],
    ["numeric", 9223372036854775807n, "9223372036854775807"],
    ["numeric", "1e131071", "1e131071"],
    ["numeric", "1e131072", "value.range"],
    ["numeric", "1e-16383", "1e-16383"],
    ["numeric", "1e-16384", "value.range"],
    ["numeric", new Uint8Array(), "value.type"],
  ])("%s takes %s as %s", (type, value, expected) => {
    expect(mapOne(type, value)).toBe(expected);
  });

  test("a row of 131,072 digits is taken and one more is not", () => {
    expect(mapOne("numeric", "9".repeat(131_072))).toHaveLength(131_072);
    expect(mapOne("numeric", "9".repeat(131_073))).toBe("value.range");
  });

  test("what numeric(p,s) accepts is the same number, and has at most s places", () => {
    fc.assert(
      fc.property(fc.double({ noNaN: true, noDefaultInfinity: true }), fc.integer({ min: 0, max: 12 }), (value, scale) => {
        const text = mapOne(`numeric(30,${scale})`, value);
        const exact = parseDecimal(value.toString());
        const fits = Math.abs(value) < 10 ** (30 - scale) && decimals(value) <= scale;
        if (!fits) {
          expect(text).toBe("value.range");
          return;
        }
        const given = parseDecimal(text ?? "");
        expect(given !== null && exact !== null && sameDecimal(given, exact)).toBe(true);
        expect(text?.split(".")[1]?.length ?? 0).toBeLessThanOrEqual(scale);
      }),
      { numRuns: 2_000 },
    );
  });
});

/** Counted another way than the code under test does: by trying. */
function decimals(value: number): number {
  const [, fraction = "", exponent = "0"] = /^-?\d+(?:\.(\d+))?(?:e([+-]\d+))?$/.exec(value.toString()) ?? [];
  return Math.max(0, fraction.length - Number(exponent));
}

describe("double precision and real", () => {
  test.each([
    ["double precision", 5e-324, "5e-324"],
    ["double precision", 1.7976931348623157e308, "1.7976931348623157e+308"],
    ["double precision", -0, "-0"],
    ["double precision", Infinity, "Infinity"],
    ["double precision", -Infinity, "-Infinity"],
    ["double precision", Number.NaN, "NaN"],
    ["double precision", 9007199254740992n, "9007199254740992"],
    ["double precision", 9007199254740993n, "value.range"],
    ["double precision", 9223372036854775807n, "value.range"],
    ["double precision", -9223372036854775808n, "-9223372036854775808"],
    ["double precision", "0.10", "0.1"],
    ["double precision", "0.30000000000000004", "0.30000000000000004"],
    ["double precision", "0.300000000000000040", "0.30000000000000004"],
    ["double precision", "0.30000000000000003", "value.range"],
    ["double precision", "1e999", "value.range"],
    ["double precision", "1e-999", "value.range"],
    ["double precision", "", "value.type"],
    ["double precision", "abc", "value.type"],
    ["real", 0.5, "0.5"],
    ["real", 0.1, "value.range"],
    ["real", 16777217n, "value.range"],
    ["real", Infinity, "Infinity"],
    ["real", Number.NaN, "NaN"],
  ])("%s takes %s as %s", (type, value, expected) => {
    expect(mapOne(type, value)).toBe(expected);
  });

  test("every double reads back from its text as itself", () => {
    const mapping = mappingOf("double precision");
    fc.assert(
      fc.property(fc.double(), (value) => {
        const mapped = mapping.map([1n, value]);
        expect(mapped.kind === "row" && Object.is(Number(mapped.row[1]), value)).toBe(true);
      }),
    );
  });
});

test.each([
  [0n, "f"],
  [1n, "t"],
  [2n, "value.type"],
  [-1n, "value.type"],
  [1, "value.type"],
  ["true", "t"],
  ["FALSE", "f"],
  ["t", "value.type"],
  ["1", "value.type"],
  ["", "value.type"],
])("boolean takes %s as %s", (value, expected) => {
  expect(mapOne("boolean", value)).toBe(expected);
});

describe("the text of a double", () => {
  test("is the shortest that reads back, also where it is made of hundredths", () => {
    const hundredths = fc.integer({ min: -(10 ** 9), max: 10 ** 9 }).map((n) => n / 100);
    const large = fc.maxSafeInteger().map((n) => n / 100);
    fc.assert(
      fc.property(fc.oneof(fc.double(), hundredths, large, fc.maxSafeInteger()), (n) => {
        expect(floatText(n)).toBe(Object.is(n, -0) ? "-0" : n.toString());
      }),
      { numRuns: 20_000 },
    );
  });
});
