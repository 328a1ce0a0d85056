import { expect, test } from "vitest";
import { keyOrderOf } from "../../../core/capture/key-order.js";
import { systemClock } from "../../../core/clock.js";
import { tableId } from "../../../core/vocabulary/ids.js";
import type { KeyScope } from "../../../core/contracts/change.js";
import { rowReaderContract, type RowReaderPair } from "../../contracts/row-reader-contract.js";
import { DuckDbSides } from "../../support/duckdb-sides.js";

const ddl = `
  CREATE TABLE plain (id BIGINT PRIMARY KEY, v VARCHAR, r DOUBLE, f FLOAT, b BLOB, moment TIMESTAMP, z TIMESTAMPTZ, d DATE, n DECIMAL(12,3), h HUGEINT, o BOOLEAN);
  INSERT INTO plain SELECT i, 'v' || i, i / 7.0, i / 3, ('b' || i)::BLOB, TIMESTAMP '2024-02-29 10:11:12.000013' + to_days(i::INTEGER), TIMESTAMPTZ '1969-12-31 23:59:59.5+00',
    DATE '2000-01-01' - i::INTEGER, i * 1.125, i * 10000000000000000000, i % 2 = 0 FROM range(1, 61) AS r(i);
  INSERT INTO plain VALUES (-9223372036854775808, '', '-0.0', '-0.0', '', 'infinity', '-infinity', '0044-03-15 (BC)', 0, -170141183460469231731687303715884105728, NULL),
    (9223372036854775807, NULL, 'inf', 'nan', NULL, '0001-01-01', 'infinity', 'infinity', -0.5, NULL, true);
  CREATE TABLE odd_values (id INTEGER PRIMARY KEY, j JSON, l INTEGER[], i INTERVAL, t TIMETZ, bits BIT, s STRUCT(a INTEGER, b VARCHAR));
  INSERT INTO odd_values SELECT i, '{"a": [1.50, ' || i || '], "é": null}', [i, NULL], to_days(i::INTEGER) + to_microseconds(i), '10:00:00+01:30', '0101', {a: i, b: 'x'} FROM range(60) AS r(i);
  CREATE TABLE texts (k VARCHAR PRIMARY KEY, v INTEGER);
  INSERT INTO texts SELECT chr((40 + i * 3)::INTEGER) || 'x', i FROM range(60) AS r(i);
  INSERT INTO texts VALUES ('', 1), ('a', 2), ('A', 3), ('ä', 4), ('Z', 5), ('z', 6), ('a ', 7), ('it''s', 8), (chr(65533), 9), (chr(128512), 10), (chr(57344), 11), ('ß', 12);
  CREATE TABLE blobs (k BLOB PRIMARY KEY, v INTEGER);
  INSERT INTO blobs SELECT (chr((65 + i % 26)::INTEGER) || i)::BLOB, i FROM range(60) AS r(i);
  INSERT INTO blobs VALUES ('', 1), ('\\x00', 2), ('\\xFF', 3), ('\\xFF\\x00', 4);
  CREATE TABLE pairs (shop VARCHAR, sku INTEGER, v VARCHAR, PRIMARY KEY (shop, sku));
  INSERT INTO pairs SELECT substr('aAzZäß', (1 + i % 6)::INTEGER, 1), i - 30, 'v' FROM range(60) AS r(i);
  CREATE TABLE triples (a INTEGER, b BLOB, c VARCHAR, v DOUBLE, PRIMARY KEY (b, a, c));
  INSERT INTO triples SELECT i % 3, ('b' || (i % 4))::BLOB, 'c' || i, i FROM range(60) AS r(i);
  CREATE TABLE decimals (k DECIMAL(20,4) PRIMARY KEY, v INTEGER);
  INSERT INTO decimals SELECT i / 4 - 7, i FROM range(60) AS r(i);
  CREATE TABLE fractions (k DECIMAL(3,3) PRIMARY KEY, v INTEGER);
  INSERT INTO fractions SELECT (i - 30) / 100, i FROM range(60) AS r(i);
  CREATE TABLE huge (k UHUGEINT PRIMARY KEY, v INTEGER);
  INSERT INTO huge SELECT i * 1000000000000000000000, i FROM range(60) AS r(i);
  INSERT INTO huge VALUES (340282366920938463463374607431768211455, -1);
  CREATE TABLE ids (k UUID PRIMARY KEY, v INTEGER);
  INSERT INTO ids SELECT uuid(), i FROM range(60) AS r(i);
  CREATE TABLE moments (k TIMESTAMP PRIMARY KEY, v INTEGER);
  INSERT INTO moments SELECT TIMESTAMP '1970-01-01' + to_microseconds((i - 30) * 86400000001), i FROM range(60) AS r(i);
  INSERT INTO moments VALUES ('infinity', 1), ('-infinity', 2);
  CREATE TABLE zoned (k TIMESTAMPTZ PRIMARY KEY, v INTEGER);
  INSERT INTO zoned SELECT TIMESTAMPTZ '1970-01-01 00:00:00+00' + to_microseconds((i - 30) * 86400000001), i FROM range(60) AS r(i);
  CREATE TABLE days (k DATE PRIMARY KEY, v INTEGER);
  INSERT INTO days SELECT DATE '1970-01-01' + ((i - 30) * 100)::INTEGER, i FROM range(60) AS r(i);
  INSERT INTO days VALUES ('infinity', 1), ('-infinity', 2), ('0044-03-15 (BC)', 3);
  CREATE TABLE clashing (k0 INTEGER, k1 INTEGER, h VARCHAR, g DOUBLE, j JSON, n INTEGER, s STRUCT(r INTEGER), PRIMARY KEY (k1, k0));
  INSERT INTO clashing SELECT i % 6, i, 'h', i, '{}', i, {r: i} FROM range(60) AS r(i);
  CREATE TABLE bag (a INTEGER, b VARCHAR, c DOUBLE);
  INSERT INTO bag SELECT i % 7, CASE WHEN i % 5 = 0 THEN NULL ELSE 'b' || (i % 3) END, i % 2 FROM range(80) AS r(i);
  CREATE TABLE odd_bag (a INTEGER[], b INTERVAL);
  INSERT INTO odd_bag SELECT [i % 7], to_days((i % 3)::INTEGER) FROM range(80) AS r(i);
  CREATE TABLE "odd ""name'" ("the ""key""" INTEGER PRIMARY KEY, "select" VARCHAR);
  INSERT INTO "odd ""name'" SELECT i, 'x' || i FROM range(60) AS r(i);`;
