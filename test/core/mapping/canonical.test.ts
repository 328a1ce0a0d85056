/** The golden vectors of row hash v1. They never change: a change of any of them is a new version of the hash. */
import { describe, expect, test } from "vitest";
import { canonicalForm, canonicalValue, compileRowText } from "../../../core/mapping/canonical.js";
import { parseType } from "../../../core/mapping/postgres-type.js";
import { DigestSum, joinDigests, rowHash, sameDigest } from "../../../core/mapping/row-hash.js";

function canonical(type: string, text: string | null): string {
  const parsed = parseType(type);
  if (parsed === null) throw new Error(type);
  return canonicalValue(canonicalForm(parsed), text);
}

describe("golden vectors", () => {
  test.each<[string, string, string, string | null]>([
    ["bigint", "-9223372036854775808", "-9223372036854775808", "e12c22bb0312e7872c49884f8304d882"],
    ["numeric", "-0.00", "0", "cfcd208495d565ef66e7dff9f98764da"],
    ["numeric", "1.50", "1.5", "6008647277c4454cecd97d33c069f0ca"],
    ["numeric", "1000000", "1000000", "8155bc545f84d9652f1012ef2bdfb6eb"],
    ["numeric", "1e6", "1000000", "8155bc545f84d9652f1012ef2bdfb6eb"],
    ["numeric", "-12345678901234567890.123456", "-12345678901234567890.123456", "f8a2bf4dc83f6e5fb90f3a1009ee03aa"],
    ["numeric", "NaN", "NaN", null],
    ["double precision", "0.1", "3fb999999999999a", "1ecbe639b1f7aedb94e9c7a534d0da4b"],
    ["double precision", "1e21", "444b1ae4d6e2ef50", "5f91d6c87c5d46701bcbf8df2628fef6"],
    ["double precision", "5e-324", "0000000000000001", null],
    ["double precision", "-0", "0000000000000000", null],
    ["double precision", "-Infinity", "fff0000000000000", null],
    ["double precision", "NaN", "7ff8000000000000", null],
    ["real", "0.1", "3fb99999a0000000", null],
    ["text", "", "0:", "9a1c7ee2c7ce38d4bbbaf29ab9f2ac1e"],
    ["text", "a|b", "3:a|b", "c096b73ff2a050ac2ff73051c5b9b843"],
    ["text", "\u{1F600}", "4:\u{1F600}", "05534bbd9d755d28303612531ffc56ad"],
    ["character(5)", "ab   ", "2:ab", null],
    ["timestamp with time zone", "1969-12-31 23:59:59.999999+00", "-1", null],
    ["timestamp without time zone", "2026-11-20 10:11:12.000001", "1795169472000001", "744f2a2f0c1766c34537946f9fe60a33"],
    ["timestamp without time zone", "0001-01-01 00:00:00", "-62135596800000000", null],
    ["timestamp with time zone", "0001-12-31 00:00:00+00 BC", "-62135683200000000", null],
    ["timestamp with time zone", "infinity", "infinity", null],
    ["timestamp with time zone", "294276-12-31 23:59:59.999999+00", "294276-12-31 23:59:59.999999+00", null],
    ["date", "2026-11-20", "2026-11-20", null],
    ["boolean", "true", "t", null],
    ["boolean", "f", "f", null],
    ["jsonb", '{"":0,"aa":1,"b":2}', '{"": 0, "b": 2, "aa": 1}', "bf8a44d1954e7f08c90182ab1008b0b1"],
    ["jsonb", "[1,2.50,1e2,-0,-0.0,1.5E-3]", "[1, 2.50, 100, 0, 0.0, 0.0015]", null],
    ["jsonb", ' {"a":1 , "a":[ {} , [] ]}', '{"a": [{}, []]}', null],
    ["jsonb", '"\\u00e9\\u0001\\/\\ud83d\\ude00"', '"é\\u0001/😀"', null],
    ["uuid", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", "40c7d28cdd8ddd783e4465008dd0b227"],
    ["bytea", "\\x00ff10", "00ff10", "f6ff10b0016fee3582eac5328c0076ba"],
    ["time without time zone", "10:11:12.5", "10:10:11:12.5", null],
  ])("%s %s", (type, text, expected, md5) => {
    expect(canonical(type, text)).toBe(expected);
    if (md5 !== null) expect(rowHash(canonical(type, text))).toBe(md5);
  });

  test("NULL is not the text that stands for it", () => {
    expect(canonical("text", null)).toBe("~");
    expect(canonical("text", "~")).toBe("1:~");
  });
});

test("columns that are written on insert only are not hashed", () => {
  const columns = [
    { place: 0, target: "id", type: "bigint", form: "plain" },
    { place: 2, target: "name", type: "text", form: "text" },
  ] as const;
  expect(compileRowText(columns, "mapped")(["7", "constant", "x"])).toBe("7|1:x");
  expect(compileRowText(columns, "hashed")(["7", null])).toBe("7|~");
});

test("the sum of digests does not depend on the order and does not cancel", () => {
  const sum = (rows: readonly string[]) => {
    const digest = new DigestSum();
    for (const row of rows) digest.add(row);
    return digest.value();
  };
  expect(sum(["a", "b", "c"])).toEqual(sum(["c", "a", "b"]));
  expect(sameDigest(sum(["a", "a", "b"]), sum(["b"]))).toBe(false);
  expect(joinDigests([sum(["a"]), sum(["b", "c"])])).toEqual(sum(["a", "b", "c"]));
  // 0cc175b9c0f1b6a831c399e269772661 and 92eb5ffee6ae2fec3ad71c777531578f: the halves add up mod 2^64.
  expect(sum(["a", "b"])).toEqual({ rows: 2, high: 0x9facd5b8a79fe694n, low: 0x6c9ab659dea87df0n });
});
