import { createHash } from "node:crypto";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import BetterSqlite from "better-sqlite3";
import { describe, expect, test } from "vitest";
import { openSqliteInstaller } from "../../../connectors/sqlite/installer.js";
import { pipelineId, theGroup } from "../../../core/vocabulary/ids.js";
import { Follower } from "../../support/follower.js";
import { hostileTables } from "../../support/hostile-workload.js";
import { SourceFile } from "../../support/sqlite.js";

const ddl = "CREATE TABLE t (id INTEGER PRIMARY KEY, u UNIQUE); CREATE TABLE s (id INTEGER PRIMARY KEY); INSERT INTO t VALUES (1, 1)";

const ours = (file: SourceFile): readonly unknown[] =>
  file.application().prepare("SELECT name FROM sqlite_master WHERE name LIKE '\\_cdc%' ESCAPE '\\' ORDER BY name").pluck().all();

test("plan says what apply does, apply does it once, and destroy removes every trace", async () => {
  await using file = await SourceFile.of(hostileTables, { install: false });
  const before = file.application().prepare("SELECT type, name, sql FROM sqlite_master ORDER BY 1, 2").all();
  const planned = file.plan();
  expect(planned.length).toBeGreaterThan(20);
  expect(file.plan()).toEqual(planned);
  expect(ours(file)).toEqual([]);
  expect(await file.install()).toEqual(planned);
  expect(file.plan()).toEqual([]);
  expect(await file.install()).toEqual([]);
  expect((await file.destroy()).length).toBe(ours(file).length === 0 ? planned.filter((s) => /^CREATE/.test(s)).length : -1);
  expect(file.application().prepare("SELECT type, name, sql FROM sqlite_master ORDER BY 1, 2").all()).toEqual(before);
  expect(await file.destroy()).toEqual([]);
});

test("what plan prints can be run by a database administrator, and leaves nothing for apply", async () => {
  await using file = await SourceFile.of(hostileTables, { install: false });
  file.application().exec(`BEGIN; ${file.plan().join(";\n")}; COMMIT`);
  expect(file.plan()).toEqual([]);
  await using follower = new Follower(await file.open());
  await follower.catchUp(0);
  follower.replica.assertEquals((t) => file.rows(t), "after a snapshot");
});

test("what is somebody else's stays, however its name begins, and a trigger of such a name is the application's", async () => {
  await using file = await SourceFile.of(
    `CREATE TABLE _cdc_audit (id INTEGER PRIMARY KEY); CREATE TABLE t (id INTEGER PRIMARY KEY, v);
     CREATE TRIGGER _cdc_mine AFTER INSERT ON t BEGIN UPDATE t SET v = v || '!' WHERE id = new.id; END`,
  );
  file
    .application()
    .exec("CREATE TRIGGER _cdc_young AFTER UPDATE ON t WHEN length(new.v) < 5 BEGIN UPDATE t SET v = v || '?' WHERE id = new.id; END");
  const source = await file.open();
  await using follower = new Follower(source);
  file.application().exec("INSERT INTO t VALUES (1, 'a')");
  await follower.catchUp(file.newestSeq());
  file.application().exec("UPDATE t SET v = 'b'");
  await follower.catchUp(file.newestSeq());
  follower.replica.assertEquals((t) => file.rows(t), "with triggers of such names");
  await source[Symbol.asyncDispose]();
  await file.destroy();
  expect(ours(file)).toEqual(["_cdc_audit", "_cdc_mine", "_cdc_young"]);
});

test("another pipeline is refused and changes nothing", async () => {
  await using file = await SourceFile.of(ddl);
  const tables = file.tables();
  using installer = openSqliteInstaller({ path: file.path, pipeline: pipelineId("another"), group: theGroup });
  expect(() => installer.plan(tables)).toThrow(expect.objectContaining({ code: "source.other-pipeline" }));
  await expect(installer.apply(tables, { setWal: false })).rejects.toMatchObject({ code: "source.other-pipeline" });
  await expect(installer.destroy()).rejects.toMatchObject({ code: "source.other-pipeline" });
  expect(file.plan()).toEqual([]);
});

test("a wider table that joins later widens the log, and nothing is lost or read twice without need", async () => {
  await using file = await SourceFile.of(ddl);
  await using follower = new Follower(await file.open());
  await follower.catchUp(0);
  file.application().exec("INSERT INTO t VALUES (2, 2)");
  await follower.catchUp(file.newestSeq());
  const columns = Array.from({ length: 60 }, (_, i) => `c${i}`);
  file
    .application()
    .exec(
      `CREATE TABLE wide (a, b, ${columns.join(", ")}, PRIMARY KEY (a, b)) WITHOUT ROWID; INSERT INTO wide (a, b, c59) VALUES (1, 2, 'x'), (1, 3, 'y')`,
    );
  file.application().exec("INSERT INTO t VALUES (3, 3)");
  await file.install();
  file.application().exec("UPDATE wide SET b = 9 WHERE b = 3; INSERT INTO t VALUES (4, 4)");
  await follower.catchUp(file.newestSeq());
  follower.replica.assertEquals((t) => file.rows(t), "after the wide table joined");
  expect(follower.replica.controls.slice(-3)).toEqual(["schema wide", "begins wide", "ends wide"]);
  expect(follower.position?.history).toBe(1);
});

