/** The slot: who reads it, how much of the log it keeps, and how a past that was replaced is noticed. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { parseLsn } from "../../../../connectors/postgres/source/lsn.js";
import { decodeWayToken, encodeWayToken } from "../../../../connectors/postgres/source/way-token.js";
import { anchor, theGroup, writerEpoch } from "../../../../core/vocabulary/ids.js";
import { position } from "../../../../core/vocabulary/position.js";
import { until } from "../../../support/oracles/until.js";
import { PostgresServer } from "../../../support/postgres-server.js";
import { WayBackWorld, wayTable } from "../../../support/way-back.js";

const never = new AbortController().signal;
const other = wayTable("other", { id: "integer", n: "integer" });
let server: PostgresServer;
beforeAll(async () => {
  server = await PostgresServer.start({ max_slot_wal_keep_size: "48MB", max_wal_size: "32MB", min_wal_size: "32MB" });
});
afterAll(() => server[Symbol.asyncDispose]());

const confirmed = async (world: WayBackWorld): Promise<number> => {
  const [row] = await world.database.query<{ at: string }>(
    "SELECT confirmed_flush_lsn AS at FROM pg_replication_slots WHERE database = current_database()",
  );
  return parseLsn(row?.at ?? expect.fail("no slot"));
};
const fast = { pace: { lookMs: 20, confirmMs: 20 } };
/** Of log that nobody publishes. */
const noise = "INSERT INTO noise SELECT i, repeat('x', 500) FROM generate_series(1, 2000) AS i";

