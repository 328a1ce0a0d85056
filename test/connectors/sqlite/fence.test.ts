import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { expect, test } from "vitest";
import { openSqliteFence } from "../../../connectors/sqlite/fence.js";
import { markerId, theGroup } from "../../../core/vocabulary/ids.js";
import { sourceFenceContract } from "../../contracts/source-fence-contract.js";
import { until } from "../../support/oracles/until.js";
import { SourceFile } from "../../support/sqlite.js";

const ddl = `CREATE TABLE t (id INTEGER PRIMARY KEY, u TEXT UNIQUE, n INTEGER);
  CREATE TABLE child (id INTEGER PRIMARY KEY, t INTEGER REFERENCES t (id) ON DELETE CASCADE ON UPDATE CASCADE);
  INSERT INTO t VALUES (1, 'a', 1), (2, 'b', 2); INSERT INTO child VALUES (1, 1)`;
const fenced = /tailrace: writes are fenced off while the database is being switched over/;
const marker = markerId("m");
const never = new AbortController().signal;
const limits = { waitMs: 20_000, leaseMs: 60_000 };
const openFence = (file: SourceFile) => openSqliteFence({ path: file.path, pipeline: file.pipeline });

sourceFenceContract("SQLite", async () => {
  const file = await SourceFile.of(ddl);
  return {
    open: () => openFence(file),
    write: () => {
      try {
        file.application().exec("INSERT INTO t (u) VALUES (NULL)");
        return null;
      } catch (thrown) {
        return String(thrown);
      }
    },
    isBehind: ({ order }) =>
      order ===
      1 + Number(file.application().prepare("SELECT coalesce(max(seq), 0) FROM _cdc_log WHERE op IN ('I', 'U', 'D')").pluck().get()),
    occupy: () => {
      const other = file.application({ fresh: true });
      other.exec("BEGIN IMMEDIATE; INSERT INTO t (u) VALUES ('occupied')");
      return () => void other.exec("COMMIT");
    },
    occupied: "source.busy",
    [Symbol.asyncDispose]: () => file[Symbol.asyncDispose](),
  };
});

test("every kind of write meets one clear error, and leaves nothing", async () => {
  await using file = await SourceFile.of(ddl);
  using fence = openFence(file);
  const { at } = await fence.fence(theGroup, marker, limits, never);
  const app = file.application();
  for (const sql of [
    "INSERT INTO t VALUES (9, 'z', 9)",
    "INSERT OR IGNORE INTO t VALUES (9, 'z', 9)",
    "INSERT OR IGNORE INTO t VALUES (1, 'a', 9)",
    "INSERT OR REPLACE INTO t VALUES (1, 'b', 9)",
    "INSERT OR FAIL INTO t VALUES (9, 'z', 9)",
    "INSERT OR ROLLBACK INTO t VALUES (9, 'z', 9)",
    "REPLACE INTO t VALUES (2, 'a', 9)",
    "INSERT INTO t VALUES (1, 'x', 9) ON CONFLICT (id) DO UPDATE SET n = excluded.n",
    "INSERT INTO t VALUES (1, 'x', 9) ON CONFLICT DO NOTHING",
    "UPDATE t SET n = 5",
    "UPDATE OR IGNORE t SET u = 'b' WHERE id = 1",
    "UPDATE OR REPLACE t SET u = 'b' WHERE id = 1",
    "UPDATE t SET id = 7 WHERE id = 1",
    "DELETE FROM t WHERE id = 1",
    "DELETE FROM t",
    "DELETE FROM child",
  ]) {
    expect(() => app.exec(sql), sql).toThrow(fenced);
  }
  expect(file.newestSeq()).toBe(at.order);
  expect(app.prepare("SELECT count(*) FROM t").pluck().get()).toBe(2);
});

test("an open transaction fails at its next write, and one that only read is told that it is too old or fenced", async () => {
  await using file = await SourceFile.of(ddl);
  using fence = openFence(file);
  const reader = file.application({ fresh: true });
  reader.exec("BEGIN; SELECT count(*) FROM t");
  const idle = file.application({ fresh: true });
  idle.exec("BEGIN");
  const { at } = await fence.fence(theGroup, marker, limits, never);
  expect(() => idle.exec("INSERT INTO t VALUES (9, 'z', 9)")).toThrow(fenced);
  expect(idle.inTransaction).toBe(true);
  idle.exec("COMMIT");
  expect(() => reader.exec("INSERT INTO t VALUES (9, 'z', 9)")).toThrow(/locked|fenced/);
  reader.exec("ROLLBACK");
  expect(file.newestSeq()).toBe(at.order);
});

test("a lease that lapsed and runs again (a clock that jumped) is noticed by what was written", async () => {
  await using file = await SourceFile.of(ddl);
  using fence = openFence(file);
  await fence.fence(theGroup, marker, limits, never);
  const app = file.application();
  app.exec("UPDATE _cdc_state SET fence_until = julianday('now') - 1; INSERT INTO t VALUES (9, 'z', 9)");
  app.exec("UPDATE _cdc_state SET fence_until = julianday('now') + 1");
  await expect(fence.keep(theGroup, marker)).rejects.toMatchObject({ code: "cutover.fence-lost" });
});

test("tables that come or go behind the fence end it", async () => {
  await using file = await SourceFile.of(ddl);
  using fence = openFence(file);
  await fence.fence(theGroup, marker, limits, never);
  file.application().exec("CREATE TABLE stranger (id INTEGER PRIMARY KEY)");
  await expect(fence.keep(theGroup, marker)).rejects.toMatchObject({ code: "source.schema-changed" });
});

