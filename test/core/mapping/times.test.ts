import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Conversion } from "../../../core/contracts/plan.js";
import { mapOne } from "./one-column.js";

const timestamptz = "timestamp with time zone";
const timestamp = "timestamp without time zone";
const seconds: Conversion = { kind: "epoch", unit: "s" };
const milliseconds: Conversion = { kind: "epoch", unit: "ms" };
const microseconds: Conversion = { kind: "epoch", unit: "us" };
const iso: Conversion = { kind: "iso" };
const julian: Conversion = { kind: "julian-day" };

describe("ISO text", () => {
  test.each([
    ["2026-11-20 10:11:12", "2026-11-20 10:11:12+00"],
    ["2026-11-20T10:11:12.000001Z", "2026-11-20 10:11:12.000001+00"],
    ["2026-11-20 10:11:12.5+01:00", "2026-11-20 09:11:12.5+00"],
    ["2026-11-20 10:11:12 -0330", "2026-11-20 13:41:12+00"],
    ["2026-11-20 23:30-01", "2026-11-21 00:30:00+00"],
    ["2026-11-20", "2026-11-20 00:00:00+00"],
    ["2024-02-29 00:00:00", "2024-02-29 00:00:00+00"],
    ["2026-01-31 10:00:00", "2026-01-31 10:00:00+00"],
    ["1969-12-31 23:59:59.999999", "1969-12-31 23:59:59.999999+00"],
    ["1969-12-31 23:59:59.9999990000", "1969-12-31 23:59:59.999999+00"],
    ["1970-01-01 00:00:00,25", "1970-01-01 00:00:00.25+00"],
    ["0001-01-01 00:00:00", "0001-01-01 00:00:00+00"],
    ["0000-12-31 00:00:00", "0001-12-31 00:00:00+00 BC"],
    ["9999-12-31 23:59:59", "9999-12-31 23:59:59+00"],
    ["294276-12-31 23:59:59.999999", "294276-12-31 23:59:59.999999+00"],
    ["294277-01-01 00:00:00", "value.time"],
    ["2023-02-29 00:00:00", "value.time"],
    ["2024-02-30", "value.time"],
    ["1900-02-29", "value.time"],
    ["2024-13-01", "value.time"],
    ["2024-00-01", "value.time"],
    ["2024-01-00 00:00:00", "value.time"],
    ["2024-01-01 24:00:00", "value.time"],
    ["2024-01-01 23:60:00", "value.time"],
    ["2024-01-01 23:59:60", "value.time"],
    ["2024-01-01 00:00:00.1234567", "value.time"],
    ["2024-01-01 00:00:00+15:59", "2023-12-31 08:01:00+00"],
    ["2024-01-01 00:00:00+16:00", "value.time"],
    ["15/03/2024", "value.time"],
    ["20240101", "value.time"],
    ["2024-1-1", "value.time"],
    ["-0001-01-01", "value.time"],
    [" 2024-01-01", "value.time"],
    ["2024-01-01\n", "value.time"],
    ["infinity", "value.time"],
    ["", "value.time"],
    [1700000000n, "value.time"],
    [1.5, "value.time"],
  ])("%s becomes %s", (value, expected) => {
    expect(mapOne(timestamptz, value, { conversion: iso })).toBe(expected);
  });

  test("a column without zone holds UTC wall time", () => {
    expect(mapOne(timestamp, "2026-11-20 10:11:12.5+01:00")).toBe("2026-11-20 09:11:12.5");
  });

  test("fewer decimals than the value has are refused, never rounded", () => {
    expect(mapOne("timestamp(3) without time zone", "2026-11-20 10:11:12.123000")).toBe("2026-11-20 10:11:12.123");
    expect(mapOne("timestamp(3) without time zone", "2026-11-20 10:11:12.1234")).toBe("value.time");
    expect(mapOne("timestamp(0) with time zone", "2026-11-20 10:11:12.5")).toBe("value.time");
  });

  test("a zone-less second of any day reads as SQLite and JavaScript print it", () => {
    fc.assert(
      fc.property(
        fc.date({ min: new Date("0001-01-01T00:00:00Z"), max: new Date("9999-12-31T23:59:59Z"), noInvalidDate: true }),
        (date) => {
          const whole = date.toISOString().slice(0, 19).replace("T", " ");
          expect(mapOne(timestamptz, whole)).toBe(`${whole}+00`);
          expect(mapOne(timestamptz, `${whole}.000Z`)).toBe(`${whole}+00`);
        },
      ),
    );
  });
});

