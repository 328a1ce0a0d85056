import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { expect, test } from "vitest";
import type { TargetPlan } from "../../../core/contracts/plan.js";
import { openSqliteFence } from "../../../connectors/sqlite/fence.js";
import { openSqliteTarget } from "../../../connectors/sqlite/target/open-target.js";
import { markerId, theGroup } from "../../../core/vocabulary/ids.js";
import type { Change } from "../../../core/contracts/change.js";
import { Owner, planTable } from "../../contracts/target-fixtures.js";
import { SourceFile } from "../../support/sqlite.js";
import { changesOf, created, deleted, describeTable, rekeyed, updated } from "../../support/synthetic-window.js";

const never = new AbortController().signal;
const marker = markerId("switch");

/** As the stream back describes `t`: two of its columns are carried, `secret` is not. */
const table = describeTable("t", { id: "text", code: "text" }, ["id"]);
const plan = planTable(describeTable("t", { id: "integer", code: "text" }, ["id"]), { dropped: ["secret"] });
const ddl =
  "CREATE TABLE t (id INTEGER PRIMARY KEY, code TEXT UNIQUE, secret TEXT DEFAULT 's'); CREATE TABLE other (id INTEGER PRIMARY KEY);";

const targetOf = (file: SourceFile) => openSqliteTarget({ path: file.path, pipeline: file.pipeline, lockDirectory: file.directory });
const planned = (file: SourceFile, ...tables: readonly (typeof plan)[]): TargetPlan => ({
  version: 1,
  pipeline: file.pipeline,
  prefix: "shop",
  tables,
});
async function owning(file: SourceFile, ...tables: readonly (typeof plan)[]): Promise<Owner> {
  const target = targetOf(file);
  await target.prepare(planned(file, ...(tables.length === 0 ? [plan] : tables)), () => Promise.resolve(), never);
  return new Owner(await target.own({ group: theGroup, direction: "reverse", takeoverMs: 100 }, never));
}
const rows = (file: SourceFile, sql = "SELECT * FROM t ORDER BY id"): unknown[] => file.application().prepare(sql).raw().all();
const write = (owner: Owner, ...changes: readonly Change[]) => owner.apply(changesOf(table, ...changes));

test("the capture does not log what comes back, a kept fence lets it through, and both stand as before", async () => {
  await using file = await SourceFile.of(ddl);
  using fence = openSqliteFence({ path: file.path, pipeline: file.pipeline });
  await fence.fence(theGroup, marker, { waitMs: 1_000, leaseMs: 60_000 }, never);
  await fence.keep(theGroup, marker);
  const before = file.newestSeq();
  await using owner = await owning(file);
  await write(owner, created(1, ["1"], ["1", "a"]));
  expect(rows(file)).toEqual([[1, "a", "s"]]);
  expect(file.newestSeq()).toBe(before);
  expect(() => file.application().exec("INSERT INTO t (code) VALUES ('b')")).toThrow(/fenced off/);
  expect(await fence.state(theGroup)).toMatchObject({ kind: "kept", marker });
  await fence.release(theGroup, marker);
  file.application().exec("INSERT INTO t (code) VALUES ('b')");
  expect(file.newestSeq()).toBe(before + 1);
});

test("rows that swap a unique value, and a key that moves, keep what only the file knows", async () => {
  await using file = await SourceFile.of(`${ddl} INSERT INTO t VALUES (1, 'a', 'one'), (2, 'b', 'two'), (3, 'c', 'three')`);
  await using owner = await owning(file);
  await write(owner, updated(1, ["1"], ["1", "tmp"]), updated(2, ["2"], ["2", "a"]), updated(3, ["1"], ["1", "b"]));
  expect(rows(file)).toEqual([
    [1, "b", "one"],
    [2, "a", "two"],
    [3, "c", "three"],
  ]);
  await write(owner, rekeyed(4, ["3"], ["9"], ["9", "c"]), deleted(5, ["1"]), created(6, ["4"], ["4", "b"]));
  expect(rows(file)).toEqual([
    [2, "a", "two"],
    [4, "b", "s"],
    [9, "c", "three"],
  ]);
  await write(owner, rekeyed(7, ["2"], ["5"], ["5", "a"]), rekeyed(8, ["9"], ["2"], ["2", "c"]), rekeyed(9, ["5"], ["9"], ["9", "a"]));
  expect(rows(file)).toEqual([
    [2, "c", "three"],
    [4, "b", "s"],
    [9, "a", "two"],
  ]);
  const doubled = write(owner, updated(10, ["4"], ["4", "a"]));
  await expect(doubled).rejects.toMatchObject({ code: "target.constraint", where: { table: "t", key: "4", constraint: "t.code" } });
});

