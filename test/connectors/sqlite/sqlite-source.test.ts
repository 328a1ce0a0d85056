import { expect, test } from "vitest";
import { Follower } from "../../support/follower.js";
import { SourceFile } from "../../support/sqlite.js";

test("a first snapshot and what follows it make a replica equal to the tables", async () => {
  await using file = await SourceFile.of(`
    CREATE TABLE item (id INTEGER PRIMARY KEY, name TEXT, price REAL);
    CREATE TABLE empty (id INTEGER PRIMARY KEY);
    WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000) INSERT INTO item SELECT i, 'item ' || i, i / 4.0 FROM n;
  `);
  await using follower = new Follower(await file.open());
  await follower.catchUp(0);
  expect(follower.cuts.at(-1)?.end.phases.get(1 as never)).toBe("streaming");
  follower.replica.assertEquals((t) => file.rows(t), "after the snapshot");

  file
    .application()
    .exec("UPDATE item SET price = 1 WHERE id < 10; DELETE FROM item WHERE id = 5; INSERT INTO item VALUES (-1, NULL, 2.5)");
  await follower.catchUp(file.newestSeq());
  follower.replica.assertEquals((t) => file.rows(t), "after live changes");
  expect(follower.replica.isComplete()).toBe(true);
});

test("a row that is nearly as large as a record may be is no larger in the snapshot: it goes in a chunk of its own", async () => {
  await using file = await SourceFile.of(
    "CREATE TABLE t (id INTEGER PRIMARY KEY, v BLOB); INSERT INTO t VALUES (1, zeroblob(300000)), (2, zeroblob(8300000)), (3, zeroblob(300000)), (4, zeroblob(100000))",
  );
  await using follower = new Follower(await file.open());
  const chunks: number[] = [];
  while (!follower.replica.isComplete() || chunks.length === 0) {
    await follower.next();
    for (const part of follower.lastParts) if (part.kind === "chunk" && part.chunk.rows.length > 0) chunks.push(part.chunk.rows.length);
  }
  expect(chunks).toEqual([1, 1, 2]);
});

test("what the target has is forgotten after a restart too, although the application has written nothing since", async () => {
  await using file = await SourceFile.of("CREATE TABLE t (id INTEGER PRIMARY KEY, v)");
  await using follower = new Follower(await file.open());
  for (let id = 1; id <= 20; id++) file.application().exec(`INSERT INTO t VALUES (${id}, 'a')`);
  await follower.catchUp(file.newestSeq());
  const at = follower.position ?? expect.fail("nothing was read");
  await follower.restart();
  await follower.source[Symbol.asyncDispose]();
  const source = await file.open();
  await follower.restart(follower.cuts.length, source);
  const next = follower.take();
  next.catch(() => {});
  await source.prune(at);
  expect(file.application().prepare("SELECT count(*) FROM _cdc_log").pluck().get()).toBe(1);
});
