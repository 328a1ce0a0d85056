/** What the mapping accepts, a real PostgreSQL accepts, and holds exactly what the source had. */
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Conversion } from "../../../core/contracts/plan.js";
import { parseDecimal, sameDecimal } from "../../../core/mapping/decimal.js";
import type { Value } from "../../../core/vocabulary/value.js";
import { freshDatabase, type TestDatabase } from "../../support/postgres.js";
import { mappingOf, type OneColumn } from "./one-column.js";

let database: TestDatabase;
beforeAll(async () => {
  database = await freshDatabase();
  await database.query("SET timezone = 'Asia/Kolkata'");
});
afterAll(async () => {
  await database[Symbol.asyncDispose]();
});

/** Accepted values with the text they were mapped to and the text PostgreSQL reads back, in UTC. */
async function readBack(type: string, values: readonly Value[], options: OneColumn = {}): Promise<readonly [Value, string, string][]> {
  const mapping = mappingOf(type, options);
  const accepted = values.flatMap((value): readonly [Value, string][] => {
    const mapped = mapping.map([1n, value]);
    const text = mapped.kind === "row" ? mapped.row[1] : null;
    return text === null || text === undefined ? [] : [[value, text]];
  });
  await database.query("SET timezone = 'UTC'");
  const rows = await database.query<{ back: string }>(
    `SELECT v::${type}::text AS back FROM unnest($1::text[]) WITH ORDINALITY AS u(v, i) ORDER BY i`,
    [accepted.map(([, text]) => text)],
  );
  return accepted.map(([value, text], i) => [value, text, rows[i]?.back ?? ""]);
}

const sample = <T>(arbitrary: fc.Arbitrary<T>, count = 3_000): readonly T[] => fc.sample(arbitrary, { numRuns: count, seed: 20261120 });

const decimalText = fc
  .tuple(
    fc.constantFrom("", "-", "+"),
    fc.stringMatching(/^[0-9]{0,12}$/),
    fc.constantFrom("", "."),
    fc.stringMatching(/^[0-9]{0,8}$/),
    fc.constantFrom("", "e3", "E-4", "e+10", "e-0"),
  )
  .map((parts) => parts.join(""));
const int64 = fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n });

describe("numbers", () => {
  const values: readonly Value[] = [
    ...sample(int64),
    ...sample(fc.double()),
    ...sample(decimalText),
    ...sample(fc.integer({ min: -70_000, max: 70_000 })).map(BigInt),
  ];

  test.each(["bigint", "integer", "smallint"])("%s", async (type) => {
    const back = await readBack(type, values);
    expect(back.length).toBeGreaterThan(100);
    for (const [, text, read] of back) expect(read).toBe(text);
  });

  test.each(["numeric", "numeric(10,2)", "numeric(30,8)", "numeric(4,4)"])("%s", async (type) => {
    const back = await readBack(type, values);
    expect(back.length).toBeGreaterThan(100);
    for (const [value, , read] of back) {
      if (typeof value === "number" && !Number.isFinite(value)) {
        expect(read).toBe(String(value));
        continue;
      }
      const given =
        typeof value === "string" || typeof value === "number" || typeof value === "bigint" ? parseDecimal(value.toString()) : null;
      const held = parseDecimal(read);
      expect(given !== null && held !== null && sameDecimal(given, held)).toBe(true);
    }
  });

  test.each(["double precision", "real"])("%s", async (type) => {
    const back = await readBack(type, values);
    expect(back.length).toBeGreaterThan(100);
    // PostgreSQL prints a float4 in its own shortest form, which is another double than the float4 it means.
    const held = type === "real" ? Math.fround : (n: number): number => n;
    for (const [value, , read] of back) expect(Object.is(held(Number(read)), Number(value))).toBe(true);
  });

  test("the limits of numeric", async () => {
    const edges = ["9".repeat(131_072), "1e131071", "1e-16383", `0.${"0".repeat(16_382)}1`, "0e131072"];
    expect(await readBack("numeric", edges)).toHaveLength(edges.length);
  });
});

test("text, bytea and uuid", async () => {
  const texts = sample(fc.string({ unit: "binary" }));
  const blobs = sample(fc.uint8Array({ maxLength: 20 }));
  for (const type of ["text", "character varying(5)", "bytea"]) {
    const back = await readBack(type, [...texts, ...blobs]);
    expect(back.length).toBeGreaterThan(100);
    for (const [, text, read] of back) expect(read).toBe(text);
  }
  const uuids = await readBack("uuid", [...sample(fc.uuid()), ...sample(fc.uint8Array({ minLength: 16, maxLength: 16 }))]);
  for (const [, text, read] of uuids) expect(read).toBe(text);
});