test("triggers of the application stand aside, come back in their order, and a conflict that is declared to replace does not", async () => {
  await using file = await SourceFile.of(
    `CREATE TABLE t (id INTEGER PRIMARY KEY ON CONFLICT REPLACE, code TEXT UNIQUE ON CONFLICT REPLACE, secret TEXT);
     CREATE TABLE audit (id INTEGER PRIMARY KEY, code TEXT);
     INSERT INTO t VALUES (1, 'a', NULL);`,
  );
  const app = file.application();
  app.exec("CREATE TRIGGER noted AFTER INSERT ON t BEGIN INSERT INTO audit (code) VALUES (new.code); END");
  await file.install();
  const triggers = () => rows(file, "SELECT name, sql FROM sqlite_master WHERE type = 'trigger' AND tbl_name = 't' ORDER BY rowid");
  const before = triggers();
  await using owner = await owning(file);
  await write(owner, created(1, ["2"], ["2", "b"]));
  expect(rows(file, "SELECT * FROM audit")).toEqual([]);
  expect(triggers()).toEqual(before);
  expect(await file.install()).toEqual([]);
  await expect(write(owner, created(2, ["3"], ["3", "a"]))).rejects.toMatchObject({ code: "target.constraint" });
  expect(rows(file)).toEqual([
    [1, "a", null],
    [2, "b", null],
  ]);
  app.exec("INSERT INTO t (id, code) VALUES (7, 'x')");
  expect(rows(file, "SELECT code FROM audit")).toEqual([["x"]]);
});

test("a value that the file makes another one of stops, with table, key and column, and leaves nothing", async () => {
  await using file = await SourceFile.of(
    "CREATE TABLE t (id INTEGER PRIMARY KEY, code INTEGER, twice GENERATED ALWAYS AS (code * 2) VIRTUAL); INSERT INTO t (id, code) VALUES (1, 1)",
  );
  const names = { id: "integer", code: "text", twice: "integer" } as const;
  const described = describeTable("t", names, ["id"]);
  await using owner = await owning(file, planTable(described));
  const back = describeTable("t", { id: "text", code: "text", twice: "text" }, ["id"]);
  const apply = (...changes: readonly Change[]) => owner.apply(changesOf(back, ...changes));
  await apply(updated(1, ["1"], ["1", "21", "42"]));
  const where = { table: "t", key: "2", position: "0:3:0" };
  await expect(apply(created(2, ["3"], ["3", "1", "2"]), created(3, ["2"], ["2", "007", "14"]))).rejects.toMatchObject({
    code: "value.no-way-back",
    where: { ...where, column: "code" },
  });
  await expect(apply(created(3, ["2"], ["2", "7", "15"]))).rejects.toMatchObject({
    code: "value.no-way-back",
    where: { ...where, column: "twice" },
  });
  expect(rows(file)).toEqual([[1, 21, 42]]);
});

test("what has no way back is refused before anything is made", async () => {
  await using file = await SourceFile.of("CREATE TABLE t (id INTEGER PRIMARY KEY, code TEXT, secret TEXT NOT NULL)");
  const target = targetOf(file);
  await expect(target.preview(planned(file, plan), never)).rejects.toMatchObject({
    code: "plan.no-way-back",
    where: { table: "t", column: "secret" },
  });
  await expect(target.prepare(planned(file, plan), () => Promise.resolve(), never)).rejects.toMatchObject({ code: "plan.no-way-back" });
  expect(rows(file, "SELECT name FROM sqlite_master WHERE name IN ('_cdc_applied', '_cdc_plan')")).toEqual([]);
});

