import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { mapOne } from "./one-column.js";

const bytes = (...values: readonly number[]): Uint8Array => new Uint8Array(values);
const raw = { rawText: bytes(0x61, 0xff) };

describe("text", () => {
  test.each([
    ["", ""],
    ["null", "null"],
    ["\\N", "\\N"],
    ["'; DROP TABLE x; --", "'; DROP TABLE x; --"],
    ["tab\tnewline\n", "tab\tnewline\n"],
    ["\ufffd", "\ufffd"],
    ["\uffff", "\uffff"],
    ["a\u0301".repeat(1000), "a\u0301".repeat(1000)],
    ["👩‍👩‍👧 \u202ertl", "👩‍👩‍👧 \u202ertl"],
    ["a\0b", "value.nul"],
    ["\0", "value.nul"],
    ["\ud800", "value.encoding"],
    ["x\udc00y", "value.encoding"],
    ["\udc00\ud800", "value.encoding"],
    [raw, "value.encoding"],
    [bytes(0x61), "value.type"],
    [bytes(), "value.type"],
    [12n, "12"],
    [-9223372036854775808n, "-9223372036854775808"],
    [1, "1.0"],
    [-0, "-0.0"],
    [0.1, "0.1"],
    [1e21, "1e+21"],
    [Infinity, "Infinity"],
    [{ unset: true }, "value.type"],
  ] as const)("takes %s as %s", (value, expected) => {
    expect(mapOne("text", value)).toBe(expected);
  });

  test("an integer and a REAL of the same value stay two texts", () => {
    fc.assert(
      fc.property(fc.maxSafeInteger(), (n) => {
        expect(mapOne("text", BigInt(n))).not.toBe(mapOne("text", n));
      }),
    );
  });

  test("any well-formed text without NUL passes unchanged", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), (text) => {
        const expected = text.includes("\0") ? "value.nul" : text;
        expect(mapOne("text", text)).toBe(expected);
      }),
    );
  });
});

describe("varchar(n) and char(n)", () => {
  test.each([
    ["character varying(3)", "abc", "abc"],
    ["character varying(3)", "abcd", "value.length"],
    ["character varying(3)", "abc ", "value.length"],
    ["character varying(3)", "😀😀😀", "😀😀😀"],
    ["character varying(3)", "😀😀😀😀", "value.length"],
    ["character varying(3)", "éèà", "éèà"],
    ["character varying", "x".repeat(100), "x".repeat(100)],
    ["character(3)", "MXN", "MXN"],
    ["character(3)", "PESOS", "value.length"],
    ["character varying(3)", 1234n, "value.length"],
    ["character varying(3)", "a\0", "value.nul"],
  ])("%s takes %s as %s", (type, value, expected) => {
    expect(mapOne(type, value)).toBe(expected);
  });
});

describe("bytea", () => {
  test.each([
    [bytes(0, 255, 16), "\\x00ff10"],
    [bytes(), "\\x"],
    ["", "\\x"],
    ["é\0", "\\xc3a900"],
    [raw, "\\x61ff"],
    ["\ud800", "value.encoding"],
    [1n, "value.type"],
    [1.5, "value.type"],
  ] as const)("takes %s as %s", (value, expected) => {
    expect(mapOne("bytea", value)).toBe(expected);
  });

  test("a view into a larger buffer gives only its own bytes", () => {
    expect(mapOne("bytea", Buffer.from("abcdef").subarray(2, 4))).toBe("\\x6364");
  });
});

describe("uuid", () => {
  const id = "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11";
  test.each([
    [id, id],
    [id.toUpperCase(), id],
    [id.replaceAll("-", ""), "value.type"],
    [`{${id}}`, "value.type"],
    [Buffer.from(id.replaceAll("-", ""), "hex"), id],
    [bytes(1, 2), "value.type"],
    ["", "value.type"],
  ] as const)("takes %s as %s", (value, expected) => {
    expect(mapOne("uuid", value)).toBe(expected);
  });
});
