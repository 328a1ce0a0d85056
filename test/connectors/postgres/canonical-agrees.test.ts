/** PostgreSQL's SQL and the JavaScript of row hash v1 say the same of every value that the mapping accepts. */
import fc from "fast-check";
import { afterAll, beforeAll, expect, test } from "vitest";
import { canonicalSql } from "../../../connectors/postgres/canonical-sql.js";
import { Connection } from "../../../connectors/postgres/connection.js";
import { parseConnectionUrl } from "../../../connectors/postgres/connection-url.js";
import type { Conversion } from "../../../core/contracts/plan.js";
import { canonicalForm, canonicalValue } from "../../../core/mapping/canonical.js";
import { parseType } from "../../../core/mapping/postgres-type.js";
import type { Value } from "../../../core/vocabulary/value.js";
import { mappingOf } from "../../core/mapping/one-column.js";
import { freshDatabase, type TestDatabase } from "../../support/postgres.js";

const seed = Number(process.env["TAILRACE_SEED"] ?? Date.now() % 1_000_000_007);

let database: TestDatabase;
let connection: Connection;
beforeAll(async () => {
  database = await freshDatabase();
  connection = await Connection.open(parseConnectionUrl(database.url), { applicationName: "test", pipelined: false });
});
afterAll(async () => {
  await connection[Symbol.asyncDispose]();
  await database[Symbol.asyncDispose]();
});

const sample = <T>(arbitrary: fc.Arbitrary<T>, count = 1_000): readonly T[] => fc.sample(arbitrary, { numRuns: count, seed });

const int64 = fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n });
const small = fc.bigInt({ min: -40_000n, max: 40_000n });
const double = fc.oneof(
  fc.double({ noNaN: true }),
  fc.float({ noNaN: true }),
  fc.integer().map((n) => n / 1000),
);
const decimalText = fc
  .tuple(
    fc.constantFrom("", "-"),
    fc.stringMatching(/^[0-9]{1,12}$/),
    fc.stringMatching(/^(\.[0-9]{1,9})?$/),
    fc.constantFrom("", "e3", "E-9"),
  )
  .map((parts) => parts.join(""));
const text = fc.oneof(fc.string({ unit: "binary" }), fc.constantFrom("", "|", "~", "~|~", "a  ", "1:a", "\u2028", "\u007f"));
const isoText = fc
  .tuple(
    fc.date({ min: new Date("0001-01-01T00:00:00Z"), max: new Date("9999-12-31T00:00:00Z"), noInvalidDate: true }),
    fc.constantFrom("", ".5", ".123456", ".000001"),
    fc.constantFrom("", "Z", "-03:30"),
  )
  .map(([date, fraction, zone]) => `${date.toISOString().slice(0, 19)}${fraction}${zone}`);
const epochSeconds = fc.bigInt({ min: -210_866_803_200n, max: 9_224_318_015_999n });
const edgeSeconds = [-210_866_803_200n, 9_089_348_860_799n, 9_089_348_860_800n, 9_224_318_015_999n, 9_007_199_254n, 9_007_199_255n];
const epoch: Conversion = { kind: "epoch", unit: "s" };
const jsonNoise = fc
  .array(fc.constantFrom("1e2", "1.50", "-0", "-0.0", "1E-7", '"a\\u0001"', '"\\/"', "1.0e3", "12345678901234567890", "0.00", "5e0"), {
    maxLength: 6,
  })
  .map((items) => `{"${items.length}": [${items.join(" ,")}], "é":{"b":1,"aa":2,"a":3,"b":null}}`);

test.each<[string, readonly Value[], Conversion]>([
  ["bigint", sample(int64), { kind: "as-is" }],
  ["integer", sample(small), { kind: "as-is" }],
  ["smallint", sample(small), { kind: "as-is" }],
  ["numeric", [...sample(decimalText), ...sample(double), ...sample(int64), "-0", "0.000"], { kind: "as-is" }],
  ["numeric(20,4)", [...sample(decimalText), ...sample(double), ...sample(small)], { kind: "as-is" }],
  ["double precision", [...sample(double), ...sample(small), 5e-324, -0, Infinity, -Infinity, 1.797e308, 1e21, 1e-7], { kind: "as-is" }],
  ["real", [...sample(double), ...sample(small), -0, Infinity, 1.401298464324817e-45], { kind: "as-is" }],
  ["boolean", [0n, 1n, "true", "FALSE"], { kind: "as-is" }],
  ["text", [...sample(text), ...sample(double), ...sample(small)], { kind: "as-is" }],
  ["character varying(9)", sample(text), { kind: "as-is" }],
  ["character(9)", [...sample(text), "a ", " a", "", " "], { kind: "as-is" }],
  ["bytea", [...sample(fc.uint8Array({ maxLength: 40 })), ...sample(text)], { kind: "as-is" }],
  ["uuid", sample(fc.uuid()), { kind: "as-is" }],
  ["json", sample(fc.json(), 300), { kind: "as-is" }],
  ["jsonb", [...sample(fc.json(), 1_000), ...sample(jsonNoise, 300)], { kind: "as-is" }],
  ["date", [...sample(fc.bigInt({ min: -2_440_588n, max: 2_145_042_905n })).map((day) => day * 86_400n), 0n], epoch],
  ["timestamp with time zone", [...sample(epochSeconds), ...edgeSeconds, ...sample(isoText)], epoch],
  ["timestamp without time zone", [...sample(epochSeconds), ...edgeSeconds, ...sample(isoText)], epoch],
  ["timestamp(3) with time zone", sample(isoText), { kind: "iso" }],
  ["time without time zone", ["00:00", "23:59:59.999999", "24:00:00", "10:11:12.5"], { kind: "as-is" }],
])(`%s (seed ${seed})`, async (type, values, conversion) => {
  const mapping = mappingOf(type, { conversion });
  const parsed = parseType(type);
  if (parsed === null) throw new Error(type);
  const form = canonicalForm(parsed);
  const accepted = values.flatMap((value) => {
    const mapped = mapping.map([1n, value]);
    const mappedText = mapped.kind === "row" ? mapped.row[1] : null;
    return mappedText === null || mappedText === undefined ? [] : [mappedText];
  });
  expect(accepted.length).toBeGreaterThan(3);
  const rows = await connection.rows<{ canonical: string; md5: string; printed: string }>(
    `SELECT ${canonicalSql("v", form)} AS canonical, md5(${canonicalSql("v", form)}) AS md5, v::text AS printed
     FROM (SELECT u.v::${type} AS v, u.i FROM unnest($1::text[]) WITH ORDINALITY AS u(v, i)) AS t ORDER BY i`,
    [accepted],
  );
  for (const [i, given] of accepted.entries()) {
    const row = rows[i];
    expect([given, canonicalValue(form, given)]).toEqual([given, row?.canonical]);
    // What a reader of the target gets is another spelling of the same value.
    expect([given, canonicalValue(form, row?.printed ?? null)]).toEqual([given, row?.canonical]);
  }
});