describe("epoch numbers", () => {
  test.each([
    [0n, seconds, "1970-01-01 00:00:00+00"],
    [-1n, seconds, "1969-12-31 23:59:59+00"],
    [2_147_483_648n, seconds, "2038-01-19 03:14:08+00"],
    [1_700_000_000_123n, milliseconds, "2023-11-14 22:13:20.123+00"],
    [-1n, milliseconds, "1969-12-31 23:59:59.999+00"],
    [1.7e12, milliseconds, "2023-11-14 22:13:20+00"],
    [1.7e12 + 0.5, milliseconds, "value.time"],
    ["1700000000123", milliseconds, "2023-11-14 22:13:20.123+00"],
    ["2023-11-14 22:13:20", milliseconds, "2023-11-14 22:13:20+00"],
    ["01700000000123", milliseconds, "value.time"],
    ["soon", milliseconds, "value.time"],
    [-1n, microseconds, "1969-12-31 23:59:59.999999+00"],
    [9_224_318_015_999_999_999n, seconds, "value.time"],
    [9_224_318_015_999_999n, milliseconds, "294276-12-31 23:59:59.999+00"],
    [9_224_318_016_000_000n, milliseconds, "value.time"],
    [9_223_372_036_854_775_807n, microseconds, "294247-01-10 04:00:54.775807+00"],
    [-9_223_372_036_854_775_808n, microseconds, "value.time"],
    [-210_866_803_200n, seconds, "4714-11-24 00:00:00+00 BC"],
    [-210_866_803_201n, seconds, "value.time"],
    [-9_223_372_036_854_775_808n, seconds, "value.time"],
    [new Uint8Array([1]), seconds, "value.time"],
  ] as const)("%s by %s becomes %s", (value, conversion, expected) => {
    expect(mapOne(timestamptz, value, { conversion })).toBe(expected);
  });

  test("every millisecond that Date knows comes out as Date prints it", () => {
    fc.assert(
      fc.property(fc.integer({ min: -62_135_596_800_000, max: 253_402_300_799_999 }), (ms) => {
        const printed = new Date(ms).toISOString();
        const fraction = printed.slice(20, 23).replace(/0+$/, "");
        const expected = `${printed.slice(0, 10)} ${printed.slice(11, 19)}${fraction === "" ? "" : `.${fraction}`}+00`;
        expect(mapOne(timestamptz, BigInt(ms), { conversion: milliseconds })).toBe(expected);
      }),
    );
  });

  test("microseconds are exact beyond 2^53", () => {
    fc.assert(
      fc.property(fc.bigInt({ min: -210_866_803_200_000_000n, max: 9_223_372_036_854_775_807n }), (micros) => {
        const whole = mapOne(timestamptz, micros - (((micros % 1_000_000n) + 1_000_000n) % 1_000_000n), { conversion: microseconds }) ?? "";
        const rest = (((micros % 1_000_000n) + 1_000_000n) % 1_000_000n).toString().padStart(6, "0").replace(/0+$/, "");
        const expected = rest === "" ? whole : whole.replace("+00", `.${rest}+00`);
        expect(mapOne(timestamptz, micros, { conversion: microseconds })).toBe(expected);
      }),
    );
  });
});

describe("Julian days", () => {
  test.each([
    [2440587.5, "1970-01-01 00:00:00+00"],
    [2461364.924444444, "2026-11-20 10:11:12+00"],
    [2440588n, "1970-01-01 12:00:00+00"],
    [0n, "4714-11-24 12:00:00+00 BC"],
    [-1, "value.time"],
    [5373485, "value.time"],
    [Number.NaN, "value.time"],
    ["2026-11-20 10:11:12", "2026-11-20 10:11:12+00"],
  ])("%s becomes %s", (value, expected) => {
    expect(mapOne(timestamptz, value, { conversion: julian })).toBe(expected);
  });
});

describe("date and time", () => {
  test.each([
    ["2024-02-29", "2024-02-29"],
    ["2024-02-29 00:00:00", "2024-02-29"],
    ["2024-02-29T00:00:00Z", "2024-02-29"],
    ["2024-02-29 00:00:01", "value.time"],
    ["2024-02-29 02:00:00+02", "2024-02-29"],
    ["0000-01-01", "0001-01-01 BC"],
    ["2024-02-30", "value.time"],
    ["", "value.time"],
  ])("date takes %s as %s", (value, expected) => {
    expect(mapOne("date", value)).toBe(expected);
  });

  test("a date counted in seconds must be a whole day", () => {
    expect(mapOne("date", 86_400n, { conversion: seconds })).toBe("1970-01-02");
    expect(mapOne("date", 86_401n, { conversion: seconds })).toBe("value.time");
    expect(mapOne("date", 2_145_042_905n * 86_400n, { conversion: seconds })).toBe("5874897-12-31");
    expect(mapOne("date", 2_145_042_906n * 86_400n, { conversion: seconds })).toBe("value.time");
  });

  test.each([
    ["10:11", "10:11:00"],
    ["10:11:12.5", "10:11:12.5"],
    ["24:00:00", "24:00:00"],
    ["24:00:00.1", "value.time"],
    ["25:00", "value.time"],
    ["10:11:12.1234567", "value.time"],
    ["10", "value.time"],
    [36000n, "value.time"],
  ])("time takes %s as %s", (value, expected) => {
    expect(mapOne("time without time zone", value)).toBe(expected);
  });
});
