/** The final check by digests, over a live SQLite file and a real PostgreSQL that stand still. */
import { expect, test } from "vitest";
import { openPostgresRowReader } from "../../../connectors/postgres/row-reader.js";
import type { FinalCheck } from "../../../core/contracts/cutover.js";
import { theGroup } from "../../../core/vocabulary/ids.js";
import { position } from "../../../core/vocabulary/position.js";
import { DigestCheck } from "../../../services/cutover/digest-check.js";
import { TwoSides } from "../../support/two-sides.js";

const never = new AbortController().signal;
const ddl = `
  CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT, at INTEGER);
  WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000) INSERT INTO t SELECT i, 'n' || i, i FROM n;
  CREATE TABLE pair (a TEXT NOT NULL, b INTEGER NOT NULL, v, PRIMARY KEY (a, b)) WITHOUT ROWID;
  INSERT INTO pair VALUES ('k', 1, 1), ('k', 2, NULL), ('', 3, 'x');
  CREATE TABLE empty (id INTEGER PRIMARY KEY);`;

/** What it turns to when digests do not settle it; how often it was asked. */
class Rows implements FinalCheck {
  asked = 0;
  cost = (): ReturnType<FinalCheck["cost"]> => Promise.resolve({ dirtyRows: 7, dirtyChunks: 1, oldestProofMs: 0 });
  advance = (): Promise<number> => Promise.resolve(0);
  check(): ReturnType<FinalCheck["check"]> {
    this.asked += 1;
    return Promise.resolve({ equal: false, rowsRead: 3, different: 2 });
  }
}

async function checked(two: TwoSides): Promise<{ readonly check: DigestCheck; readonly rows: Rows }> {
  const { plan, file, database } = two;
  const rows = new Rows();
  const open = async () => {
    const source = await two.sourceReader();
    const describe: Parameters<typeof openPostgresRowReader>[0]["describe"] = (table) => source.describe(table);
    const options = { url: database.url, pipeline: file.pipeline, group: theGroup, plan, describe, labelled: false };
    const target = await openPostgresRowReader(options, never);
    return { source, target, [Symbol.asyncDispose]: () => target[Symbol.asyncDispose]() };
  };
  return { check: new DigestCheck({ tables: plan.tables.map(({ source }) => source), open, rows }), rows };
}

test("equal sides are proven by digests, also where no direction is active; else rows are compared", async () => {
  await using two = await TwoSides.of(ddl);
  await two.sync();
  await two.database.query("UPDATE tailrace.pipeline SET active = false");
  const { check, rows } = await checked(two);
  expect(await check.cost(never)).toMatchObject({ dirtyRows: 7 });
  expect(await check.check(position(1, 1), never)).toEqual({ equal: true, rowsRead: 20_003, different: 0 });
  expect(rows.asked).toBe(0);
  await two.database.query("UPDATE pair SET v = 'y' WHERE b = 3");
  expect(await check.check(position(1, 1), never)).toEqual({ equal: false, rowsRead: 3, different: 2 });
  await two.database.query("UPDATE pair SET v = 'x' WHERE b = 3");
  await two.database.query("DELETE FROM t WHERE id = 20000");
  expect((await check.check(position(1, 1), never)).equal).toBe(false);
  expect(rows.asked).toBe(2);
});

test("a column of another type is for the comparison of rows to judge", async () => {
  await using two = await TwoSides.of("CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT); INSERT INTO t VALUES (1, 'a')");
  await two.sync();
  await two.database.query("ALTER TABLE t ALTER COLUMN name TYPE varchar(40)");
  const { check, rows } = await checked(two);
  await check.check(position(1, 1), never);
  expect(rows.asked).toBe(1);
});
