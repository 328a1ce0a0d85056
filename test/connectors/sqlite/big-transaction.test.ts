import { expect, test } from "vitest";
import type { BatchPart } from "../../../core/contracts/change.js";
import { Follower } from "../../support/follower.js";
import { SourceFile } from "../../support/sqlite.js";

const numbers = (from: number, to: number): string =>
  `WITH RECURSIVE n(i) AS (SELECT ${from} UNION ALL SELECT i + 1 FROM n WHERE i < ${to})`;

test("a large transaction is one batch of small parts: hints, touches, a marker and a new class in its middle included", async () => {
  await using file = await SourceFile.of(`CREATE TABLE t (id INTEGER PRIMARY KEY, u UNIQUE, v INTEGER);
    CREATE TABLE s (id INTEGER PRIMARY KEY, big BLOB); ${numbers(1, 200)} INSERT INTO t SELECT i, i, i FROM n`);
  await using follower = new Follower(await file.open());
  await follower.catchUp(0);
  const before = follower.cuts.length;
  file.application().exec(`BEGIN;
    ${numbers(1_000, 21_000)} INSERT INTO t SELECT i, i, i FROM n;
    INSERT INTO _cdc_log (t, op, ts, k0) SELECT t, 'T', julianday('now'), 5 FROM _cdc_tables WHERE name = 't';
    ${numbers(1, 100)} REPLACE INTO t SELECT 50000 + i, i, 'text' FROM n;
    INSERT OR IGNORE INTO t VALUES (60000, 150, 1);
    INSERT INTO _cdc_log (op, ts, k0) VALUES ('M', julianday('now'), 'in the middle');
    ${numbers(1, 40)} INSERT INTO s SELECT i, zeroblob(100000) FROM n;
    UPDATE t SET v = v + 1 WHERE id BETWEEN 2000 AND 9000; DELETE FROM t WHERE id > 20000 AND id < 21000;
    COMMIT`);
  await follower.next();
  expect(follower.cuts.length).toBe(before + 1);
  expect(follower.position?.order).toBe(file.newestSeq());
  follower.replica.assertEquals((t) => file.rows(t), "after it");
  expect(follower.replica.markers).toEqual(["in the middle"]);
  expect(follower.replica.controls.filter((c) => c === "schema t").length).toBe(2);
  for (const part of follower.lastParts) expect(sizeOf(part)).toBeLessThanOrEqual(1_200_000);
});

test("a rewound past in the middle of a large transaction is never published", async () => {
  await using file = await SourceFile.of("CREATE TABLE t (id INTEGER PRIMARY KEY, v)");
  await using follower = new Follower(await file.open());
  file.application().exec("INSERT INTO t VALUES (0, 0)");
  await follower.catchUp(1);
  file.application().exec(`${numbers(1, 9_000)} INSERT INTO t SELECT i, i FROM n`);
  const batch = await follower.take();
  const taking = (async () => {
    let parts = 0;
    for await (const _ of batch.parts(new AbortController().signal)) {
      if (parts++ === 0) file.application().exec("BEGIN; DELETE FROM _cdc_log; DELETE FROM t; COMMIT; DELETE FROM _cdc_log");
    }
  })();
  await expect(taking).rejects.toMatchObject({ code: expect.stringMatching(/source\.(log-damaged|replaced)/) });
  expect(() => batch.end()).toThrow();
  await follower.restart();
  await follower.next();
  await follower.catchUp(0);
  expect(follower.position?.history).toBe(2);
  follower.replica.assertEquals((t) => file.rows(t), "after it was read again");
});

test("no read transaction stays open while a batch is taken, so the application's WAL can be reset at any moment", async () => {
  await using file = await SourceFile.of(
    `CREATE TABLE t (id INTEGER PRIMARY KEY, v); ${numbers(1, 3_000)} INSERT INTO t SELECT i, i FROM n`,
  );
  await using follower = new Follower(await file.open());
  const isFree = (): unknown => (file.application().pragma("wal_checkpoint(TRUNCATE)") as { busy: number }[])[0]?.busy;
  const snapshot = await follower.take();
  for await (const _ of snapshot.parts(new AbortController().signal)) expect(isFree()).toBe(0);
  await follower.restart();
  await follower.catchUp(0);
  file.application().exec(`${numbers(5_000, 15_000)} INSERT INTO t SELECT i, i FROM n`);
  const large = await follower.take();
  for await (const _ of large.parts(new AbortController().signal)) expect(isFree()).toBe(0);
});

function sizeOf(part: BatchPart): number {
  if (part.kind === "control") return 0;
  const rows = part.kind === "chunk" ? part.chunk.rows : part.changes.flatMap((c) => ("after" in c ? [c.after] : []));
  return rows.reduce((bytes, row) => bytes + row.reduce<number>((sum, v) => sum + (v instanceof Uint8Array ? v.byteLength : 8), 0), 0);
}
