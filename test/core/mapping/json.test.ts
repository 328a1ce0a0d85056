import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { mapOne } from "./one-column.js";

const nested = (depth: number): string => "[".repeat(depth) + "]".repeat(depth);

describe("json and jsonb", () => {
  test.each([
    ['{"a":1}', true, true],
    ["  [1, 2]\n", true, true],
    ["null", true, true],
    ['"text"', true, true],
    ['{"a":1,"a":2}', true, true],
    ['{"__proto__":{"x":1}}', true, true],
    ["", false, false],
    ["{broken", false, false],
    ["vip,nuevo", false, false],
    ["\ufeff{}", false, false],
    ["[01]", false, false],
    ["NaN", false, false],
    ['"\\u0000"', true, false],
    ['"\\\\u0000"', true, true],
    ['"\\\\\\u0000"', true, false],
    ['"\\ud800"', true, false],
    ['"\\udc00\\ud800"', true, false],
    ['"\\ud83d\\ude00"', true, true],
    ['"\\uD83D\\uDE00 \\u00e9"', true, true],
    ["1e400", true, true],
    ["1e131072", true, false],
    ["[1, 0.5, 1e-16384]", true, false],
    ['{"1e999999": "1e999999"}', true, true],
    [`[${"9".repeat(20_000)}]`, true, true],
    [`[0.${"9".repeat(20_000)}]`, true, false],
    [nested(1000), true, true],
    [nested(1001), false, false],
    [nested(100_000), false, false],
    [`["${"[".repeat(5000)}"]`, true, true],
    [`[${nested(999)},"\\"${"{".repeat(3000)}"]`, true, true],
  ])("%j: json %s, jsonb %s", (text, json, jsonb) => {
    expect(mapOne("json", text)).toBe(json ? text : "value.json");
    expect(mapOne("jsonb", text)).toBe(jsonb ? text : "value.json");
  });

  test("numbers that SQLite made of JSON text are JSON again", () => {
    expect(mapOne("jsonb", 5n)).toBe("5");
    expect(mapOne("jsonb", 1.5)).toBe("1.5");
    expect(mapOne("jsonb", Infinity)).toBe("value.json");
  });

  test("a NUL or half a surrogate pair in the text itself is named as such", () => {
    expect(mapOne("jsonb", '"\0"')).toBe("value.nul");
    expect(mapOne("jsonb", '"\ud800"')).toBe("value.encoding");
    expect(mapOne("jsonb", { rawText: new Uint8Array([255]) })).toBe("value.json");
    expect(mapOne("jsonb", new Uint8Array([123, 125]))).toBe("value.json");
  });

  test("a document of eight megabytes is looked through without deep recursion", () => {
    const text = JSON.stringify({ text: '\\" [{ 1e9 '.repeat(700_000) });
    expect(mapOne("jsonb", text)).toBe(text);
  });

  test("whatever JSON.stringify makes passes unchanged", () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        const text = JSON.stringify(value);
        expect(mapOne("json", text)).toBe(text);
      }),
    );
  });
});