describe("the slot of the way back", () => {
  it("keeps what the other side lacks, and lets go of it and of everything quiet behind it when it has it", async () => {
    await using world = await WayBackWorld.of(server, [other]);
    await world.run("CREATE TABLE noise (id integer, x text)", "INSERT INTO other VALUES (1, 1)");
    await using follower = await world.follower(fast);
    await world.catchUp(follower);
    await world.run(noise);
    const before = await confirmed(world);
    await until(
      () => follower.source.captureLog()?.bytes !== 0,
      30_000,
      () => "nothing is kept",
    );
    expect(await confirmed(world)).toBe(before);
    expect(follower.source.captureLog()).toMatchObject({ freeBytes: expect.any(Number) as number });
    await follower.source.prune(follower.position ?? expect.fail("nothing was read"));
    const [end] = await world.database.query<{ at: string }>("SELECT pg_current_wal_lsn() AS at");
    await world.run(noise);
    await until(
      async () => (await confirmed(world)) >= parseLsn(end?.at ?? ""),
      30_000,
      () => "an idle table makes the log grow",
    );
  });

  it("tells everything again that the other side lacks, and recognises the transaction before it", async () => {
    await using world = await WayBackWorld.of(server, [other]);
    await world.run("CREATE TABLE noise (id integer, x text)", noise);
    const follower = await world.follower(fast);
    for (let i = 1; i <= 5; i++) {
      await world.run(`INSERT INTO other VALUES (${i}, 1)`);
      await world.catchUp(follower);
    }
    const cut = follower.cuts[4] ?? expect.fail("five cuts");
    expect(follower.source.recognises(cut.position, cut.end.anchor)).toBe(true);
    expect(follower.source.recognises(cut.position, anchor(Buffer.from("another past")))).toBe(false);
    await follower.source.prune(cut.position);
    await until(
      async () => (await confirmed(world)) === cut.position.order - 1,
      30_000,
      () => "it is not let go of",
    );
    await follower.source[Symbol.asyncDispose]();
    const beginning = { resume: { position: cut.position, token: cut.end.resume, anchor: cut.end.anchor }, later: [], historySeen: 1 };
    const next = follower.cuts[5]?.position ?? cut.position;
    const source = await world.open();
    await follower.restart(5, source);
    await world.catchUp(follower);
    expect(follower.replica.rows("other").map(([id]) => id)).toEqual(["1", "2", "3", "4", "5"]);
    await follower[Symbol.asyncDispose]();
    const { opening, at } = decodeWayToken(cut.end.resume);
    const replaced = { ...beginning.resume, token: encodeWayToken({ opening, at, anchor: anchor(Buffer.from("another past")) }) };
    await expect(source.batches({ ...beginning, resume: replaced }, never).next()).rejects.toMatchObject({ code: "source.past-replaced" });
    const beyond = encodeWayToken({ opening, at: position(at.history, at.order + 2 ** 40), anchor: cut.end.anchor });
    await expect(source.batches({ ...beginning, resume: { ...replaced, token: beyond } }, never).next()).rejects.toMatchObject({
      code: "source.past-replaced",
    });
    const doubtful = { position: next, anchor: anchor(Buffer.from("another past")) };
    // What stands before it may have come and be told.
    const toTheEnd = async (): Promise<void> => {
      for await (const batch of source.batches({ ...beginning, later: [doubtful] }, never)) {
        for await (const _ of batch.parts(never));
        await source.acknowledged(batch.position, writerEpoch(9));
      }
    };
    await expect(toTheEnd()).rejects.toMatchObject({ code: "source.past-replaced" });
  });

  it("is refused when somebody else has moved it on", async () => {
    await using world = await WayBackWorld.of(server, [other]);
    await world.run("INSERT INTO other VALUES (1, 1)");
    await world.run(
      "SELECT pg_replication_slot_advance(slot_name, pg_current_wal_lsn()) FROM pg_replication_slots WHERE database = current_database()",
    );
    await expect(world.open()).rejects.toMatchObject({ code: "source.slot-moved" });
  });

  it("is read by one process: another one stands by, and takes over when the first is gone", async () => {
    await using world = await WayBackWorld.of(server, [other]);
    const first = await world.open();
    await first.claiming(writerEpoch(3));
    await expect(world.open()).rejects.toMatchObject({ code: "source.locked", verdict: "stand-by" });
    await first[Symbol.asyncDispose]();
    const second = await world.open();
    expect(second.epochSeen()).toBe(3);
  });

  it("is said to be lost when the server has taken its log away", async () => {
    await using world = await WayBackWorld.of(server, [other]);
    await world.run("CREATE TABLE noise (id integer, x text)", "INSERT INTO other VALUES (1, 1)");
    await until(
      async () => {
        for (let i = 0; i < 10; i++) await world.run(noise);
        await world.run("SELECT pg_switch_wal()", "CHECKPOINT");
        const [row] = await world.database.query<{ status: string }>(
          "SELECT wal_status AS status FROM pg_replication_slots WHERE database = current_database()",
        );
        return row?.status === "lost";
      },
      60_000,
      () => "the slot keeps everything",
    );
    await expect(world.open()).rejects.toMatchObject({ code: "source.slot-lost" });
    expect(await world.desk.close(theGroup, never)).toHaveLength(2);
  });

  it("goes on where it was when PostgreSQL was killed in the middle", async () => {
    await using world = await WayBackWorld.of(server, [other]);
    await using follower = await world.follower(fast);
    await follower.next();
    for (let i = 1; i <= 3; i++) {
      await world.run(`INSERT INTO other VALUES (${i}, 1)`);
      await follower.next();
    }
    server.end("immediate");
    await expect(follower.next()).rejects.toMatchObject({ code: "source.unavailable", verdict: "retry" });
    await follower.source[Symbol.asyncDispose]();
    await server.restart();
    await world.reconnect();
    await world.run("INSERT INTO other VALUES (100, 1)");
    await follower.restart(follower.cuts.length, await world.open());
    while (!follower.replica.rows("other").some(([id]) => id === "100")) await follower.next();
    expect(follower.replica.rows("other").map(([id]) => id)).toEqual(["1", "100", "2", "3"]);
  });
});