describe("json", () => {
  const noise = fc.stringMatching(/^[[\]{}",:0-9eE.\-tfnulrse\\u ]{0,12}$/);
  const escapes = fc
    .array(fc.constantFrom("\\u0000", "\\ud83d", "\\ude00", "\\\\", "\\u00e9", "a", "\\n"), { maxLength: 5 })
    .map((parts) => `"${parts.join("")}"`);
  const numbers = fc.tuple(fc.integer(), fc.integer({ min: -17_000, max: 132_000 })).map(([digits, power]) => `[${digits}e${power}]`);
  const texts = [...sample(fc.json(), 1_000), ...sample(noise, 3_000), ...sample(escapes), ...sample(numbers, 300)];

  test.each(["json", "jsonb"])("%s is taken exactly when PostgreSQL takes it", async (type) => {
    const accepted = new Set((await readBack(type, texts)).map(([value]) => value));
    await database.query(
      `CREATE OR REPLACE FUNCTION takes_${type}(v text) RETURNS boolean LANGUAGE plpgsql AS
       $$ BEGIN PERFORM v::${type}; RETURN true; EXCEPTION WHEN OTHERS THEN RETURN false; END $$`,
    );
    const clean = texts.filter((text) => !text.includes("\0"));
    const rows = await database.query<{ takes: boolean }>(
      `SELECT takes_${type}(v) AS takes FROM unnest($1::text[]) WITH ORDINALITY AS u(v, i) ORDER BY i`,
      [clean],
    );
    for (const [i, text] of clean.entries()) expect([text, accepted.has(text)]).toEqual([text, rows[i]?.takes]);
  });

  test("a thousand levels are no burden", async () => {
    expect(await readBack("jsonb", ["[".repeat(1000) + "]".repeat(1000)])).toHaveLength(1);
  });
});

describe("times", () => {
  const isoText = fc
    .tuple(
      fc.date({ min: new Date("0001-01-01T00:00:00Z"), max: new Date("9999-12-31T00:00:00Z"), noInvalidDate: true }),
      fc.constantFrom("", ".5", ".123456", ".999999", ".1200000"),
      fc.constantFrom("", "Z", "+01", "-03:30", "+1559"),
      fc.constantFrom(" ", "T"),
    )
    .map(([date, fraction, zone, between]) => `${date.toISOString().slice(0, 19).replace("T", between)}${fraction}${zone}`);
  const edges = ["0000-01-01", "0000-12-31 23:59:59.999999", "294276-12-31 23:59:59.999999", "10000-01-01 00:00:00", "2000-02-29"];

  test.each(["timestamp with time zone", "timestamp without time zone", "timestamp(3) with time zone"])(
    "%s from ISO text",
    async (type) => {
      const back = await readBack(type, [...sample(isoText), ...edges], { conversion: { kind: "iso" } });
      expect(back.length).toBeGreaterThan(100);
      for (const [, text, read] of back) expect(read).toBe(text);
    },
  );

  test("PostgreSQL reads the source's own text as the same moment, when it is told that no zone means UTC", async () => {
    const back = await readBack("timestamp with time zone", sample(isoText), { conversion: { kind: "iso" } });
    const own = await database.query<{ own: string }>(
      "SELECT v::timestamptz::text AS own FROM unnest($1::text[]) WITH ORDINALITY AS u(v, i) ORDER BY i",
      [back.map(([value]) => value)],
    );
    for (const [i, [, , read]] of back.entries()) expect(own[i]?.own).toBe(read);
  });

  test.each<[string, Conversion, bigint]>([
    ["s", { kind: "epoch", unit: "s" }, 1n],
    ["ms", { kind: "epoch", unit: "ms" }, 1_000n],
    ["us", { kind: "epoch", unit: "us" }, 1_000_000n],
  ])("epoch numbers in %s over the whole range", async (_, conversion, perSecond) => {
    const min = -210_866_803_200n * perSecond;
    const end = 9_224_318_016_000n * perSecond;
    // In the last days before 2^63 microseconds PostgreSQL's extract() itself is not exact.
    const max = end > 2n ** 63n ? 2n ** 63n - 10n ** 15n : end - 1n;
    const values = [min, max, ...sample(fc.bigInt({ min, max })), ...sample(fc.bigInt({ min: -1000n, max: 1000n }), 100)];
    const back = await readBack("timestamp with time zone", values, { conversion });
    expect(back).toHaveLength(values.length);
    for (const [, text, read] of back) expect(read).toBe(text);
    const counted = await database.query<{ micros: string }>(
      "SELECT trunc(extract(epoch FROM v::timestamptz) * 1000000)::text AS micros FROM unnest($1::text[]) WITH ORDINALITY AS u(v, i) ORDER BY i",
      [back.map(([, text]) => text)],
    );
    for (const [i, value] of values.entries()) expect(counted[i]?.micros).toBe((value * (1_000_000n / perSecond)).toString());
  });

  test("dates over the whole range", async () => {
    const days = [-2_440_588n, 2_145_042_905n, ...sample(fc.bigInt({ min: -2_440_588n, max: 2_145_042_905n }))];
    const values = days.map((day) => day * 86_400n);
    const back = await readBack("date", values, { conversion: { kind: "epoch", unit: "s" } });
    expect(back).toHaveLength(values.length);
    for (const [, text, read] of back) expect(read).toBe(text);
  });

  test("times of day", async () => {
    const values = ["00:00", "23:59:59.999999", "24:00:00", "10:11:12.5"];
    const back = await readBack("time without time zone", values);
    expect(back.map(([, text, read]) => [text, read])).toEqual(back.map(([, text]) => [text, text]));
    expect(back).toHaveLength(4);
  });

  test("Julian days read as SQLite reads them", async () => {
    const ms = sample(fc.integer({ min: 0, max: 464_269_060_799_999 }), 1_000);
    const back = await readBack(
      "timestamp with time zone",
      ms.map((one) => one / 86_400_000),
      { conversion: { kind: "julian-day" } },
    );
    expect(back).toHaveLength(ms.length);
    const counted = await database.query<{ ms: string }>(
      "SELECT round(extract(epoch FROM v::timestamptz) * 1000)::bigint::text AS ms FROM unnest($1::text[]) WITH ORDINALITY AS u(v, i) ORDER BY i",
      [back.map(([, text]) => text)],
    );
    for (const [i, one] of ms.entries()) expect(Number(counted[i]?.ms)).toBe(one - 210_866_760_000_000);
  });
});