test("triggers that an older version made are made anew, and the table is read again, for they may have missed something", async () => {
  await using file = await SourceFile.of(ddl);
  const older = "CREATE TRIGGER _cdc_1_d AFTER DELETE ON t BEGIN SELECT 1; END";
  const digest = createHash("sha256").update(older, "utf8").digest("hex").slice(0, 32);
  file
    .application()
    .exec(`DROP TRIGGER _cdc_1_d; ${older}; UPDATE _cdc_tables SET triggers = json_set(triggers, '$._cdc_1_d', '${digest}') WHERE t = 1`);
  await using follower = new Follower(await file.open());
  await follower.catchUp(0);
  expect((await file.install()).filter((sql) => sql.includes("'gap'"))).toHaveLength(1);
  expect(await file.install()).toEqual([]);
  file.application().exec("DELETE FROM t");
  await follower.catchUp(file.newestSeq());
  expect(follower.replica.rows("t")).toEqual([]);
});

test("a table that is planned but not there is refused by name", async () => {
  await using file = await SourceFile.of(ddl, { install: false });
  const tables = file.tables();
  file.application().exec("DROP TABLE s");
  using installer = openSqliteInstaller({ path: file.path, pipeline: file.pipeline, group: theGroup });
  await expect(installer.apply(tables, { setWal: false })).rejects.toMatchObject({ code: "plan.changed", where: { table: "s" } });
  expect(ours(file)).toEqual([]);
});

describe("the fence", () => {
  const writes = [
    "INSERT INTO t VALUES (5, 5)",
    "INSERT OR IGNORE INTO t VALUES (5, 5)",
    "REPLACE INTO t VALUES (1, 5)",
    "UPDATE t SET u = 7",
    "UPDATE OR IGNORE t SET u = 7",
    "DELETE FROM t",
  ];

  test.each(["fence_kept = 1", "fence_until = julianday('now') + 1"])("refuses every write with one sentence while %s", async (how) => {
    await using file = await SourceFile.of(ddl);
    const application = file.application();
    application.exec(`UPDATE _cdc_state SET ${how}`);
    for (const sql of writes) expect(() => application.exec(sql)).toThrow(/^tailrace: writes are fenced off/);
    expect(file.newestSeq()).toBe(0);
    application.exec("UPDATE _cdc_state SET fence_kept = 0, fence_until = julianday('now') - 1");
    for (const sql of writes) application.exec(sql);
  });

  test("lets an open transaction of the application go on after it was lifted", async () => {
    await using file = await SourceFile.of(ddl);
    const application = file.application({ fresh: true });
    file.application().exec("UPDATE _cdc_state SET fence_kept = 1");
    application.exec("BEGIN");
    expect(() => application.exec("INSERT INTO t VALUES (8, 8)")).toThrow(/fenced/);
    application.exec("ROLLBACK");
    file.application().exec("UPDATE _cdc_state SET fence_kept = 0");
    application.exec("INSERT INTO t VALUES (8, 8)");
  });
});

test("nothing is logged while the reverse direction applies, and all is when it is done", async () => {
  await using file = await SourceFile.of(ddl);
  const application = file.application();
  application.exec(
    "BEGIN; UPDATE _cdc_state SET applying = 1; INSERT INTO t VALUES (7, 7); UPDATE t SET u = 8 WHERE id = 7; UPDATE _cdc_state SET applying = 0; COMMIT",
  );
  expect(file.newestSeq()).toBe(0);
  application.exec("DELETE FROM t WHERE id = 7");
  expect(file.newestSeq()).toBe(1);
});

test("what the application sees of its own statements does not change", async () => {
  await using file = await SourceFile.of(ddl);
  const result = file.application().prepare("INSERT INTO t VALUES (77, 77)").run();
  expect(result).toEqual({ changes: 1, lastInsertRowid: 77 });
  expect(file.application().prepare("SELECT last_insert_rowid(), changes()").raw().get()).toEqual([77, 1]);
});

test("apply waits for a long transaction of the application", async () => {
  await using file = await SourceFile.of(ddl, { install: false });
  const child = spawn(process.execPath, ["-e", longTransaction(file.path)], { stdio: ["ignore", "pipe", "inherit"] });
  await once(child.stdout as NonNullable<ChildProcess["stdout"]>, "data");
  await file.install();
  expect(file.application().prepare("SELECT count(*) FROM t").pluck().get()).toBe(2);
  if (child.exitCode === null) await once(child, "exit");
  expect(file.plan()).toEqual([]);
});

test("apply gives up on a transaction that does not end, with a code that may be tried again", async () => {
  await using file = await SourceFile.of(ddl, { install: false });
  const other = new BetterSqlite(file.path);
  other.exec("BEGIN IMMEDIATE");
  using installer = openSqliteInstaller({ path: file.path, pipeline: file.pipeline, group: theGroup, busyTimeoutMs: 50 });
  await expect(installer.apply(file.tables(), { setWal: false })).rejects.toMatchObject({ code: "source.busy", verdict: "retry" });
  other.close();
  expect(ours(file)).toEqual([]);
});

/** Begins, says so, and commits a while later: the installer, which blocks, is waiting by then. */
const longTransaction = (path: string): string => `
  const D = require("better-sqlite3"); const d = new D(${JSON.stringify(path)});
  d.exec("BEGIN IMMEDIATE; INSERT INTO t VALUES (2, 2)"); process.stdout.write("begun");
  setTimeout(() => { d.exec("COMMIT"); d.close(); }, 300);`;
