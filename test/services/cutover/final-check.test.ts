import { expect, it } from "vitest";
import { RowComparer } from "../../../connectors/postgres/cutover/compare-rows.js";
import { connectTarget } from "../../../connectors/postgres/connect.js";
import { openSqliteInspector } from "../../../connectors/sqlite/inspect/inspector.js";
import type { FinalCheck } from "../../../core/contracts/cutover.js";
import { TailraceError } from "../../../core/errors.js";
import { makePlan } from "../../../core/plan/make-plan.js";
import { pipelineId, theGroup } from "../../../core/vocabulary/ids.js";
import { position } from "../../../core/vocabulary/position.js";
import { CheapestCheck } from "../../../services/cutover/cheapest-check.js";
import { WholeCheck } from "../../../services/cutover/whole-check.js";
import { nothingStale } from "../../contracts/target-fixtures.js";
import { freshDatabase } from "../../support/postgres.js";
import { SourceFile } from "../../support/sqlite.js";

const never = new AbortController().signal;
const at = position(0, 1);

it("reading every row finds each row that is missing, too many or different, and nothing else", async () => {
  await using file = await SourceFile.of(`
    CREATE TABLE t (id INTEGER PRIMARY KEY, r REAL, s TEXT, b BLOB, n NUMERIC);
    INSERT INTO t VALUES (1, 0.1, 'a', x'00ff', 1), (2, 5e-324, NULL, NULL, 1.50), (3, 2.5, '💧', x'', NULL);
    CREATE TABLE pair (a TEXT NOT NULL, b INTEGER NOT NULL, v, PRIMARY KEY (a, b)) WITHOUT ROWID;
    INSERT INTO pair VALUES ('x', 1, 'one'), ('x', 2, 'two')`);
  await using database = await freshDatabase();
  const pipeline = pipelineId("check");
  using inspector = openSqliteInspector(file.path, { group: theGroup });
  const catalog = inspector.catalog();
  const profiles = new Map(catalog.tables.map((table) => [table.description.table, inspector.profile(table)]));
  const settings = { tables: new Map(), onlyListedTables: false, target: { url: null, schema: "public" } };
  const { plan } = makePlan({ pipeline, prefix: "check", settings, catalog, profiles, now: new Date(0) });
  const target = await connectTarget({ url: database.url, pipeline }, never);
  await target.prepare(plan, nothingStale, never);
  await database.query("INSERT INTO t VALUES (1, 0.1, 'a', '\\x00ff', 1), (2, 5e-324, NULL, NULL, 1.5), (3, 2.5, '💧', '', NULL)");
  await database.query("INSERT INTO pair VALUES ('x', 1, 'one'), ('x', 2, 'two')");
  await using comparer = await RowComparer.open(database.url);
  const check = new WholeCheck({ inspector, target: comparer, tables: plan.tables });
  expect(await check.check(at, never)).toEqual({ equal: true, rowsRead: 5, different: 0 });
  expect(await check.cost()).toMatchObject({ dirtyRows: 5, oldestProofMs: 0 });
  for (const [spoil, mend] of [
    ["UPDATE t SET r = 0.2 WHERE id = 1", "UPDATE t SET r = 0.1 WHERE id = 1"],
    ["UPDATE t SET s = '' WHERE id = 2", "UPDATE t SET s = NULL WHERE id = 2"],
    ["DELETE FROM pair WHERE b = 2", "INSERT INTO pair VALUES ('x', 2, 'two')"],
    ["INSERT INTO pair VALUES ('y', 1, 'more')", "DELETE FROM pair WHERE a = 'y'"],
  ] as const) {
    await database.query(spoil);
    expect((await check.check(at, never)).equal, spoil).toBe(false);
    await database.query(mend);
    expect((await check.check(at, never)).equal, mend).toBe(true);
  }
});

const checkOf = (
  name: string,
  oldestProofMs: number | null,
  code: "verify.unproven" | null = null,
): FinalCheck & { readonly asked: string[] } => {
  const asked: string[] = [];
  return {
    asked,
    advance: () => Promise.resolve(0),
    cost: () => Promise.resolve({ dirtyRows: 1, dirtyChunks: 1, oldestProofMs }),
    check: () => {
      asked.push(name);
      if (code !== null) return Promise.reject(new TailraceError(code, { what: "gone" }));
      return Promise.resolve({ equal: true, rowsRead: 1, different: 0 });
    },
  };
};

it("relies on a proof where there is one, and on nothing where there is none", async () => {
  for (const [age, wanted] of [
    [1_000, "proven"],
    [null, "whole"],
  ] as const) {
    const [proven, whole] = [checkOf("proven", age), checkOf("whole", 0)];
    const check = new CheapestCheck(proven, whole);
    await check.cost(never);
    await check.check(at, never);
    expect([...proven.asked, ...whole.asked]).toEqual([wanted]);
  }
});

it("reads everything when the proof is lost on the way", async () => {
  const [proven, whole] = [checkOf("proven", 5, "verify.unproven"), checkOf("whole", 0)];
  const check = new CheapestCheck(proven, whole);
  await check.cost(never);
  expect((await check.check(at, never)).equal).toBe(true);
  expect(whole.asked).toEqual(["whole"]);
});
