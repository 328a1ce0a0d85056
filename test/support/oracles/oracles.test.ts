/** The oracles find what is planted and nothing else: an oracle that sees nothing proves nothing. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import Database from "better-sqlite3";
import { Client } from "pg";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { ApplicationReport } from "../hostile-application.js";
import { freshDatabase, type TestDatabase } from "../postgres.js";
import { ledgerFaults } from "./ledger.js";
import { differences } from "./tables-equal.js";

let folder = "";
let file = "";
let target: TestDatabase;
let client: Client;

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), "tailrace-oracles-"));
  file = join(folder, "app.db");
  target = await freshDatabase();
  client = new Client({ connectionString: target.url });
  await client.connect();
  const db = new Database(file);
  db.exec(`
    CREATE TABLE t (id INTEGER PRIMARY KEY, r REAL, w TEXT, b BLOB, f BOOLEAN, m INTEGER);
    INSERT INTO t VALUES (1, 0.1, 'ä', x'00ff', 1, 1700000000123), (2, 9e999, '', x'', 0, 0), (9223372036854775807, NULL, NULL, NULL, NULL, NULL);
    CREATE TABLE tx_ledger (id INTEGER PRIMARY KEY, kind TEXT);
    INSERT INTO tx_ledger VALUES (1, 'a'), (2, 'b');
  `);
  db.close();
  await client.query(`
    CREATE TABLE t (id bigint, r double precision, w text, b bytea, f boolean, m timestamptz);
    INSERT INTO t VALUES (1, 0.1, 'ä', '\\x00ff', true, to_timestamp(1700000000.123)), (2, 'Infinity', '', '', false, to_timestamp(0)),
      (9223372036854775807, NULL, NULL, NULL, NULL, NULL);
    CREATE TABLE tx_ledger (id bigint, kind text);
    INSERT INTO tx_ledger VALUES (1, 'a'), (2, 'b');
  `);
});

afterEach(async () => {
  await client.end();
  await target[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true, force: true });
});

describe("equal tables", () => {
  it("are called equal over all types", async () => {
    expect(await differences(file, client)).toEqual([]);
  });

  it.each([
    ["a float's last bit", "UPDATE t SET r = 0.1 + 1e-17 + 2e-17 WHERE id = 1"],
    ["infinity's sign", "UPDATE t SET r = '-Infinity' WHERE id = 2"],
    ["one character", "UPDATE t SET w = 'a' WHERE id = 1"],
    ["empty text for NULL", "UPDATE t SET w = '' WHERE id = 9223372036854775807"],
    ["NULL for an empty blob", "UPDATE t SET b = NULL WHERE id = 2"],
    ["a key beyond 2^53", "UPDATE t SET id = 9223372036854775806 WHERE id = 9223372036854775807"],
    ["a millisecond", "UPDATE t SET m = m + interval '1 ms' WHERE id = 1"],
    ["a flag", "UPDATE t SET f = NOT f WHERE id = 2"],
    ["a missing row", "DELETE FROM t WHERE id = 1"],
    ["a doubled row", "INSERT INTO t SELECT * FROM t WHERE id = 1"],
    ["a missing table", "DROP TABLE t"],
    ["a missing column", "ALTER TABLE t DROP COLUMN w"],
  ])("are called different for %s", async (_what, sql) => {
    await client.query(sql);
    expect((await differences(file, client)).map(({ table }) => table)).toEqual(["t"]);
  });
});

describe("the ledger", () => {
  const report = (change: Partial<ApplicationReport> = {}): ApplicationReport => ({
    acknowledged: new Set([1, 2]),
    rolled: new Set([3]),
    attemptedTo: 4,
    faults: [],
    slowestMs: 0,
    ...change,
  });

  it("is content when each transaction is there once", async () => {
    expect(await ledgerFaults(file, client, report())).toEqual([]);
  });

  it.each([
    ["twice", "INSERT INTO tx_ledger VALUES (1, 'a')"],
    ["lost", "DELETE FROM tx_ledger WHERE id = 2"],
    ["rolled back and there", "INSERT INTO tx_ledger VALUES (3, 'c')"],
    ["never attempted", "INSERT INTO tx_ledger VALUES (99, 'z')"],
  ])("names a transaction that is %s", async (_what, sql) => {
    await client.query(sql);
    expect((await ledgerFaults(file, client, report())).length).toBeGreaterThan(0);
  });
});
