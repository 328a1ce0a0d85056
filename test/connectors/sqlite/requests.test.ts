import { describe, expect, test } from "vitest";
import { markerId, rereadId, tableId } from "../../../core/vocabulary/ids.js";
import { isAbove, position } from "../../../core/vocabulary/position.js";
import { keyText } from "../../../core/vocabulary/value.js";
import { Follower } from "../../support/follower.js";
import { SourceFile } from "../../support/sqlite.js";

const ddl = `CREATE TABLE t (id INTEGER PRIMARY KEY, u UNIQUE, v); CREATE TABLE s (id INTEGER PRIMARY KEY);
  WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 50) INSERT INTO t SELECT i, i, i FROM n; INSERT INTO s VALUES (1)`;
const tiny = { chunks: { chunk: { rows: 7, bytes: 10_000 }, batch: { rows: 7, bytes: 10_000 }, hasTime: () => () => true } };

async function streaming(options = {}) {
  const file = await SourceFile.of(ddl);
  const follower = new Follower(await file.open(options));
  await follower.catchUp(0);
  return { file, follower };
}

test("a marker arrives at its position, behind everything committed before it", async () => {
  const { file, follower } = await streaming();
  await using _ = file;
  await using __ = follower;
  using requests = file.requests();
  file.application().exec("INSERT INTO s VALUES (2)");
  const at = await requests.marker(markerId("m-1"));
  await follower.catchUp(at.order);
  expect(follower.replica.markers).toEqual(["m-1"]);
  expect(follower.replica.rows("s").length).toBe(2);
  expect(at).toEqual(position(1, 2));
  const control = follower.lastParts.find((p) => p.kind === "control");
  expect(control).toEqual({ kind: "control", control: { kind: "marker", marker: "m-1", at } });
});

test("a touch is answered by the row as it is, or by a delete, or by the change that follows it", async () => {
  const { file, follower } = await streaming();
  await using _ = file;
  await using __ = follower;
  using requests = file.requests();
  await requests.touch(tableId("t"), [[1n], [999n], [2n], [3n], [4n]]);
  file
    .application()
    .exec("UPDATE t SET v = 'later' WHERE id = 2; INSERT OR IGNORE INTO t VALUES (100, 3, 0); REPLACE INTO t VALUES (101, 4, 0)");
  await follower.catchUp(file.newestSeq());
  const told = follower.lastParts.flatMap((p) =>
    p.kind === "changes" ? p.changes.map((c) => `${c.kind} ${keyText(c.key).slice(1)}`) : [],
  );
  expect(told).toEqual(["state 1", "delete 999", "state 3", "update 2", "delete 4", "create 101"]);
  follower.replica.assertEquals((t) => file.rows(t), "after the touches");
});

