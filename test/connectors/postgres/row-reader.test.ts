import { expect, test } from "vitest";
import type { KeyScope } from "../../../core/contracts/change.js";
import type { TableSettings } from "../../../core/settings.js";
import { tableId } from "../../../core/vocabulary/ids.js";
import { position } from "../../../core/vocabulary/position.js";
import { rowReaderContract, type RowReaderPair } from "../../contracts/row-reader-contract.js";
import { TwoSides } from "../../support/two-sides.js";

const numbers = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 60)";
const ddl = `
  CREATE TABLE plain (id INTEGER PRIMARY KEY, v TEXT, r REAL, b BLOB, at INTEGER, j JSON, f BOOLEAN, n NUMERIC(12,3));
  ${numbers} INSERT INTO plain SELECT i, 'v' || i, i / 7.0, randomblob(i % 5), 1700000000123 + i, '{"a": [1.50, ' || i || '], "é": null}', i % 2, i * 1.125 FROM n;
  INSERT INTO plain VALUES (-9223372036854775808, '', -0.0, x'', 0, '[]', 0, 0), (9223372036854775807, NULL, 9e999, NULL, NULL, NULL, NULL, NULL);
  CREATE TABLE texts (k TEXT PRIMARY KEY NOT NULL, v);
  ${numbers} INSERT INTO texts SELECT char(40 + i * 3) || 'x', i FROM n;
  INSERT INTO texts VALUES ('', 1), ('a', 2), ('A', 3), ('ä', 4), ('Z', 5), ('z', 6), ('a ', 7), ('a!', 8), (char(0xFFFD), 9), (char(0x1F600), 10), (char(0xE000), 11), ('ß', 12);
  CREATE TABLE blobs (k BLOB PRIMARY KEY NOT NULL, v);
  ${numbers} INSERT INTO blobs SELECT CAST(char(i) || 'b' AS BLOB), i FROM n;
  INSERT INTO blobs VALUES (x'', 1), (x'00', 2), (x'ff', 3), (x'ff00', 4);
  CREATE TABLE pairs (shop TEXT NOT NULL, sku INTEGER NOT NULL, v TEXT, PRIMARY KEY (shop, sku)) WITHOUT ROWID;
  ${numbers} INSERT INTO pairs SELECT substr('aAzZäß', 1 + i % 6, 1), i - 30, 'v' FROM n;
  CREATE TABLE triples (a INTEGER NOT NULL, b BLOB NOT NULL, c TEXT NOT NULL, v REAL, PRIMARY KEY (b, a, c));
  ${numbers} INSERT INTO triples SELECT i % 3, CAST('b' || (i % 4) AS BLOB), 'c' || i, i FROM n;
  CREATE TABLE reals (k REAL PRIMARY KEY NOT NULL, v);
  ${numbers} INSERT INTO reals SELECT i / 3.0 - 10, i FROM n;
  CREATE TABLE ids (k UUID PRIMARY KEY NOT NULL, v);
  ${numbers} INSERT INTO ids SELECT lower(hex(randomblob(4)) || '-' || hex(randomblob(2)) || '-' || hex(randomblob(2)) || '-' || hex(randomblob(2)) || '-' || hex(randomblob(6))), i FROM n;
  CREATE TABLE moments (k INTEGER PRIMARY KEY, v);
  ${numbers} INSERT INTO moments SELECT (i - 30) * 86400001, i FROM n;
  CREATE TABLE "odd ""name'" ("the ""key""" INTEGER PRIMARY KEY, "select" TEXT);
  ${numbers} INSERT INTO "odd ""name'" SELECT i, 'x' || i FROM n;`;
const names = ["plain", "texts", "blobs", "pairs", "triples", "reals", "ids", "moments", `odd "name'`];
const typed = (columns: Readonly<Record<string, { type: string; from?: "epoch-ms" }>>): TableSettings => ({
  to: null,
  key: null,
  columns: new Map(Object.entries(columns).map(([name, { type, from }]) => [name, { kind: "map", to: null, type, from: from ?? null }])),
});
const settings = new Map([
  ["plain", typed({ at: { type: "timestamptz", from: "epoch-ms" }, n: { type: "numeric" } })],
  ["ids", typed({ k: { type: "uuid" } })],
  ["moments", typed({ k: { type: "timestamptz", from: "epoch-ms" } })],
]);