test("the application writes its other tables meanwhile, and is waited for", async () => {
  await using file = await SourceFile.of(ddl);
  await using owner = await owning(file);
  const app = file.application();
  app.exec("BEGIN IMMEDIATE; INSERT INTO other VALUES (1)");
  const applied = write(owner, created(1, ["1"], ["1", "a"]));
  app.exec("INSERT INTO other VALUES (2); COMMIT");
  await applied;
  app.exec("INSERT INTO other VALUES (3)");
  expect(rows(file, "SELECT count(*) FROM other")).toEqual([[3]]);
  expect(rows(file)).toEqual([[1, "a", "s"]]);
});

test("times keep the spelling that the application gives them", async () => {
  await using file = await SourceFile.of(
    "CREATE TABLE t (id INTEGER PRIMARY KEY, code TEXT); INSERT INTO t VALUES (1, '2026-01-02T03:04:05.678Z')",
  );
  const timed = planTable(describeTable("t", { id: "integer", code: "text" }, ["id"]));
  const columns = timed.columns.map((column) =>
    column.target === "code" ? { ...column, type: "timestamp with time zone", conversion: { kind: "iso" } as const } : column,
  );
  await using owner = await owning(file, { ...timed, columns });
  await write(owner, updated(1, ["1"], ["1", "2026-01-02 03:04:05.678+00"]), created(2, ["2"], ["2", "2026-11-20 10:11:12+00"]));
  expect(rows(file)).toEqual([
    [1, "2026-01-02T03:04:05.678Z"],
    [2, "2026-11-20T10:11:12.000Z"],
  ]);
});

const dying = `
const { openSqliteTarget } = await import(process.argv[1]);
const [path, lockDirectory] = process.argv.slice(2);
const target = openSqliteTarget({ path, pipeline: "shop", lockDirectory });
const never = new AbortController().signal;
const session = await target.own({ group: 1, direction: "reverse", takeoverMs: 100 }, never);
const at = { history: 0, order: 1, index: 0 };
const column = (name) => ({ name, declaredType: "", nullable: true, generated: false, classes: ["text"] });
const table = { table: "t", group: 1, schema: 1, columns: [column("id"), column("code")], key: [0] };
const changes = [{ kind: "create", at, key: ["1"], after: ["1", "a"] }];
async function* parts() { yield { kind: "changes", table, changes, bytes: 300 }; }
const after = { logId: "l", position: at, epoch: 1, counts: new Map(), offset: 0, ends: new Map(), anchor: new Uint8Array(), phase: "streaming" };
await session.apply({ before: null, after: () => after, controls: [], records: 1, parts, inSourceOrder: parts }, never);
`;

// With the rows written and nothing committed, and with everything committed and nobody told.
test.each(["sink.commit-before", "sink.commit-done"])(
  "SIGKILL at %s leaves all of a window or nothing, and the flags as they were",
  async (point) => {
    await using file = await SourceFile.of(ddl);
    await (await owning(file))[Symbol.asyncDispose]();
    const module = join(process.cwd(), "dist/connectors/sqlite/target/open-target.js");
    const words = ["--input-type=module", "-e", dying, module, file.path, file.directory];
    const { signal } = spawnSync(process.execPath, words, { env: { ...process.env, TAILRACE_CRASH_AT: `${point}:1` }, stdio: "inherit" });
    expect(signal).toBe("SIGKILL");
    const whole = point === "sink.commit-done";
    expect(rows(file)).toEqual(whole ? [[1, "a", "s"]] : []);
    expect(rows(file, "SELECT applying, fence_kept FROM _cdc_state")).toEqual([[0, 0]]);
    await using owner = await owning(file);
    expect(owner.session.applied?.position.order ?? null).toBe(whole ? 1 : null);
    const before = file.newestSeq();
    file.application().exec("INSERT INTO t (id, code) VALUES (7, 'x')");
    expect(file.newestSeq()).toBe(before + 1);
  },
);