describe("snapshot TABLE", () => {
  test("reads again while every live change is told, below and above the cursor", async () => {
    const { file, follower } = await streaming({ limits: tiny });
    await using _ = file;
    await using __ = follower;
    using requests = file.requests();
    await requests.reread([tableId("t")], rereadId("again"));
    await follower.next();
    file
      .application()
      .exec(
        "UPDATE t SET v = 'low' WHERE id = 2; UPDATE t SET v = 'high' WHERE id = 40; UPDATE t SET id = 60 WHERE id = 1; DELETE FROM t WHERE id = 45",
      );
    await follower.next();
    const kinds = follower.lastParts.flatMap((p) => (p.kind === "changes" ? p.changes.map((c) => c.kind) : []));
    expect(kinds).toEqual(["update", "update", "rekey", "delete"]);
    follower.replica.assertEquals((t) => file.rows(t), "in the middle of the re-read");
    await follower.catchUp(file.newestSeq());
    expect(follower.replica.controls.filter((c) => /begins|ends/.test(c))).toEqual([]);
    expect(new Set(follower.lastParts.flatMap((p) => (p.kind === "chunk" ? [p.chunk.reread] : [])))).toEqual(new Set(["again"]));
    follower.replica.assertEquals((t) => file.rows(t), "at its end");
  });

  test("of all tables survives a restart at any of its batches and never uses a position twice", async () => {
    const { file, follower } = await streaming({ limits: tiny });
    await using _ = file;
    await using __ = follower;
    using requests = file.requests();
    await requests.reread(null, rereadId("all"));
    const seen: string[] = [];
    for (let i = 0; i < 6; i++) {
      await follower.next();
      for (const part of follower.lastParts) if (part.kind === "chunk") seen.push(JSON.stringify(part.chunk.at));
      await follower.restart(follower.cuts.length - (i % 2));
    }
    expect(new Set(seen).size).toBe(seen.length);
    await follower.catchUp(file.newestSeq());
    follower.replica.assertEquals((t) => file.rows(t), "at the end");
  });

  test("of a table that the target has lost lets live changes wait, and says where constraints are off", async () => {
    const { file, follower } = await streaming({ limits: tiny });
    await using _ = file;
    await using __ = follower;
    using requests = file.requests();
    await requests.refill([tableId("t")], rereadId("lost"));
    file.application().exec("UPDATE t SET v = 'high' WHERE id = 40");
    await follower.next();
    expect(follower.lastParts.filter((p) => p.kind === "changes")).toEqual([]);
    await follower.catchUp(file.newestSeq());
    expect(follower.replica.controls.filter((c) => /begins|ends/.test(c))).toHaveLength(2);
    follower.replica.assertEquals((t) => file.rows(t), "at its end");
  });

  test("of a table that is not captured is refused", async () => {
    await using file = await SourceFile.of(ddl);
    using requests = file.requests();
    await expect(requests.reread([tableId("nothing")], rereadId("x"))).rejects.toMatchObject({ code: "source.not-applied" });
  });
});

test("lag is right when idle, behind, unknown and during a re-read", async () => {
  const { file, follower } = await streaming();
  await using _ = file;
  await using __ = follower;
  const { source } = follower;
  expect(source.lag(null)).toMatchObject({ changes: { kind: "unknown" }, ms: { kind: "unknown" } });
  expect(source.lag(follower.position)).toMatchObject({ changes: { kind: "known", value: 0 }, ms: { kind: "known", value: 0 } });
  const before = follower.position;
  file.application().exec("UPDATE t SET v = 1 WHERE id < 4; UPDATE _cdc_log SET ts = ts - 10.0 / 86400 WHERE seq = 1");
  const behind = source.lag(before);
  expect(behind.changes).toEqual({ kind: "known", value: 3 });
  expect(behind.head.order).toBe(3);
  expect(behind.ms.kind === "known" && behind.ms.value >= 9_000).toBe(true);
  expect(source.lag(position(before?.history ?? 0, behind.head.order, 40)).changes).toEqual({ kind: "known", value: 0 });
  expect(source.lag(position(7, 1))).toMatchObject({ changes: { kind: "unknown" } });
});

test("pruning keeps the anchor and what lies above it, gives way to the application, and a restart goes on from there", async () => {
  const { file, follower } = await streaming();
  await using _ = file;
  await using __ = follower;
  for (let i = 0; i < 40; i++) file.application().exec("UPDATE t SET v = v + 1");
  await follower.catchUp(file.newestSeq());
  const at = follower.position ?? expect.fail();
  const left = (): unknown => file.application().prepare("SELECT count(*), min(seq) FROM _cdc_log").raw().get();
  const greedy = file.application({ fresh: true });
  greedy.exec("BEGIN IMMEDIATE");
  await follower.source.prune(at);
  expect(left()).toEqual([2_000, 1]);
  greedy.exec("ROLLBACK");
  await follower.source.prune(position(at.history + 1, at.order));
  await follower.source.prune(position(at.history, at.order + 100));
  expect(left()).toEqual([2_000, 1]);
  await follower.source.prune(at);
  expect(left()).toEqual([1, at.order]);
  file.application().exec("UPDATE t SET v = 0 WHERE id = 1");
  await follower.restart();
  await follower.catchUp(file.newestSeq());
  expect(follower.position?.history).toBe(1);
  expect(isAbove(follower.position ?? at, at)).toBe(true);
  follower.replica.assertEquals((t) => file.rows(t), "after pruning");
});

