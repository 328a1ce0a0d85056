/**
 * Values at and beyond every edge: each is refused with the code that says why, or PostgreSQL takes what the mapping makes of it and prints it
 * again as it is. Nothing in between: what the mapping lets through is never refused by the server, and never changed by it.
 */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Conversion } from "../../core/contracts/plan.js";
import type { Value } from "../../core/vocabulary/value.js";
import { mapOne } from "../core/mapping/one-column.js";
import { freshDatabase, type TestDatabase } from "../support/postgres.js";

let database: TestDatabase;
beforeAll(async () => {
  database = await freshDatabase();
  await database.query("SET extra_float_digits = 1");
  await database.query("SET TimeZone = 'UTC'");
});
afterAll(() => database[Symbol.asyncDispose]());

const raw = (...bytes: number[]): Value => ({ rawText: Uint8Array.from(bytes) });
const epoch = (unit: "s" | "ms" | "us"): Conversion => ({ kind: "epoch", unit });
const julian: Conversion = { kind: "julian-day" };
const [min64, max64] = [-(2n ** 63n), 2n ** 63n - 1n];
const many = (n: number, text: string): string => text.repeat(n);
const nested = (n: number): string => many(n, "[") + many(n, "]");

/** `=`: taken, and PostgreSQL prints what the mapping made of it. Else the code, or what PostgreSQL prints. */
type Line = readonly [what: string, type: string, value: Value, outcome: string, conversion?: Conversion];

const text: readonly Line[] = [
  ["a NUL", "text", "a\0b", "value.nul"],
  ["a NUL alone", "text", "\0", "value.nul"],
  ["a NUL in bytes", "bytea", "a\0b", "="],
  ["invalid UTF-8", "text", raw(0xff, 0xfe), "value.encoding"],
  ["an overlong NUL", "text", raw(0xc0, 0x80), "value.encoding"],
  ["a surrogate in UTF-8", "text", raw(0xed, 0xa0, 0x80), "value.encoding"],
  ["beyond U+10FFFF", "text", raw(0xf4, 0x90, 0x80, 0x80), "value.encoding"],
  ["a cut off character", "text", raw(0xf0, 0x9f, 0x98), "value.encoding"],
  ["invalid UTF-8 as bytes", "bytea", raw(0xff, 0xfe), "\\xfffe"],
  ["half a surrogate pair", "text", "a\ud800", "value.encoding"],
  ["the other half", "text", "\udc00a", "value.encoding"],
  ["both in the wrong order", "text", "\udc00\ud800", "value.encoding"],
  ["half a pair as bytes", "bytea", "\ud800", "value.encoding"],
  ["half a pair in varchar", "varchar(3)", "\ud800", "value.encoding"],
  ["U+FFFD itself", "text", "\ufffd", "="],
  ["noncharacters", "text", "\uffff\ufffe\ufdd0\u{10ffff}", "="],
  ["a byte order mark", "text", "\ufeffx", "="],
  ["bidi and zero width", "text", "\u202e\u200b\u2066x", "="],
  ["a hundred thousand combining marks", "text", `e${many(100_000, "\u0301")}`, "="],
  ["control characters", "text", "\u0001\u001b[31m\u007f\u0085", "="],
  ["quotes and backslashes", "text", `'"\\\\'; DROP TABLE t; --`, "="],
  ["array syntax", "text", '{NULL,"a\\"}', "="],
  ["the word NULL", "text", "NULL", "="],
  ["nothing", "text", "", "="],
  ["emoji in varchar, counted as PostgreSQL counts", "varchar(2)", "\u{1F600}\u{1F600}", "="],
  ["one too many", "varchar(2)", "\u{1F600}\u{1F600}\u{1F600}", "value.length"],
  ["combining marks in varchar", "varchar(1)", "e\u0301", "value.length"],
  ["blanks beyond varchar", "varchar(2)", "a  ", "value.length"],
  ["a BLOB in text", "text", new Uint8Array([97]), "value.type"],
  ["an integer in text", "text", max64, "9223372036854775807"],
  ["a whole REAL in text", "text", 1, "1.0"],
  ["-0.0 in text", "text", -0, "-0.0"],
  ["NaN in text", "text", Number.NaN, "NaN"],
  ["an empty BLOB", "bytea", new Uint8Array(), "\\x"],
  ["a number in bytea", "bytea", 1n, "value.type"],
  ["a UUID with braces", "uuid", "{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11}", "value.type"],
  ["a UUID in upper case", "uuid", "A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"],
  ["a UUID of 15 bytes", "uuid", new Uint8Array(15), "value.type"],
  ["a UUID without dashes", "uuid", "a0eebc999c0b4ef8bb6d6bb9bd380a11", "value.type"],
];