const names = [
  "plain",
  "odd_values",
  "texts",
  "blobs",
  "pairs",
  "triples",
  "decimals",
  "fractions",
  "huge",
  "ids",
  "moments",
  "zoned",
  "days",
  "clashing",
];

async function open(): Promise<RowReaderPair> {
  const sides = await DuckDbSides.of(ddl);
  const source = await sides.sourceReader();
  return {
    source,
    target: await sides.targetReader(source),
    tables: [...names, "bag", "odd_bag", `odd "name'`].map(tableId),
    orderOf: (table) => keyOrderOf(source.describe(table)),
    plain: tableId("plain"),
    exec: async (sql) => {
      await sides.file.run(sql);
      await sides.told();
    },
    sync: () => sides.sync(),
    tamper: async (sql) => void (await sides.database.query(sql)),
    [Symbol.asyncDispose]: () => sides[Symbol.asyncDispose](),
  };
}

rowReaderContract("DuckDB and PostgreSQL", open);

const never = new AbortController().signal;
const whole: KeyScope = { kind: "range", after: null, upTo: null };

test("a copy is held for a while, and what changed since is told as it was at each position", async () => {
  await using sides = await DuckDbSides.of(
    "CREATE TABLE t (id INTEGER PRIMARY KEY, v VARCHAR); INSERT INTO t SELECT range, 'a' FROM range(100)",
  );
  const table = tableId("t");
  await sides.sync();
  const reader = await sides.sourceReader(600_000);
  const first = await reader.digest(table, whole, never);
  await sides.file.run("UPDATE t SET v = 'b' WHERE id < 2; DELETE FROM t WHERE id = 7");
  const second = await sides.told();
  await sides.file.run("UPDATE t SET v = 'c' WHERE id = 1; INSERT INTO t VALUES (200, 'new')");
  const third = await sides.told();
  expect((await reader.position(never)).order).toBe(first.at.order);
  expect((await reader.digest(table, whole, never)).at.order).toBe(first.at.order);
  const changed: unknown[] = [];
  for await (const page of reader.changedKeys({ after: first.at, upTo: third }, never)) changed.push(...page.map(({ key }) => key[0]));
  expect(new Set(changed)).toEqual(new Set([0n, 1n, 200n, 7n]));
  expect(changed.length).toBe(4);
  const rows = await reader.identify(table, [[0n], [1n], [7n], [200n], [9n]], never);
  const then = async (upTo: typeof second): Promise<unknown> => {
    const images = await reader.changedRows(table, rows, { after: first.at, upTo }, never);
    return rows.map(({ id }) => images.get(id)).map((image) => (image?.kind === "row" ? image.row[1] : (image?.kind ?? "same")));
  };
  expect(await then(second)).toEqual(["b", "b", "absent", "same", "same"]);
  expect(await then(third)).toEqual(["b", "c", "absent", "new", "same"]);
  await expect(
    reader.changedRows(table, rows, { after: first.at, upTo: { ...third, order: third.order + 1 } }, never),
  ).rejects.toMatchObject({
    code: "source.pruned",
  });
});

test("a copy whose log takes long to replay is held for as long as makes that worth it", async () => {
  await using sides = await DuckDbSides.of("CREATE TABLE t (id INTEGER PRIMARY KEY); INSERT INTO t SELECT range FROM range(10)");
  await sides.sync();
  // A second passes with each look at this clock, so that attaching a copy took one.
  let nowMs = 0;
  const reader = await sides.sourceReader(1, { ...systemClock, monotonicMs: () => (nowMs += 1_000) });
  const first = await reader.position(never);
  await sides.file.run("INSERT INTO t VALUES (100)");
  const second = await sides.told();
  const seen: number[] = [];
  for (let n = 0; n < 5; n++) seen.push((await reader.position(never)).order);
  expect(seen.slice(0, 3)).toEqual([first.order, first.order, first.order]);
  expect(seen.at(-1)).toBe(second.order);
});