test("a missing fence trigger is found before the application is stopped", async () => {
  await using file = await SourceFile.of(ddl);
  using fence = openFence(file);
  file.application().exec("DROP TRIGGER _cdc_1_fu");
  await expect(fence.fence(theGroup, marker, limits, never)).rejects.toMatchObject({ code: "source.schema-changed" });
  expect(await fence.state(theGroup)).toEqual({ kind: "open" });
});

test("a file that was captured before fences had markers gets what they need", async () => {
  await using file = await SourceFile.of(ddl);
  file.application().exec("ALTER TABLE _cdc_state DROP COLUMN fence_marker; ALTER TABLE _cdc_state DROP COLUMN fence_seq");
  using fence = openFence(file);
  expect(await fence.state(theGroup)).toEqual({ kind: "open" });
  await fence.fence(theGroup, marker, limits, never);
  expect(() => file.application().exec("DELETE FROM t")).toThrow(fenced);
});

test("the application's own old SQLite library is fenced and released", async (context) => {
  const script = `
import sqlite3, sys
db = sqlite3.connect(sys.argv[1], isolation_level=None)
try:
    db.execute(sys.argv[2]); print("written", sqlite3.sqlite_version)
except sqlite3.Error as e:
    print(type(e).__name__, e)
`;
  if (spawnSync("python3", ["-c", "import sqlite3"]).status !== 0) return context.skip("no python3 with sqlite3 on this machine");
  await using file = await SourceFile.of(ddl);
  const says = (sql: string): string => spawnSync("python3", ["-c", script, file.path, sql], { encoding: "utf8" }).stdout.trim();
  expect(says("INSERT INTO t VALUES (10, 'k', 1)")).toMatch(/^written 3\.\d+/);
  using fence = openFence(file);
  const { at } = await fence.fence(theGroup, marker, limits, never);
  expect(at.order).toBe(file.newestSeq());
  for (const sql of ["INSERT OR IGNORE INTO t VALUES (11, 'l', 1)", "REPLACE INTO t VALUES (1, 'l', 1)", "UPDATE t SET n = 0"])
    expect(says(sql)).toMatch(fenced);
  await fence.keep(theGroup, marker);
  await fence.release(theGroup, marker);
  expect(says("INSERT INTO t VALUES (11, 'l', 1)")).toMatch(/^written/);
});

const holder = `
import { createInterface } from "node:readline";
const { openSqliteFence } = await import(process.argv[1]);
const fence = openSqliteFence({ path: process.argv[2], pipeline: "shop" });
const acts = {
  fence: (lease) => fence.fence(1, "held", { waitMs: 2000, leaseMs: Number(lease) }, new AbortController().signal),
  keep: () => fence.keep(1, "held"),
  release: () => fence.release(1, "held"),
};
for await (const line of createInterface({ input: process.stdin })) {
  const [act, word] = line.split(" ");
  try { await acts[act](word); console.log("ok"); } catch (thrown) { console.log(thrown.code); }
}`;

function hold(file: SourceFile) {
  const module = join(process.cwd(), "dist/connectors/sqlite/fence.js");
  const child = spawn(process.execPath, ["--input-type=module", "-e", holder, module, file.path], { stdio: ["pipe", "pipe", "inherit"] });
  const lines = createInterface({ input: child.stdout });
  return {
    child,
    ask: async (line: string): Promise<string> => {
      const answer = once(lines, "line");
      child.stdin.write(`${line}\n`);
      return String((await answer)[0]);
    },
    kill: async (): Promise<void> => {
      const ended = once(child, "close");
      child.kill("SIGKILL");
      await ended;
    },
  };
}

function accepts(file: SourceFile): boolean {
  try {
    file.application().exec("UPDATE t SET n = n + 1 WHERE id = 1");
    return true;
  } catch {
    return false;
  }
}

test("SIGKILL of the tool: a lease ends without it, a kept fence waits for its successor", async () => {
  await using file = await SourceFile.of(ddl);
  const leasing = hold(file);
  expect(await leasing.ask("fence 400")).toBe("ok");
  await leasing.kill();
  await until(
    () => Promise.resolve(accepts(file)),
    30_000,
    () => "the lease of a dead process does not end",
  );
  const keeping = hold(file);
  expect(await keeping.ask("fence 20000")).toBe("ok");
  expect(await keeping.ask("keep")).toBe("ok");
  await keeping.kill();
  expect(accepts(file)).toBe(false);
  using successor = openFence(file);
  const state = await successor.state(theGroup);
  expect(state).toMatchObject({ kind: "kept", marker: "held" });
  await successor.release(theGroup, markerId("held"));
  expect(accepts(file)).toBe(true);
});

test("SIGSTOP of the tool: continued after its lease, it can neither keep nor take away its successor's fence", async () => {
  await using file = await SourceFile.of(ddl);
  const zombie = hold(file);
  expect(await zombie.ask("fence 300")).toBe("ok");
  zombie.child.kill("SIGSTOP");
  await until(
    () => Promise.resolve(accepts(file)),
    30_000,
    () => "the lease of a stopped process does not end",
  );
  using successor = openFence(file);
  await successor.fence(theGroup, marker, limits, never);
  zombie.child.kill("SIGCONT");
  expect(await zombie.ask("keep")).toBe("cutover.fence-lost");
  expect(await zombie.ask("release")).toBe("ok");
  expect(await zombie.ask("fence 300")).toBe("cutover.fence-taken");
  expect(accepts(file)).toBe(false);
  await successor.keep(theGroup, marker);
  await zombie.kill();
});