const numbers: readonly Line[] = [
  ["the largest", "bigint", max64, "="],
  ["the smallest", "bigint", min64, "="],
  ["2^53 + 1", "bigint", 2n ** 53n + 1n, "="],
  ["2^53 as REAL", "bigint", 2 ** 53, "value.type"],
  ["2^53 - 1 as REAL", "bigint", 2 ** 53 - 1, "9007199254740991"],
  ["a text beyond 64 bits", "bigint", "9223372036854775808", "value.range"],
  ["a text of a million digits", "bigint", many(1_000_000, "9"), "value.range"],
  ["-0 as text", "bigint", "-0", "value.type"],
  ["leading zeros", "bigint", "007", "value.type"],
  ["a blank in front", "bigint", " 1", "value.type"],
  ["a plus", "bigint", "+1", "value.type"],
  ["an underscore, which PostgreSQL 16 takes", "bigint", "1_000", "value.type"],
  ["hexadecimal, too", "bigint", "0x1F", "value.type"],
  ["other digits", "bigint", "١٢٣", "value.type"],
  ["2^31", "integer", 2n ** 31n, "value.range"],
  ["-2^31", "integer", -(2n ** 31n), "="],
  ["2^15", "smallint", 32768n, "value.range"],
  ["half", "integer", 0.5, "value.type"],
  ["-0.0", "integer", -0, "0"],
  ["NaN", "integer", Number.NaN, "value.type"],
  ["infinity", "bigint", Number.POSITIVE_INFINITY, "value.type"],
  ["nothing", "integer", "", "value.type"],
  ["the least double", "double precision", 5e-324, "="],
  ["the largest double", "double precision", 1.7976931348623157e308, "="],
  ["-0.0 in double", "double precision", -0, "="],
  ["infinity in double", "double precision", Number.NEGATIVE_INFINITY, "="],
  ["NaN in double", "double precision", Number.NaN, "="],
  ["1e999 as text", "double precision", "1e999", "value.range"],
  ["1e-999 as text", "double precision", "1e-999", "value.range"],
  ["2^53 + 1 in double", "double precision", 2n ** 53n + 1n, "value.range"],
  ["2^53 in double", "double precision", 2n ** 53n, "9.007199254740992e+15"],
  ["0.1 as text in double", "double precision", "0.1", "="],
  ["twenty digits in double", "double precision", "0.12345678901234567891", "value.range"],
  ["0.1 in real", "real", 0.1, "value.range"],
  ["0.5 in real", "real", 0.5, "="],
  ["2^24 + 1 in real", "real", 16_777_217n, "value.range"],
  ["1e39 in real", "real", 1e39, "value.range"],
  ["numeric of 131,072 digits", "numeric", many(131_072, "9"), "="],
  ["one more", "numeric", many(131_073, "9"), "value.range"],
  ["1e131072", "numeric", "1e131072", "value.range"],
  ["1e-16383", "numeric", "1e-16383", `0.${many(16_382, "0")}1`],
  ["1e-16384", "numeric", "1e-16384", "value.range"],
  ["an exponent of a thousand digits", "numeric", `1e${many(1000, "9")}`, "value.range"],
  ["trailing zeros", "numeric", "1.100", "="],
  ["NaN in numeric(10,2)", "numeric(10,2)", Number.NaN, "="],
  ["infinity in numeric(10,2)", "numeric(10,2)", Number.POSITIVE_INFINITY, "value.range"],
  ["a third place", "numeric(10,2)", "1.005", "value.range"],
  ["one digit too many", "numeric(4,2)", 100n, "value.range"],
  ["0.1 + 0.2", "numeric(20,17)", 0.1 + 0.2, "="],
  ["a comma", "numeric(10,2)", "1,50", "value.type"],
  ["a currency", "numeric(10,2)", "$1.50", "value.type"],
  ["2 as boolean", "boolean", 2n, "value.type"],
  ["yes as boolean", "boolean", "perhaps", "value.type"],
];

