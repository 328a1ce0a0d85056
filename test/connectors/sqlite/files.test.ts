import { execFileSync } from "node:child_process";
import { mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import BetterSqlite from "better-sqlite3";
import { describe, expect, test } from "vitest";
import { Follower } from "../../support/follower.js";
import { SourceFile } from "../../support/sqlite.js";

const ddl = "CREATE TABLE t (id INTEGER PRIMARY KEY, v); INSERT INTO t VALUES (1, 'a')";

describe("opening refuses", () => {
  test("a second process on the same file, until the first one is gone", async () => {
    await using file = await SourceFile.of(ddl);
    const first = await file.open();
    await expect(file.open()).rejects.toMatchObject({ code: "source.locked", verdict: "stand-by" });
    await first[Symbol.asyncDispose]();
    await first[Symbol.asyncDispose]();
    const second = await file.open();
    expect(second.epochSeen()).toBe(0);
  });

  test("a database that is not in WAL mode, and apply sets the mode only when asked", async () => {
    await using file = await SourceFile.of(`PRAGMA journal_mode = DELETE; ${ddl}`, { install: false });
    await expect(file.install()).rejects.toMatchObject({ code: "source.mode" });
    expect(file.plan()[0]).toBe("PRAGMA journal_mode = WAL");
    expect((await file.install(undefined, true))[0]).toBe("PRAGMA journal_mode = WAL");
    await file.open();
  });

  test("a database that went back to a rollback journal", async () => {
    await using file = await SourceFile.of(ddl);
    file.application().pragma("journal_mode = DELETE");
    await expect(file.open()).rejects.toMatchObject({ code: "source.mode" });
  });

  test("a database that its application holds exclusively", async () => {
    await using file = await SourceFile.of(ddl);
    file.closeApplications();
    const greedy = new BetterSqlite(file.path);
    greedy.pragma("locking_mode = EXCLUSIVE");
    greedy.exec("INSERT INTO t VALUES (2, 'b')");
    await expect(file.open({ busyTimeoutMs: 10 })).rejects.toMatchObject({ code: "source.busy", verdict: "retry" });
    greedy.close();
  });

  test("no file, a directory, a text, an encrypted file and UTF-16", async () => {
    await using file = await SourceFile.of(ddl);
    const at = (name: string): string => join(file.directory, name);
    await expect(file.open({ path: at("nowhere.db") })).rejects.toMatchObject({ code: "source.missing" });
    mkdirSync(at("directory.db"));
    await expect(file.open({ path: at("directory.db") })).rejects.toMatchObject({ code: "source.not-a-database" });
    writeFileSync(at("noise.db"), Buffer.alloc(8_192, 7));
    await expect(file.open({ path: at("noise.db") })).rejects.toMatchObject({ code: "source.not-a-database" });
    const wide = new BetterSqlite(at("wide.db"));
    wide.exec("PRAGMA encoding = 'UTF-16le'; CREATE TABLE t (a)");
    wide.close();
    await expect(file.open({ path: at("wide.db") })).rejects.toMatchObject({ code: "source.encoding" });
  });

  test("a file without capture, and one of another pipeline", async () => {
    await using file = await SourceFile.of(ddl, { install: false });
    await expect(file.open()).rejects.toMatchObject({ code: "source.not-applied" });
    await file.install();
    await expect(file.open({ pipeline: "another" as never })).rejects.toMatchObject({ code: "source.other-pipeline" });
  });
});

test("the last commit before the application falls silent is noticed, many times over", async () => {
  await using file = await SourceFile.of(ddl);
  await using follower = new Follower(await file.open());
  await follower.catchUp(0);
  for (let i = 0; i < 200; i++) {
    const waiting = follower.next();
    if (i % 3 === 0) await new Promise((resolve) => setImmediate(resolve));
    file.application().prepare("UPDATE t SET v = ?").run(BigInt(i));
    await waiting;
    expect(follower.replica.rows("t")).toEqual([[1n, BigInt(i)]]);
  }
});

test("while we are away the application may close, which deletes its WAL", async () => {
  await using file = await SourceFile.of(ddl);
  await using follower = new Follower(await file.open());
  await follower.catchUp(0);
  await follower.restart();
  await follower.source[Symbol.asyncDispose]();
  file.application().exec("INSERT INTO t VALUES (2, 'b')");
  file.closeApplications();
  expect(statSync(`${file.path}-wal`, { throwIfNoEntry: false })).toBeUndefined();
  follower.source = await file.open();
  await follower.catchUp(file.newestSeq());
  follower.replica.assertEquals((t) => file.rows(t), "after the WAL was gone");
  expect(follower.position?.history).toBe(1);
});

// skipped elsewhere: only Linux lists who holds which lock (/proc/locks).
test.skipIf(process.platform !== "linux")("an open source keeps its locks on the file, whatever it does", async () => {
  await using file = await SourceFile.of(ddl);
  await using follower = new Follower(await file.open());
  await follower.catchUp(0);
  const locks = (): string => {
    const inodes = [file.path, `${file.path}-shm`].map((path) => `:${statSync(path).ino} `);
    const mine = readFileSync("/proc/locks", "utf8")
      .split("\n")
      .filter((line) => line.includes(` ${process.pid} `));
    return inodes.map((inode) => String(mine.some((line) => line.includes(inode)))).join();
  };
  expect(locks()).toBe("true,true");
  file.application().exec("UPDATE t SET v = 'b'");
  await follower.catchUp(file.newestSeq());
  await file.install();
  file.plan();
  await expect(file.open()).rejects.toMatchObject({ code: "source.locked" });
  await follower.source.prune(follower.position as never);
  follower.source.progress();
  follower.source.lag(follower.position);
  expect(locks()).toBe("true,true");
});

test("another process that closes last does not delete the WAL under us", async () => {
  await using file = await SourceFile.of(ddl);
  await using follower = new Follower(await file.open());
  await follower.catchUp(0);
  file.closeApplications();
  execFileSync(process.execPath, [
    "-e",
    `const D = require("better-sqlite3"); const d = new D(${JSON.stringify(file.path)}); d.exec("INSERT INTO t VALUES (9, 'i')"); d.close()`,
  ]);
  expect(statSync(`${file.path}-wal`).size).toBeGreaterThan(0);
  await follower.catchUp(file.newestSeq());
  follower.replica.assertEquals((t) => file.rows(t), "after the other process");
});