async function open(): Promise<RowReaderPair> {
  const sides = await TwoSides.of(ddl, settings);
  const source = await sides.sourceReader();
  return {
    source,
    target: await sides.targetReader(source),
    tables: names.map(tableId),
    plain: tableId("plain"),
    exec: async (sql) => sides.exec(sql),
    sync: () => sides.sync(),
    tamper: async (sql) => void (await sides.database.query(sql)),
    [Symbol.asyncDispose]: () => sides[Symbol.asyncDispose](),
  };
}

rowReaderContract("SQLite and PostgreSQL", open);

const never = new AbortController().signal;
const whole: KeyScope = { kind: "range", after: null, upTo: null };

test("a target that is still being filled gives no rows to compare: what is missing may be on its way", async () => {
  await using sides = await TwoSides.of(ddl, settings);
  const reader = await sides.targetReader(await sides.sourceReader());
  expect(await reader.position(never)).toEqual(position(0, 0));
  const plain = tableId("plain");
  for (const read of [
    () => reader.digest(plain, whole, never),
    () => reader.digests(plain, whole, 9, never),
    () => reader.rowsByKey(plain, [[1n]], never),
  ]) {
    await expect(read()).rejects.toMatchObject({ code: "verify.not-settled" });
  }
  await sides.sync();
  expect((await reader.digest(plain, whole, never)).value.rows).toBe(62);
  await sides.database.query("UPDATE tailrace.pipeline_table SET repair = 'r' WHERE source = 'plain'");
  await expect(reader.digest(plain, whole, never)).rejects.toMatchObject({ code: "verify.not-settled" });
  expect((await reader.digest(tableId("texts"), whole, never)).value.rows).toBe(72);
});

test("types that only PostgreSQL prints are hashed as it prints them", async () => {
  const types = new Map([["t", typed({ a: { type: "interval" }, b: { type: "inet" }, c: { type: "integer[]" } })]]);
  await using sides = await TwoSides.of(
    `CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT, b TEXT, c TEXT);
     INSERT INTO t VALUES (1, '90 minutes', '::ffff:1.2.3.4/128', '{ 1, 2}'), (2, NULL, NULL, NULL), (3, '-1 mon', '10.0.0.1', '{}')`,
    types,
  );
  await sides.sync();
  const source = await sides.sourceReader();
  const target = await sides.targetReader(source);
  const [ours, theirs] = [await source.digest(tableId("t"), whole, never), await target.digest(tableId("t"), whole, never)];
  expect(ours.value).toEqual(theirs.value);
});

test("a column of another type than the plan's is a difference in kind", async () => {
  await using sides = await TwoSides.of("CREATE TABLE t (id INTEGER PRIMARY KEY, v INTEGER); INSERT INTO t VALUES (1, 1)");
  await sides.sync();
  await sides.database.query("ALTER TABLE t ALTER COLUMN v TYPE text");
  const reader = await sides.targetReader(await sides.sourceReader());
  await expect(reader.digest(tableId("t"), whole, never)).rejects.toMatchObject({
    code: "verify.differs-in-kind",
    message: "The target table does not match the plan: column 'v' is text, the plan says bigint",
  });
});

test("ranges of text keys use the index, whatever the database's own order", async () => {
  await using sides = await TwoSides.of(ddl, settings);
  await sides.sync();
  await sides.database.query("ANALYZE");
  await sides.database.query("SET enable_seqscan = off");
  const plan = await sides.database.query<{ "QUERY PLAN": string }>(
    `EXPLAIN SELECT count(*) FROM texts AS t WHERE (t.k COLLATE "C") > ('a'::text COLLATE "C") AND (t.k COLLATE "C") <= ('b'::text COLLATE "C")`,
  );
  expect(plan.map((line) => line["QUERY PLAN"]).join("\n")).toMatch(/Index Cond: .*k.*> 'a'/);
});