test("progress names every table with what was read of it", async () => {
  await using file = await SourceFile.of(ddl);
  await using follower = new Follower(await file.open({ limits: tiny }));
  expect(follower.source.progress().map((p) => [p.table, p.state])).toEqual([
    ["s", "waiting"],
    ["t", "waiting"],
  ]);
  await follower.next();
  expect(follower.source.progress()).toEqual([
    { table: "s", state: "done", rowsRead: 1, rowsEstimated: { kind: "known", value: 1 } },
    { table: "t", state: "reading", rowsRead: 6, rowsEstimated: { kind: "known", value: 50 } },
  ]);
  await follower.catchUp(0);
  expect(follower.source.progress().map((p) => [p.state, p.rowsRead])).toEqual([
    ["done", 1],
    ["done", 50],
  ]);
});

describe("a hold", () => {
  const oldest = (file: SourceFile): number => Number(file.application().prepare("SELECT min(seq) FROM _cdc_log").pluck().get());
  async function pruned() {
    const { file, follower } = await streaming();
    for (let i = 0; i < 20; i++) file.application().exec(`UPDATE t SET v = v || 'x' WHERE id = ${i + 1}`);
    await follower.catchUp(file.newestSeq());
    return { file, follower, prune: () => follower.source.prune(follower.position ?? expect.fail()) };
  }

  test("keeps rows that the target has, as long as it lasts", async () => {
    const { file, follower, prune } = await pruned();
    await using _ = file;
    await using __ = follower;
    using requests = file.requests();
    await requests.hold("verify", position(1, 5), 60_000);
    await requests.hold("cutover", position(1, 9), 60_000);
    await prune();
    expect(oldest(file)).toBe(5);
    await requests.hold("verify", null, 0);
    await prune();
    expect(oldest(file)).toBe(9);
    // Ended by itself: nobody let go of it.
    await requests.hold("cutover", position(1, 9), -1);
    await prune();
    expect(oldest(file)).toBe(20);
  });

  test("of another history holds nothing, and a capture without holds learns them", async () => {
    const { file, follower, prune } = await pruned();
    await using _ = file;
    await using __ = follower;
    file.application().exec("ALTER TABLE _cdc_state DROP COLUMN holds");
    await prune();
    expect(oldest(file)).toBe(20);
    for (let i = 0; i < 5; i++) file.application().exec("UPDATE t SET v = 1 WHERE id = 1");
    await follower.catchUp(file.newestSeq());
    using requests = file.requests();
    await requests.hold("verify", position(0, 1), 60_000);
    await requests.hold("reverse", position(1, 23), 60_000);
    await prune();
    expect(oldest(file)).toBe(23);
  });
});

test("beginning anew forgets what was read and what was not, and every table is read again under a new history", async () => {
  const { file, follower } = await streaming();
  await using _ = file;
  await using __ = follower;
  file.application().exec("INSERT INTO s VALUES (2); INSERT INTO t VALUES (51, 51, zeroblob(1000000))");
  await follower.next();
  file.application().exec("DELETE FROM t WHERE id < 10; INSERT INTO t VALUES (52, 52, zeroblob(1000000)); DELETE FROM t WHERE id = 52");
  file
    .application()
    .exec("WITH RECURSIVE n (i) AS (SELECT 100 UNION ALL SELECT i + 1 FROM n WHERE i < 5099) INSERT INTO s SELECT i FROM n");
  using requests = file.requests();
  await requests.beginAnew();
  expect(file.application().prepare("SELECT count(*), min(seq) FROM _cdc_log").raw().get()).toEqual([1, 5014]);
  await follower.catchUp(file.newestSeq());
  expect(follower.position?.history).toBe(2);
  follower.replica.assertEquals((t) => file.rows(t), "after beginning anew");
});
