/** What of PostgreSQL's changes is told, and what is not. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { connectTarget } from "../../../../connectors/postgres/connect.js";
import type { BatchPart, Change } from "../../../../core/contracts/change.js";
import { TailraceError } from "../../../../core/errors.js";
import { markerId, theGroup } from "../../../../core/vocabulary/ids.js";
import type { Follower } from "../../../support/follower.js";
import { until } from "../../../support/oracles/until.js";
import { PostgresServer } from "../../../support/postgres-server.js";
import { backPipeline, WayBackWorld, wayTable } from "../../../support/way-back.js";

const never = new AbortController().signal;
let server: PostgresServer;
beforeAll(async () => {
  server = await PostgresServer.start();
});
afterAll(() => server[Symbol.asyncDispose]());

const item = wayTable("item", { id: "bigint", name: "text", body: "text", n: "numeric" });
const other = wayTable("other", { id: "integer", n: "integer" });

const changesOf = (parts: readonly BatchPart[]): readonly Change[] =>
  parts.flatMap((part) => (part.kind === "changes" ? part.changes : []));
const ours = (more = ""): string =>
  `UPDATE tailrace.pipeline SET updated_at = now() WHERE pipeline = '${backPipeline}' AND group_id = ${theGroup} AND direction = 'forward'${more}`;

async function toldNext(follower: Follower): Promise<readonly Change[]> {
  await follower.next();
  return changesOf(follower.lastParts);
}

async function failure(follower: Follower): Promise<string> {
  try {
    for (;;) await follower.next();
  } catch (thrown) {
    return thrown instanceof TailraceError ? thrown.code : String(thrown);
  }
}

describe("the way back", () => {
  it("begins with the tables and no rows, whatever they hold", async () => {
    await using world = await WayBackWorld.of(server, [item, other], { opened: false });
    await world.run("INSERT INTO item VALUES (1, 'old', 'old', 1)");
    const begins = await world.desk.open(theGroup, never);
    await world.run("INSERT INTO item VALUES (2, 'new', 'new', 2)");
    await using follower = await world.follower();
    const first = await follower.next();
    expect(first.position).toEqual(begins);
    expect(follower.lastParts.map((part) => (part.kind === "control" ? part.control.kind : part.kind))).toEqual(["schema", "schema"]);
    expect((await toldNext(follower)).map(({ key }) => key)).toEqual([["2"]]);
  });

  it("says a large value that an update left alone, and puts REPLICA IDENTITY back when it is closed", async () => {
    await using world = await WayBackWorld.of(server, [item, other]);
    const large = "ä\"'\\".repeat(50_000);
    await world.run("ALTER TABLE item ALTER body SET STORAGE EXTERNAL");
    await world.application.query("INSERT INTO item VALUES (1, 'a', $1, 1)", [large]);
    await world.run("UPDATE item SET name = 'b'", "UPDATE item SET id = 2", "DELETE FROM item");
    await using follower = await world.follower();
    await world.catchUp(follower);
    const told = follower.cuts.length;
    expect(told).toBeGreaterThan(0);
    const identities = (): Promise<{ relname: string; kind: string }[]> =>
      world.database.query(
        "SELECT relname, relreplident::text AS kind FROM pg_class WHERE relname IN ('item', 'other') AND relkind = 'r' ORDER BY 1",
      );
    expect(await identities()).toEqual([
      { relname: "item", kind: "f" },
      { relname: "other", kind: "d" },
    ]);
    await follower[Symbol.asyncDispose]();
    await follower.source[Symbol.asyncDispose]();
    expect(await world.desk.close(theGroup, never)).toHaveLength(3);
    expect((await identities()).map(({ kind }) => kind)).toEqual(["d", "d"]);
    expect(await world.desk.close(theGroup, never)).toEqual([]);
  });

  it("tells values, key changes and deletes as they are", async () => {
    await using world = await WayBackWorld.of(server, [item, other]);
    const large = "x".repeat(100_000);
    await world.run("ALTER TABLE item ALTER body SET STORAGE EXTERNAL");
    await world.application.query("INSERT INTO item VALUES (9007199254740993, 'a', $1, 1.50)", [large]);
    await world.run("UPDATE item SET name = NULL", "UPDATE item SET id = -1", "DELETE FROM item", "INSERT INTO other VALUES (1, NULL)");
    await world.run("UPDATE other SET id = 2", "UPDATE other SET n = 0", "DELETE FROM other");
    await using follower = await world.follower();
    await follower.next();
    const changes: Change[] = [];
    while (changes.length < 8) changes.push(...(await toldNext(follower)));
    const what = (change: Change): unknown => Object.fromEntries(Object.entries(change).filter(([name]) => name !== "at"));
    expect(changes.map(what)).toEqual([
      { kind: "create", key: ["9007199254740993"], after: ["9007199254740993", "a", large, "1.50"] },
      { kind: "update", key: ["9007199254740993"], after: ["9007199254740993", null, large, "1.50"] },
      { kind: "rekey", from: ["9007199254740993"], key: ["-1"], after: ["-1", null, large, "1.50"] },
      { kind: "delete", key: ["-1"], before: ["-1", null, large, "1.50"] },
      { kind: "create", key: ["1"], after: ["1", null] },
      { kind: "rekey", from: ["1"], key: ["2"], after: ["2", null] },
      { kind: "update", key: ["2"], after: ["2", "0"] },
      { kind: "delete", key: ["2"], before: null },
    ]);
  });

  it("leaves out what the other direction wrote, however much it is, and nothing else", async () => {
    await using world = await WayBackWorld.of(server, [item, other]);
    const many = "INSERT INTO other SELECT i, i FROM generate_series(1, 20000) AS i";
    await world.run("BEGIN", ours(), many, "UPDATE other SET n = n + 1", "COMMIT");
    await world.run("BEGIN", "INSERT INTO other VALUES (-1, 0)", ours(), "COMMIT");
    await world.run(
      "BEGIN",
      "INSERT INTO tailrace.pipeline (pipeline, group_id, direction, active) VALUES ('another', 1, 'forward', true)",
      "INSERT INTO other VALUES (-2, 0)",
      "COMMIT",
    );
    await world.run("BEGIN", "UPDATE other SET n = 7 WHERE id = 5", "SAVEPOINT a", ours(), "ROLLBACK TO a", "COMMIT");
    await using follower = await world.follower();
    await follower.next();
    const told = [...(await toldNext(follower))];
    while (told.length < 2) told.push(...(await toldNext(follower)));
    expect(told.map(({ key }) => key)).toEqual([["-2"], ["5"]]);
  });

  it("passes a transaction that is larger than what is held, and cuts only at its end", async () => {
    await using world = await WayBackWorld.of(server, [item, other]);
    const rows = 60_000;
    await world.run(`INSERT INTO item SELECT i, 'name', repeat(i::text, 20), i FROM generate_series(1, ${rows}) AS i`);
    await using follower = await world.follower({ limits: { heldBytes: 256 << 10, whole: { rows: 500, bytes: 64 << 10 } } });
    await follower.next();
    expect(await toldNext(follower)).toHaveLength(rows);
    expect(follower.replica.rows("item")).toHaveLength(rows);
  });

  it("stops by name where a row does not say what it is any more", async () => {
    await using world = await WayBackWorld.of(server, [item, other]);
    await world.run("ALTER TABLE item ALTER body SET STORAGE EXTERNAL", "ALTER TABLE item REPLICA IDENTITY DEFAULT");
    await world.application.query("INSERT INTO item VALUES (1, 'a', $1, 1)", ["x".repeat(100_000)]);
    await world.run("UPDATE item SET name = 'b'");
    await using follower = await world.follower();
    expect(await failure(follower)).toBe("source.value-not-logged");
  });

  it.each([
    ["a new column", "ALTER TABLE other ADD COLUMN more text"],
    ["a column that is gone", "ALTER TABLE other DROP COLUMN n"],
    ["a column of another type", "ALTER TABLE other ALTER n TYPE bigint"],
  ])("stops by name at the first row with %s, and tells what came before", async (_, ddl) => {
    await using world = await WayBackWorld.of(server, [item, other]);
    await world.run("INSERT INTO other VALUES (1, 1)", ddl, "INSERT INTO item VALUES (1, 'a', 'b', 1)");
    await using follower = await world.follower();
    await follower.next();
    while (follower.replica.rows("item").length === 0) await follower.next();
    await world.run("DELETE FROM other");
    expect(await failure(follower)).toBe("source.columns-changed");
  });

  it("stops when a truncated table is filled again in the same transaction beyond what is held", async () => {
    await using world = await WayBackWorld.of(server, [item, other]);
    await world.run("BEGIN", "TRUNCATE other", "INSERT INTO other SELECT i FROM generate_series(1, 20001) AS i", "COMMIT");
    await using follower = await world.follower();
    expect(await failure(follower)).toBe("source.truncated");
  });

  it("says that it is closed until it is opened, and stops when its slot is gone", async () => {
    await using world = await WayBackWorld.of(server, [item], { opened: false });
    await expect(world.open()).rejects.toMatchObject({ code: "source.way-back-closed", verdict: "stand-by" });
    await world.desk.open(theGroup, never);
    await using follower = await world.follower();
    await follower.next();
    await follower[Symbol.asyncDispose]();
    await until(
      async () =>
        (await world.database.query("SELECT FROM pg_replication_slots WHERE active AND database = current_database()")).length === 0,
      30_000,
      () => "the slot stays active",
    );
    await world.run("SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE database = current_database()");
    await using late = await world.follower().catch(() => null);
    expect(late).toBeNull();
    await expect(world.open()).rejects.toMatchObject({ code: expect.stringMatching(/^source\.(slot-lost|locked)$/) as string });
  });

  it("stays as it is when it is opened again, and begins anew after it was closed", async () => {
    await using world = await WayBackWorld.of(server, [item]);
    const first = await world.desk.open(theGroup, never);
    await world.run("INSERT INTO item VALUES (1, 'a', 'b', 1)");
    expect(await world.desk.open(theGroup, never)).toEqual(first);
    await using follower = await world.follower();
    await world.catchUp(follower);
    await follower.source[Symbol.asyncDispose]();
    await world.desk.close(theGroup, never);
    await world.run("BEGIN", ours(), "INSERT INTO item VALUES (2, 'a', 'b', 1)", "COMMIT");
    const second = await world.desk.open(theGroup, never);
    expect(second.order).toBeGreaterThan(first.order);
    await follower.restart(follower.cuts.length, await world.open());
    await world.run("INSERT INTO item VALUES (3, 'a', 'b', 1)");
    await world.catchUp(follower);
    expect(follower.replica.rows("item").map(([id]) => id)).toEqual(["1", "3"]);
    expect(follower.position?.history).toBe(first.history);
  });

  it("is gone without a trace when the pipeline is destroyed", async () => {
    await using world = await WayBackWorld.of(server, [item]);
    await using target = await connectTarget({ url: world.database.url, pipeline: backPipeline }, never);
    expect(await target.destroy({ tables: true }, never)).toEqual(
      expect.arrayContaining([expect.stringMatching(/^replication slot /), "publication tailrace_back_1", "schema tailrace"]),
    );
    expect(await world.database.query("SELECT FROM pg_replication_slots WHERE database = current_database()")).toEqual([]);
    expect(await world.database.query("SELECT FROM pg_publication")).toEqual([]);
  });

  it("carries a marker to its place among the changes", async () => {
    await using world = await WayBackWorld.of(server, [item]);
    await using follower = await world.follower();
    await follower.next();
    await world.run("INSERT INTO item VALUES (1, 'a', 'b', 1)");
    await world.desk.mark(theGroup, markerId("a marker"), never);
    while (follower.replica.markers.length === 0) await follower.next();
    expect(follower.replica.markers).toEqual(["a marker"]);
    expect(follower.replica.rows("item")).toHaveLength(1);
    await world.run("UPDATE tailrace.marker SET asked_at = now() - interval '2 days'");
    await world.desk.mark(theGroup, markerId("another"), never);
    await world.catchUp(follower);
    expect(follower.replica.markers.slice(0, 3)).toEqual(["a marker", "a marker", "another"]);
  });
});