const times: readonly Line[] = [
  ["year 0, which is 1 BC", "timestamp", "0000-01-01 00:00:00", "0001-01-01 00:00:00 BC"],
  ["the last second", "timestamp", "9999-12-31 23:59:59.999999", "="],
  ["294276-12-31 by epoch", "timestamp", 9_224_318_015_999_999_999n / 1_000_000n, "294276-12-31 23:59:59", epoch("s")],
  ["a second later", "timestamp", 9_224_318_016n * 1000n, "value.time", epoch("s")],
  ["epoch 2^63", "timestamp", max64, "value.time", epoch("s")],
  ["epoch -2^63", "timestamp", min64, "value.time", epoch("us")],
  ["before Christ", "timestamp", -62_167_219_200n, "0001-01-01 00:00:00 BC", epoch("s")],
  ["the first day of PostgreSQL", "timestamp", -210_866_803_200n, "4714-11-24 00:00:00 BC", epoch("s")],
  ["a second before that", "timestamp", -210_866_803_201n, "value.time", epoch("s")],
  ["half a second of seconds", "timestamp", 0.5, "value.time", epoch("s")],
  ["NaN seconds", "timestamp", Number.NaN, "value.time", epoch("s")],
  ["Date's last millisecond", "timestamp", 8_640_000_000_000_001n, "275760-09-13 00:00:00.001", epoch("ms")],
  ["seconds where milliseconds are said", "timestamp", "1700000000", "1970-01-20 16:13:20", epoch("ms")],
  ["24:00", "timestamp", "2024-01-01 24:00:00", "value.time"],
  ["a leap second", "timestamp", "2016-12-31 23:59:60", "value.time"],
  ["February 30", "timestamp", "2024-02-30 00:00:00", "value.time"],
  ["February 29 of no leap year", "date", "2023-02-29", "value.time"],
  ["February 29", "date", "2024-02-29", "="],
  ["a zone of 16 hours", "timestamptz", "2024-01-01 00:00:00+16:00", "value.time"],
  ["a zone of 14 hours", "timestamptz", "2024-01-01 00:00:00+14:00", "2023-12-31 10:00:00+00"],
  ["a zone by name", "timestamptz", "2024-01-01 00:00:00 Europe/Paris", "value.time"],
  ["now", "timestamptz", "now", "value.time"],
  ["tomorrow, which PostgreSQL takes", "date", "tomorrow", "value.time"],
  ["infinity, too", "timestamp", "infinity", "value.time"],
  ["American", "date", "12/31/2024", "value.time"],
  ["ten digits of a second", "timestamp", "2024-01-01 00:00:00.1234567891", "value.time"],
  ["a microsecond in timestamp(3)", "timestamp(3)", "2024-01-01 00:00:00.000001", "value.time"],
  ["a time in a date", "date", "2024-01-01 00:00:01", "value.time"],
  ["a number without `from`", "timestamp", 1_700_000_000n, "value.time"],
  ["a BLOB", "timestamp", new Uint8Array(8), "value.time"],
  ["Julian day 2460311.5", "timestamp", 2_460_311.5, "2024-01-02 00:00:00", julian],
  ["Julian day infinity", "timestamp", Number.POSITIVE_INFINITY, "value.time", julian],
  ["a negative Julian day", "timestamp", -1, "value.time", julian],
  ["25 o'clock", "time", "25:00:00", "value.time"],
];

const json: readonly Line[] = [
  ["a thousand levels", "jsonb", nested(1_000), "="],
  ["one more", "jsonb", nested(1_001), "value.json"],
  ["a million levels", "json", nested(1_000_000), "value.json"],
  ["a million levels of brackets in a string", "json", JSON.stringify(many(1_000_000, "[")), "="],
  ["an escaped NUL in json", "json", '"\\u0000"', "="],
  ["an escaped NUL in jsonb", "jsonb", '"\\u0000"', "value.json"],
  ["an escaped backslash before u0000", "jsonb", '"\\\\u0000"', "="],
  ["half an escaped pair", "jsonb", '"\\ud800"', "value.json"],
  ["a whole escaped pair", "jsonb", '"\\ud83d\\ude00"', '"\u{1F600}"'],
  ["a real NUL", "json", '"\0"', "value.nul"],
  ["1e400 in json", "json", "1e400", "="],
  ["1e400 in jsonb, which is a numeric", "jsonb", "1e400", `1${many(400, "0")}`],
  ["1e140000 in jsonb", "jsonb", "1e140000", "value.json"],
  ["a duplicate key in json", "json", '{"a":1,"a":2}', "="],
  ["__proto__ as a key", "json", '{"__proto__":{"polluted":1}}', "="],
  ["NaN", "json", "NaN", "value.json"],
  ["a trailing comma", "json", "[1,]", "value.json"],
  ["a comment", "json", "/**/1", "value.json"],
  ["nothing", "json", "", "value.json"],
  ["a BLOB", "json", new Uint8Array([123, 125]), "value.json"],
  ["a hundred thousand keys", "jsonb", JSON.stringify(Object.fromEntries(Array.from({ length: 100_000 }, (_, i) => [`k${i}`, i]))), "json"],
  ["a string of 10 MB", "json", JSON.stringify(many(10_000_000, "x")), "="],
  ["a number as JSON", "json", 1.5, "1.5"],
  ["infinity as JSON", "json", Number.POSITIVE_INFINITY, "value.json"],
];

describe.each([
  ["text", text],
  ["numbers", numbers],
  ["times", times],
  ["JSON", json],
] as const)("%s:", (_, lines) => {
  it.each(lines.map(([what, type, value, outcome, conversion = null]) => [what, type, { value, outcome, conversion }] as const))(
    "%s (%s)",
    async (_what, type, { value, outcome, conversion }) => {
      const mapped = mapOne(type, value, conversion === null ? {} : { conversion });
      if (/^value\.[a-z]+$/.test(outcome)) return expect(mapped).toBe(outcome);
      const [row] = await database.query<{ read: string }>(`SELECT ($1::text)::${type}::text AS read`, [mapped]);
      if (outcome === "json") return expect(JSON.parse(row?.read ?? "")).toEqual(JSON.parse(mapped ?? ""));
      expect(row?.read).toBe(outcome === "=" ? mapped : outcome);
      return undefined;
    },
  );
});

it("a prototype is nobody's business", () => {
  mapOne("json", '{"__proto__":{"polluted":1}}');
  expect(({} as Record<string, unknown>)["polluted"]).toBe(undefined);
});
