/** What was told and may or may not have arrived, and an engine that dies at each of its steps. */
import { rmSync } from "node:fs";
import { join, resolve } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { CaptureDirectory } from "../../../connectors/duckdb/capture-directory.js";
import type { DuckDbSourceOptions } from "../../../connectors/duckdb/duckdb-source.js";
import { markerId, rereadId, tableId } from "../../../core/vocabulary/ids.js";
import { keyText, type Row } from "../../../core/vocabulary/value.js";
import { DuckDbFile } from "../../support/duckdb.js";
import { Follower } from "../../support/follower.js";

const ddl = `CREATE TABLE a (id INTEGER PRIMARY KEY, v INTEGER); INSERT INTO a SELECT range, 0 FROM range(1000);
  CREATE TABLE b (k VARCHAR PRIMARY KEY, v BIGINT); INSERT INTO b SELECT 'key ' || range, range FROM range(50);
  CREATE TABLE heap (x INTEGER, y VARCHAR); INSERT INTO heap SELECT range % 5, 'y' FROM range(20)`;

let file: DuckDbFile;
let markers = 0;
beforeEach(async () => {
  file = await DuckDbFile.of(ddl);
});
afterEach(() => file[Symbol.asyncDispose]());

async function follow(options: Partial<DuckDbSourceOptions> = {}): Promise<Follower> {
  return new Follower(await file.open(options));
}

async function catchUp(follower: Follower): Promise<void> {
  const marker = markerId(`marker ${++markers}`);
  using requests = file.requests();
  await requests.marker(marker);
  const done = (): boolean =>
    follower.replica.markers.includes(marker) && follower.source.progress().every(({ state }) => state === "done");
  while (!done()) await follower.next();
}

/** Tables with a key as the application sees them; the heap as a multiset. */
async function expectEqual(follower: Follower): Promise<void> {
  const truth = new Map<string, ReadonlyMap<string, Row>>();
  for (const table of follower.replica.tables()) if (table.table !== "heap") truth.set(table.table, await file.rows(table));
  const heap = follower.replica.rows("heap");
  follower.replica.assertEquals(
    (table) => truth.get(table.table) ?? new Map(heap.map((row) => [keyText([row.at(-1) ?? null]), row])),
    "at the end",
  );
  const told = heap.map(([x, y]) => keyText([x ?? null, y ?? null])).toSorted();
  const there = (await file.run("SELECT x, y FROM heap")).map(keyText).toSorted();
  expect(told).toEqual(there);
}

test("a change that was told, may have arrived and was taken back is told again", async () => {
  const follower = await follow();
  await catchUp(follower);
  await file.run("UPDATE a SET v = 2 WHERE id = 7; DELETE FROM b WHERE k = 'key 3'; INSERT INTO a VALUES (5000, 1)");
  await follower.next();
  // The reader has it, and yet the next writer is not told so.
  const arrived = follower.replica.clone();
  await file.run("UPDATE a SET v = 0 WHERE id = 7; INSERT INTO b VALUES ('key 3', 3); DELETE FROM a WHERE id = 5000");
  await follower.restart(follower.cuts.length - 1);
  follower.replica = arrived;
  await catchUp(follower);
  await expectEqual(follower);
  expect(follower.position?.history).toBe(1);
});

test("several doubtful attempts on top of each other all come to the same end", async () => {
  const follower = await follow();
  await catchUp(follower);
  const base = follower.cuts.length;
  const arrived = [follower.replica.clone()];
  for (let n = 1; n <= 4; n++) {
    await file.run(`UPDATE a SET v = ${n} WHERE id % 10 = ${n}; UPDATE a SET v = 0 WHERE id % 10 = ${n - 1}`);
    await follower.next();
    arrived.push(follower.replica.clone());
    await follower.restart(base);
  }
  for (const replica of arrived) {
    await follower.restart(base);
    follower.replica = replica.clone();
    await catchUp(follower);
    await expectEqual(follower);
  }
});

