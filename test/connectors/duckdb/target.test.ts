/** What is DuckDB's own: its types there and back, constraints that it asks too early, and a file that others want as well. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { afterEach, expect, it } from "vitest";
import { openDuckDbTarget } from "../../../connectors/duckdb/target/open-target.js";
import type { TargetPlan } from "../../../core/contracts/plan.js";
import type { Target } from "../../../core/contracts/target.js";
import { reverseTable } from "../../../core/mapping/reverse-table.js";
import { makePlan } from "../../../core/plan/make-plan.js";
import type { TableId } from "../../../core/vocabulary/ids.js";
import type { TableDescription } from "../../../core/vocabulary/table.js";
import type { Row } from "../../../core/vocabulary/value.js";
import { never, nothingStale, Owner } from "../../contracts/target-fixtures.js";
import { DuckDbFile, engineProgram } from "../../support/duckdb.js";
import { readDuckDb } from "../../support/duckdb-read.js";
import { differingKinds, kindsTable, printedKinds } from "../../support/duckdb-kinds.js";
import { changesOf, created, deleted, rekeyed, updated } from "../../support/synthetic-window.js";

let file: DuckDbFile;
let target: Target;
let plan: TargetPlan;
let owner: Owner;

/** A file that nobody has open, its plan, and an owner that takes PostgreSQL's changes. */
async function open(ddl: string): Promise<void> {
  file = await DuckDbFile.of(ddl);
  await using inspector = await file.inspector();
  const catalog = await inspector.catalog();
  const profiles = new Map<TableId, Awaited<ReturnType<typeof inspector.profile>>>();
  for (const table of catalog.tables) profiles.set(table.description.table, await inspector.profile(table));
  const settings = { tables: new Map(), onlyListedTables: false, target: { url: null, schema: "public" } };
  plan = makePlan({ pipeline: file.pipeline, prefix: "back", settings, catalog, profiles, now: new Date(0) }).plan;
  await file.closeApplication();
  const { path, stateDirectory, pipeline } = file;
  target = openDuckDbTarget({ path, stateDirectory, pipeline, direction: "forward", home: () => path, program: engineProgram });
  await target.prepare(plan, nothingStale, never);
  owner = await Owner.of(target);
}
afterEach(async () => {
  await owner[Symbol.asyncDispose]();
  await file[Symbol.asyncDispose]();
});

/** As PostgreSQL tells the table: text of every column. */
function back(name: string): TableDescription {
  const found = plan.tables.find(({ source }) => source === name);
  if (found === undefined) throw new Error(`no table ${name}`);
  return reverseTable(found);
}
const rows = (sql: string) => readDuckDb(file.path, sql);

it("holds every type as PostgreSQL prints it, in a row that is new and in one that is changed", async () => {
  await open(kindsTable);
  const kinds = back("kinds");
  const row = (id: string): Row => [id, ...printedKinds];
  await owner.apply(changesOf(kinds, created(1, ["3"], row("3")), updated(2, ["2"], row("2")), updated(3, ["1"], row("1"))));
  for (const id of [2, 3]) expect(await differingKinds(file.path, 1, id)).toEqual([]);
});

it("leaves alone what says the same in other words, and takes it along when the row moves", async () => {
  await open(`CREATE TABLE t (id INTEGER PRIMARY KEY, j JSON, m MAP(VARCHAR, INTEGER), i INTERVAL, note VARCHAR);
    INSERT INTO t VALUES (1, '{"b":1.50,"a":2}', MAP {'zz': 1, 'a': 2}, INTERVAL '1 month 30 days', 'x')`);
  const t = back("t");
  const told = (id: string, note: string): Row => [id, '{"a": 2, "b": 1.50}', '{"a": 2, "zz": 1}', "1 mon 30 days", note];
  const spelled = ['{"b":1.50,"a":2}', "{'zz': 1, 'a': 2}", "1 month 30 days"];
  await owner.apply(changesOf(t, updated(1, ["1"], told("1", "changed"))));
  expect(await rows("SELECT j, m, i, note FROM t")).toEqual([[...spelled, "changed"]]);
  await owner.apply(changesOf(t, rekeyed(2, ["1"], ["7"], told("7", "moved"))));
  expect(await rows("SELECT id, j, m, i, note FROM t")).toEqual([["7", ...spelled, "moved"]]);
});

it("stops at a value that a column cannot hold, by table, column and key, and stores nothing", async () => {
  const refused: readonly (readonly [type: string, printed: string])[] = [
    ["DECIMAL(4,1)", "12.34"],
    ["DECIMAL(4,1)", "99999"],
    ["DECIMAL(4,1)", "NaN"],
    ["TINYINT", "300"],
    ["TIMESTAMP_S", "2024-01-01 00:00:00.5"],
    ["ENUM('a')", "b"],
    ["INTEGER[]", '["x"]'],
    ["STRUCT(a INTEGER)", '{"b": 1}'],
    ["UUID", "no"],
  ];
  await open(`CREATE TABLE t (id INTEGER PRIMARY KEY, ${refused.map(([type], i) => `c${i} ${type}`).join(", ")})`);
  for (const [place, [type, printed]] of refused.entries()) {
    const row = ["1", ...refused.map((_, i) => (i === place ? printed : null))];
    const where = { table: "t", column: `c${place}`, key: "1", position: "0:1:0" };
    await expect(owner.apply(changesOf(back("t"), created(1, ["1"], row))), type).rejects.toMatchObject({
      code: "value.no-way-back",
      where,
    });
  }
  expect(await rows("SELECT * FROM t")).toEqual([]);
  await owner.apply(changesOf(back("t"), created(1, ["1"], ["1", ...refused.map(() => null)])));
  expect(await rows("SELECT id FROM t")).toEqual([["1"]]);
});

