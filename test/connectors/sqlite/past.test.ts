import { execFileSync } from "node:child_process";
import { copyFileSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import BetterSqlite from "better-sqlite3";
import { describe, expect, test } from "vitest";
import { TailraceError } from "../../../core/errors.js";
import { position } from "../../../core/vocabulary/position.js";
import { Follower } from "../../support/follower.js";
import { SourceFile } from "../../support/sqlite.js";

const ddl = `CREATE TABLE t (id INTEGER PRIMARY KEY, v UNIQUE); CREATE TABLE s (id INTEGER PRIMARY KEY, t REFERENCES t (id));
  INSERT INTO t VALUES (1, 'a'), (2, 'b'), (3, 'c'); INSERT INTO s VALUES (1, 1)`;

async function snapshot(): Promise<{ file: SourceFile; follower: Follower }> {
  const file = await SourceFile.of(ddl);
  const follower = new Follower(await file.open());
  await follower.catchUp(0);
  return { file, follower };
}
async function backup(file: SourceFile): Promise<string> {
  const copy = join(file.directory, "backup.db");
  await file.application().backup(copy);
  return copy;
}
/** Puts the backup in the file's place while nothing is open, as a person would. */
async function restore(file: SourceFile, follower: Follower, copy: string, how: "rename" | "copy"): Promise<void> {
  await follower.restart();
  await follower.source[Symbol.asyncDispose]();
  file.closeApplications();
  for (const suffix of ["-wal", "-shm"]) rmSync(file.path + suffix, { force: true });
  if (how === "rename") renameSync(copy, file.path);
  else copyFileSync(copy, file.path);
}

describe("a position that somebody has applied", () => {
  test("is recognised by its anchor, unless nobody can say", async () => {
    const { file, follower } = await snapshot();
    await using _ = file;
    await using __ = follower;
    const { position: first, end } = follower.cuts.at(-1) ?? expect.fail();
    file.application().exec("INSERT INTO t VALUES (4, 'd')");
    await follower.catchUp(file.newestSeq());
    const cut = follower.cuts.at(-1) ?? expect.fail();
    expect(follower.source.recognises(cut.position, cut.end.anchor)).toBe(true);
    expect(follower.source.recognises(first, end.anchor)).toBe(true);
    expect(follower.source.recognises(cut.position, end.anchor)).toBe(false);
    const { history, order } = cut.position;
    expect(follower.source.recognises(position(history, order + 1), cut.end.anchor)).toBe(false);
    expect(follower.source.recognises(position(history + 1, order), end.anchor)).toBe(true);
  });
});

describe("a restored backup", () => {
  test.each(["rename", "copy"] as const)("raises the history and converges, deleted rows included (%s)", async (how) => {
    const { file, follower } = await snapshot();
    await using _ = file;
    await using __ = follower;
    file.application().exec("INSERT INTO t VALUES (4, 'd')");
    await follower.catchUp(file.newestSeq());
    const copy = await backup(file);
    file.application().exec("INSERT INTO t VALUES (5, 'e'); DELETE FROM t WHERE id = 2; INSERT INTO s VALUES (2, 5)");
    await follower.catchUp(file.newestSeq());
    await restore(file, follower, copy, how);
    file.application().exec("INSERT INTO t VALUES (6, 'e'); UPDATE t SET v = 'z' WHERE id = 1; INSERT INTO t VALUES (7, 'g')");
    follower.source = await file.open();
    await follower.next();
    expect(follower.position?.history).toBe(2);
    await follower.catchUp(file.newestSeq());
    follower.replica.assertEquals((t) => file.rows(t), "after the restore");
    expect(follower.replica.isComplete()).toBe(true);
    expect(follower.replica.controls.filter((c) => /begins|ends/.test(c)).toSorted()).toEqual(["begins s", "begins t", "ends s", "ends t"]);
    expect(follower.cuts.at(-1)?.end.phases.get(1 as never)).toBe("streaming");
  });

  test("that is younger than the last whole cut but older than one that was sent raises the history too", async () => {
    const { file, follower } = await snapshot();
    await using _ = file;
    await using __ = follower;
    const copy = await backup(file);
    const whole = follower.cuts.length;
    file.application().exec("INSERT INTO t VALUES (5, 'e')");
    await follower.next();
    await restore(file, follower, copy, "rename");
    file.application().exec("INSERT INTO t VALUES (6, 'f')");
    await follower.restart(whole, await file.open());
    await follower.next();
    expect(follower.position?.history).toBe(2);
    await follower.catchUp(file.newestSeq());
    follower.replica.assertEquals((t) => file.rows(t), "after the restore");
  });

  test("into the open file is not pruned before it is noticed: its rows are unread, however old their numbers look", async () => {
    const { file, follower } = await snapshot();
    await using _ = file;
    await using __ = follower;
    const copy = await backup(file);
    for (let i = 0; i < 20; i++) file.application().exec(`UPDATE t SET v = 'v${i}' WHERE id = 1`);
    await follower.catchUp(file.newestSeq());
    const at = follower.position ?? expect.fail("nothing was read");
    const old = new BetterSqlite(copy);
    await old.backup(file.path);
    old.close();
    file.application({ fresh: true }).exec("UPDATE t SET v = 'x' WHERE id = 2; UPDATE t SET v = 'y' WHERE id = 3");
    const rows = (): unknown => file.application().prepare("SELECT count(*) FROM _cdc_log").pluck().get();
    const before = rows();
    await follower.source.prune(at);
    expect(rows()).toBe(before);
    await follower.next();
    expect(follower.position?.history).toBe(2);
    await follower.catchUp(0);
    follower.replica.assertEquals((t) => file.rows(t), "after the restore");
  });

  test("through SQLite's own backup into the open file is noticed at the next read", async () => {
    const { file, follower } = await snapshot();
    await using _ = file;
    await using __ = follower;
    const copy = await backup(file);
    file.application().exec("INSERT INTO t VALUES (5, 'e')");
    await follower.catchUp(file.newestSeq());
    const old = new BetterSqlite(copy);
    file.closeApplications();
    await old.backup(file.path);
    old.close();
    await follower.next();
    expect(follower.position?.history).toBe(2);
    await follower.catchUp(0);
    follower.replica.assertEquals((t) => file.rows(t), "after the restore");
  });

  test("from before the capture was installed says that apply is needed", async () => {
    await using file = await SourceFile.of(ddl, { install: false });
    const copy = await backup(file);
    await file.install();
    await using follower = new Follower(await file.open());
    await follower.catchUp(0);
    await restore(file, follower, copy, "rename");
    await expect(file.open()).rejects.toMatchObject({ code: "source.not-applied" });
  });
});

const damages: readonly (readonly [what: string, sql: string])[] = [
  ["was emptied and numbered anew", "DELETE FROM _cdc_log; INSERT INTO t VALUES (8, 'h')"],
  ["was emptied, and is as long as before", "DELETE FROM _cdc_log; INSERT INTO t VALUES (8, 'h'), (9, 'i'), (10, 'j')"],
  ["lacks the row that was read last", "DELETE FROM _cdc_log WHERE seq = 2"],
  [
    "lacks a row that was not read yet",
    "INSERT INTO t VALUES (8, 'h'), (9, 'i'), (10, 'j'); DELETE FROM _cdc_log WHERE seq = (SELECT max(seq) - 1 FROM _cdc_log)",
  ],
  ["was pruned by somebody", "INSERT INTO t VALUES (8, 'h'), (9, 'i'); DELETE FROM _cdc_log WHERE seq < (SELECT max(seq) FROM _cdc_log)"],
  ["had its last read row changed", "UPDATE _cdc_log SET ts = ts - 1 WHERE seq = 2"],
];
test.each(damages)("everything is read again when the capture log %s", async (_what, sql) => {
  const { file, follower } = await snapshot();
  await using _ = file;
  await using __ = follower;
  file.application().exec("INSERT INTO t VALUES (4, 'd'); UPDATE t SET v = 'dd' WHERE id = 4");
  await follower.catchUp(2);
  file.application().exec(sql);
  await follower.next();
  expect(follower.position?.history).toBe(2);
  await follower.catchUp(0);
  follower.replica.assertEquals((t) => file.rows(t), "after the damage");
  expect(follower.replica.isComplete()).toBe(true);
});

test("destroy and apply begin a new history", async () => {
  const { file, follower } = await snapshot();
  await using _ = file;
  await using __ = follower;
  file.application().exec("INSERT INTO t VALUES (4, 'd')");
  await follower.catchUp(file.newestSeq());
  await follower.restart();
  await follower.source[Symbol.asyncDispose]();
  await file.destroy();
  file.application().exec("DELETE FROM t WHERE id = 1 AND 0; DELETE FROM s; DELETE FROM t WHERE id = 1");
  await file.install();
  follower.source = await file.open();
  await follower.catchUp(0);
  expect(follower.position?.history).toBe(2);
  follower.replica.assertEquals((t) => file.rows(t), "after a new apply");
});

test("a token that nobody knows begins a history above all that were seen", async () => {
  const { file, follower } = await snapshot();
  await using _ = file;
  await using __ = follower;
  await follower.restart(0);
  await follower.next();
  expect(follower.position?.history).toBe(2);
  expect(follower.replica.controls).toContain("begins t");
});

describe("while it is open, a file that", () => {
  test.each(["replaced", "removed"] as const)("is %s ends the iteration so that it is opened anew", async (what) => {
    const { file, follower } = await snapshot();
    await using _ = file;
    await using __ = follower;
    const copy = await backup(file);
    const waiting = follower.next();
    const ended = expect(waiting).rejects.toMatchObject({ code: "source.replaced" });
    if (what === "replaced") renameSync(copy, file.path);
    else rmSync(file.path);
    await ended;
    await expect(waiting).rejects.toBeInstanceOf(TailraceError);
  });

  test("is overwritten in place is noticed although nothing in it moves", async () => {
    const { file, follower } = await snapshot();
    await using _ = file;
    await using __ = follower;
    const copy = await backup(file);
    file.application().exec("INSERT INTO t VALUES (4, 'd'); DELETE FROM t WHERE id = 2");
    await follower.catchUp(file.newestSeq());
    file.application().pragma("wal_checkpoint(TRUNCATE)");
    file.closeApplications();
    execFileSync("cp", [copy, file.path]);
    await follower.next();
    expect(follower.position?.history).toBe(2);
    await follower.catchUp(0);
    follower.replica.assertEquals((t) => file.rows(t), "after it was overwritten");
  });
});