test("without its memory, or with an older one, everything is told anew under a new history", async () => {
  const follower = await follow();
  await catchUp(follower);
  await (await file.open())[Symbol.asyncDispose]();
  const { path } = new CaptureDirectory(file);
  for (const end of ["", ".wal"]) rmSync(join(path, `state.duckdb${end}`), { force: true });
  await file.run("UPDATE a SET v = 9 WHERE id < 10");
  await follower.restart(follower.cuts.length, await file.open());
  await catchUp(follower);
  expect(follower.position?.history).toBe(2);
  expect(follower.replica.controls).toContain("begins a");
  await expectEqual(follower);
});

test("more changes than are worth telling one by one replace the table under one cut", async () => {
  const follower = await follow({ changesMax: 100, limits: { chunkRows: 30, rereadRows: 60 } });
  await catchUp(follower);
  const cuts = follower.cuts.length;
  await file.run("BEGIN; UPDATE a SET v = v + 1; DELETE FROM a WHERE id % 9 = 0; UPDATE b SET v = v + 1 WHERE v < 5; COMMIT");
  await follower.next();
  expect(follower.lastParts.filter(({ kind }) => kind === "chunk").length).toBeGreaterThan(10);
  await expectEqual(follower);
  // And once more, when it is not known whether that arrived.
  await file.run("UPDATE a SET v = 1 WHERE id = 4");
  const arrived = follower.replica.clone();
  await follower.restart(cuts);
  follower.replica = arrived;
  await follower.next();
  await expectEqual(follower);
});

test("rows and tables that are asked for are told as they are", async () => {
  const follower = await follow();
  await catchUp(follower);
  using requests = file.requests();
  await requests.touch(tableId("a"), [[5n], [123_456n]]);
  await follower.next();
  expect(follower.lastParts.flatMap((part) => (part.kind === "changes" ? part.changes.map(({ kind }) => kind) : []))).toEqual([
    "state",
    "delete",
  ]);
  await requests.reread([tableId("b")], rereadId("again"));
  await follower.next();
  expect(follower.lastParts.map(({ kind }) => kind)).toContain("chunk");
  expect(follower.replica.controls.filter((said) => said.includes("begins"))).toEqual([]);
  await requests.refill([tableId("a")], rereadId("lost"));
  await catchUp(follower);
  expect(follower.replica.controls).toEqual(expect.arrayContaining(["begins a", "ends a"]));
  await expectEqual(follower);
});

describe("an engine that is killed", () => {
  const dying = resolve("test/support/dying-engine.mjs");
  const points = ["cycle:after:1", "chunks:before:3", "cycle:before:2", "cycle:after:2", "changes:before:1"];
  test.each(points)("at %s loses nothing and doubles nothing", async (point) => {
    const [method = "", side = "", nth = "1"] = point.split(":");
    process.env.TAILRACE_DIE_AT = `${method}:${side}`;
    process.env.TAILRACE_DIE_NTH = nth;
    const limits = { chunkRows: 50, rereadRows: 200, pageRows: 20 };
    try {
      const follower = await follow({ program: dying, limits });
      let step = 0;
      const died = (async () => {
        for (;;) {
          await file.run(`UPDATE a SET v = v + 1 WHERE id % 3 = ${step % 3}; DELETE FROM heap WHERE x = ${step++ % 5}`);
          await follower.next();
        }
      })();
      await expect(died).rejects.toMatchObject({ code: "source.worker-ended" });
      // Nothing was in the log: then it is a beginning, under a number that nobody has seen.
      const history = follower.position?.history ?? 2;
      await follower.restart(follower.cuts.length, await file.open({ limits }));
      await file.run("UPDATE b SET v = v + 1; INSERT INTO heap VALUES (1, 'new')");
      await catchUp(follower);
      await expectEqual(follower);
      expect(follower.position?.history).toBe(history);
    } finally {
      delete process.env.TAILRACE_DIE_AT;
    }
  });
});