it("takes a parent and its last child in one transaction, and changes a parent that has children, which DuckDB itself refuses", async () => {
  await open(`CREATE TABLE p (id INTEGER PRIMARY KEY, l INTEGER[], u VARCHAR UNIQUE); CREATE TABLE c (id INTEGER PRIMARY KEY, p INTEGER REFERENCES p (id), t VARCHAR DEFAULT 'd', g INTEGER GENERATED ALWAYS AS (id + 1));
    CREATE INDEX c_by_p ON c (p); CREATE TABLE g (id INTEGER PRIMARY KEY, c INTEGER REFERENCES c (id));
    INSERT INTO p VALUES (1, [1], 'a'), (2, [2], 'b'); INSERT INTO c (id, p) VALUES (10, 1), (11, 2); INSERT INTO g VALUES (100, 11)`);
  await owner.apply(changesOf(back("p"), deleted(1, ["1"])), changesOf(back("c"), deleted(2, ["10"])));
  await owner.apply(
    changesOf(back("p"), updated(3, ["2"], ["2", "[2, 3]", "B"])),
    changesOf(back("c"), updated(4, ["11"], ["11", "2", "kept"])),
  );
  expect(await rows("SELECT id, l, u FROM p")).toEqual([["2", "[2, 3]", "B"]]);
  expect(await rows("SELECT id, p, t, g FROM c")).toEqual([["11", "2", "kept", "12"]]);
  expect(await rows("SELECT sql FROM duckdb_indexes()")).toEqual([["CREATE INDEX c_by_p ON c(p);"]]);
  // Its keys are there again, and asked.
  const orphan = owner.apply(changesOf(back("p"), deleted(5, ["2"])));
  const constraint = "c(p) REFERENCES p(id)";
  await expect(orphan).rejects.toMatchObject({ code: "target.constraint", where: { constraint } });
  // Inside one transaction DuckDB itself lets such a child in: what was deleted is in the index still.
  const late = owner.apply(changesOf(back("p"), created(5, ["9"], ["9", "[]", "z"])));
  await late;
  const adopted = owner.apply(changesOf(back("p"), deleted(6, ["9"])), changesOf(back("c"), created(7, ["12"], ["12", "9", "x"])));
  await expect(adopted).rejects.toMatchObject({ code: "target.constraint", where: { constraint } });
  expect(await rows("SELECT id FROM p ORDER BY id")).toEqual([["2"], ["9"]]);
});

it("lets UNIQUE values and keys change places, and a freed one be taken again", async () => {
  await open(
    "CREATE TABLE t (id INTEGER PRIMARY KEY, u VARCHAR UNIQUE, v INTEGER); INSERT INTO t VALUES (1, 'a', 1), (2, 'b', 2), (3, 'c', 3)",
  );
  const t = back("t");
  await owner.apply(
    changesOf(
      t,
      updated(1, ["1"], ["1", "b", "1"]),
      updated(2, ["2"], ["2", "a", "9"]),
      deleted(3, ["3"]),
      created(4, ["4"], ["4", "c", "4"]),
    ),
  );
  expect(await rows("SELECT * FROM t ORDER BY id")).toEqual([
    ["1", "b", "1"],
    ["2", "a", "9"],
    ["4", "c", "4"],
  ]);
  await owner.apply(changesOf(t, deleted(5, ["1"]), created(6, ["1"], ["1", "b", "5"]), rekeyed(7, ["2"], ["8"], ["8", "a", "9"])));
  expect(await rows("SELECT * FROM t ORDER BY id")).toEqual([
    ["1", "b", "5"],
    ["4", "c", "4"],
    ["8", "a", "9"],
  ]);
});

it("has the file only while it writes: others may look in between, and are named when they keep it", async () => {
  await open("CREATE TABLE t (id INTEGER PRIMARY KEY, v INTEGER)");
  await owner.apply(changesOf(back("t"), created(1, ["1"], ["1", "1"])));
  const script = `import { DuckDBInstance } from "@duckdb/node-api"; await DuckDBInstance.create(${JSON.stringify(file.path)}); console.log("open"); setInterval(() => {}, 1000)`;
  const other = spawn(process.execPath, ["--input-type=module", "-e", script], { stdio: ["ignore", "pipe", "inherit"] });
  await once(other.stdout, "data");
  await expect(owner.apply(changesOf(back("t"), created(2, ["2"], ["2", "2"])))).rejects.toMatchObject({ code: "target.file-held" });
  const waiting = owner.apply(changesOf(back("t"), created(2, ["2"], ["2", "2"])));
  other.kill("SIGKILL");
  await waiting;
  expect(await rows("SELECT count(*) FROM t")).toEqual([["2"]]);
});

it("refuses a plan that could not be carried back", async () => {
  await open("CREATE TABLE t (id INTEGER PRIMARY KEY)");
  const heap = await DuckDbFile.of("CREATE TABLE heap (a INTEGER)");
  const { path, stateDirectory, pipeline } = heap;
  const other = openDuckDbTarget({ path, stateDirectory, pipeline, home: () => path, program: engineProgram });
  const [table] = plan.tables;
  const heapPlan = { ...plan, tables: table === undefined ? [] : [{ ...table, source: "heap" as TableId }] };
  await expect((async () => await other.preview(heapPlan, never))()).rejects.toMatchObject({
    code: "plan.no-way-back",
    where: { table: "heap" },
  });
  await heap[Symbol.asyncDispose]();
});
