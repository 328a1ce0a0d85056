import { expect, test } from "vitest";
import { openSqliteNumbers } from "../../../connectors/sqlite/numbers.js";
import { SourceFile } from "../../support/sqlite.js";

test("tells the numbers that SQLite gives itself, those of rows that are gone too", async () => {
  await using file = await SourceFile.of(`
    CREATE TABLE plain (id INTEGER PRIMARY KEY, v); INSERT INTO plain VALUES (4, 1), (9, 1); DELETE FROM plain WHERE id = 9;
    CREATE TABLE ever (id INTEGER PRIMARY KEY AUTOINCREMENT, v); INSERT INTO ever VALUES (7, 1); DELETE FROM ever;
    CREATE TABLE empty (id INTEGER PRIMARY KEY);
    CREATE TABLE "we""ird" ("i d" INTEGER PRIMARY KEY); INSERT INTO "we""ird" VALUES (9223372036854775807);
    CREATE TABLE low (id INTEGER PRIMARY KEY); INSERT INTO low VALUES (-5);
    CREATE TABLE int (id INT PRIMARY KEY NOT NULL); CREATE TABLE pair (a INTEGER, b INTEGER, PRIMARY KEY (a, b));
    CREATE TABLE without (id INTEGER PRIMARY KEY) WITHOUT ROWID; CREATE TABLE texts (id TEXT PRIMARY KEY NOT NULL)`);
  using numbers = openSqliteNumbers(file.path);
  const told = Object.fromEntries(numbers.given().map(({ table, column, highest }) => [`${table}.${column}`, highest]));
  expect(told).toEqual({ "plain.id": 4n, "ever.id": 7n, "empty.id": 0n, 'we"ird.i d': 9223372036854775807n, "low.id": 0n });
});
