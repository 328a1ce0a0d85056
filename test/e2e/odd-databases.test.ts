/** Databases that nobody designs and everybody has: many tables, wide ones, names that break things, nothing at all, one huge transaction. */
import Database from "better-sqlite3";
import { describe, expect, it } from "vitest";
import { Operator } from "./operator.js";

const many = 120;
const wide = 500;
const odd = '"odd ""name"" with; drop -- näme"';

function build(file: string): void {
  const db = new Database(file);
  const name = (i: number): string => `c${i} ${["INTEGER", "TEXT", "REAL", "BLOB"][i % 4] ?? ""}`;
  db.exec(`PRAGMA journal_mode = WAL;
    CREATE TABLE wide (id INTEGER PRIMARY KEY, ${Array.from({ length: wide }, (_, i) => name(i)).join(", ")});
    CREATE TABLE ${odd} ("the ""key""" INTEGER PRIMARY KEY, "select" TEXT, "a b" TEXT, "__proto__" TEXT, "ünï ☃" TEXT);
    CREATE TABLE "__proto__" ("constructor" TEXT PRIMARY KEY NOT NULL, "toString" TEXT) WITHOUT ROWID;
    CREATE TABLE "Ünï.cödé" (id INTEGER PRIMARY KEY, "x.y" TEXT);
    CREATE TABLE cuts (id INTEGER PRIMARY KEY); CREATE TABLE snapshot (id INTEGER PRIMARY KEY); CREATE TABLE "order" (id INTEGER PRIMARY KEY, "group" TEXT);
    CREATE TABLE pair (a TEXT NOT NULL, b INTEGER NOT NULL, c BLOB NOT NULL, v TEXT, PRIMARY KEY (a, b, c)) WITHOUT ROWID;
    CREATE TABLE sums (id INTEGER PRIMARY KEY, n INTEGER, twice INTEGER GENERATED ALWAYS AS (n * 2) STORED, label TEXT GENERATED ALWAYS AS ('n' || n) VIRTUAL);
    CREATE TABLE mixed_key (code INTEGER_OR_TEXT NOT NULL PRIMARY KEY, v TEXT);
    CREATE TABLE loose (id TEXT PRIMARY KEY, v); CREATE TABLE heap (a, b);
    CREATE VIRTUAL TABLE words USING fts5 (body); CREATE VIEW seen AS SELECT * FROM cuts;
    INSERT INTO ${odd} VALUES (1, 's', 'b', 'p', '☃'); INSERT INTO "__proto__" VALUES ('__proto__', 'a'), ('b', NULL); INSERT INTO "Ünï.cödé" VALUES (1, 'z');
    INSERT INTO cuts VALUES (1); INSERT INTO "order" VALUES (1, 'g'); INSERT INTO pair VALUES ('x', 1, x'00ff', 'v'), ('x', 1, x'', NULL), ('é', -5, x'01', 't');
    INSERT INTO sums (id, n) VALUES (1, 3), (2, NULL); INSERT INTO mixed_key VALUES (1, 'n'), ('a', 't'); INSERT INTO loose VALUES (NULL, 1); INSERT INTO words VALUES ('x');
    INSERT INTO wide (id, c0, c1, c2, c3) VALUES (1, 9223372036854775807, 'text', 1e300, x'00'), (2, -1, '', -0.5, NULL)`);
  for (let i = 0; i < many; i++)
    db.exec(`CREATE TABLE t${i} (id INTEGER PRIMARY KEY, v TEXT); INSERT INTO t${i} VALUES (1, 'a'), (2, 'b')`);
  db.close();
}

describe("an odd database", () => {
  it("arrives whole, and names what it leaves out", { timeout: 480_000 }, async () => {
    await using operator = await Operator.make({ ddl: "SELECT 1" });
    build(operator.file);
    const leftOut = ((await operator.answer("plan"))["leftOut"] as { table: string; code: string }[]).map(
      ({ table, code }) => `${table} ${code}`,
    );
    expect(leftOut.filter((line) => !line.startsWith("words")).sort()).toEqual([
      "heap table.no-key",
      "loose table.null-key",
      "mixed_key plan.key-order",
    ]);
    const without = leftOut.map((line) => line.split(" ")[0] ?? "");
    expect(await operator.answer("apply")).toMatchObject({
      leftOut: expect.arrayContaining([{ table: "mixed_key", code: "plan.key-order", reason: expect.any(String) as unknown }]) as unknown,
    });
    const running = operator.run();
    await operator.caughtUp();
    expect(await operator.different({ without })).toEqual([]);
    operator.sql(`BEGIN; UPDATE wide SET c499 = x'ff', c1 = 'new'; INSERT INTO "__proto__" VALUES ('hasOwnProperty', 'x'); DELETE FROM "__proto__" WHERE "constructor" = '__proto__';
      UPDATE ${odd} SET "the ""key""" = 5, "__proto__" = 'changed'; UPDATE sums SET n = n + 1; UPDATE pair SET b = 7 WHERE c = x''; DELETE FROM cuts;
      ${Array.from({ length: many }, (_, i) => `UPDATE t${i} SET v = v || 'x' WHERE id = 1; DELETE FROM t${i} WHERE id = 2;`).join("\n")} COMMIT;
      WITH RECURSIVE n (i) AS (SELECT 1000 UNION ALL SELECT i + 1 FROM n WHERE i < 41000) INSERT INTO t1 SELECT i, 'row ' || i FROM n`);
    await operator.caughtUp();
    expect(await operator.different({ without })).toEqual([]);
    await running.stop();
  });

  it("that is empty is refused by apply with a sentence, and moved once it has a table, empty as that may be", {
    timeout: 120_000,
  }, async () => {
    await using operator = await Operator.make({ ddl: "PRAGMA journal_mode = WAL; CREATE TABLE x (id INTEGER PRIMARY KEY); DROP TABLE x" });
    expect(await operator.refusal("apply")).toEqual({ exit: 7, code: "plan.refused", message: "There is no table that can be captured" });
    operator.sql("CREATE TABLE empty (id INTEGER PRIMARY KEY, v TEXT)");
    await operator.answer("apply");
    const running = operator.run();
    await operator.caughtUp();
    operator.sql("INSERT INTO empty VALUES (1, 'no more')");
    await operator.caughtUp();
    expect(await operator.different()).toEqual([]);
    await running.stop();
  });
});
