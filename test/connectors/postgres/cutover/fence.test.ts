/** PostgreSQL as the side that is fenced off: what every fence must do, and what only snapshots and many kinds of statements can do wrong. */
import pg from "pg";
import { expect, test } from "vitest";
import { connectTarget } from "../../../../connectors/postgres/connect.js";
import { openPostgresFence } from "../../../../connectors/postgres/cutover/postgres-fence.js";
import { Secret } from "../../../../core/secret.js";
import { markerId, theGroup } from "../../../../core/vocabulary/ids.js";
import { sourceFenceContract } from "../../../contracts/source-fence-contract.js";
import { contractPipeline, contractPlan, never, nothingStale, Owner, parentRow, parentTable } from "../../../contracts/target-fixtures.js";
import { until } from "../../../support/oracles/until.js";
import { freshDatabase, type TestDatabase } from "../../../support/postgres.js";
import { changesOf, created } from "../../../support/synthetic-window.js";

const limits = { waitMs: 20_000, leaseMs: 60_000 };
const marker = markerId("back");
const fenced = /tailrace: writes are fenced off while the database is being switched over/;

async function prepared(): Promise<TestDatabase> {
  const database = await freshDatabase();
  await using target = await connectTarget({ url: database.url, pipeline: contractPipeline }, never);
  await target.prepare(contractPlan, nothingStale, never);
  return database;
}
const fenceOf = ({ url }: TestDatabase) => openPostgresFence({ url: new Secret(url), pipeline: contractPipeline });
async function refusal(work: Promise<unknown>): Promise<string | null> {
  try {
    await work;
    return null;
  } catch (thrown) {
    return String(thrown);
  }
}
async function clientOf({ url }: TestDatabase): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  return client;
}

sourceFenceContract("PostgreSQL", async () => {
  const database = await prepared();
  const clients: pg.Client[] = [];
  let last = 0;
  let n = 0;
  const note = async (): Promise<void> => {
    const [row] = await database.query<{ lsn: string }>("SELECT pg_current_wal_insert_lsn() - '0/0'::pg_lsn AS lsn");
    last = Number(row?.lsn);
  };
  return {
    open: () => fenceOf(database),
    write: async () => {
      const said = await refusal(database.query("INSERT INTO parent (id, name) VALUES ($1, 'x')", [++n]));
      if (said === null) await note();
      return said;
    },
    isBehind: ({ order }) => order >= last,
    occupied: "source.busy",
    occupy: async () => {
      const other = await clientOf(database);
      clients.push(other);
      await other.query("BEGIN; INSERT INTO pair (a, b) VALUES ('occupied', 1)");
      return async () => {
        await other.query("COMMIT");
        await note();
      };
    },
    [Symbol.asyncDispose]: async () => {
      for (const client of clients) await client.end();
      await database[Symbol.asyncDispose]();
    },
  };
});

test("every kind of write meets one clear error, in whatever snapshot, and the sink's own do not", async () => {
  await using database = await prepared();
  const [old, prepared1] = [await clientOf(database), await clientOf(database)];
  try {
    await database.query("INSERT INTO parent VALUES (1, 'one')");
    // Its snapshot is from before the fence: a flag in a table would be open to it for ever.
    await old.query("BEGIN ISOLATION LEVEL SERIALIZABLE; SELECT count(*) FROM parent");
    const statement = { name: "p", text: "INSERT INTO parent VALUES ($1, 'p')" };
    await prepared1.query({ ...statement, values: [2] });
    using fence = fenceOf(database);
    await fence.fence(theGroup, marker, limits, never);
    expect(await refusal(old.query("INSERT INTO parent VALUES (9, 'old')"))).toMatch(fenced);
    expect(await refusal(prepared1.query({ ...statement, values: [3] }))).toMatch(fenced);
    const [server] = await database.query<{ version: number }>("SELECT current_setting('server_version_num')::int AS version");
    // PostgreSQL 14 does not know it.
    const merge =
      "MERGE INTO parent AS p USING (SELECT 9::bigint AS id) AS s ON p.id = s.id WHEN NOT MATCHED THEN INSERT VALUES (s.id, 'm')";
    for (const sql of [
      "INSERT INTO parent VALUES (9, 'x') ON CONFLICT DO NOTHING",
      "UPDATE parent SET name = 'x'",
      "DELETE FROM parent WHERE id = 77",
      "TRUNCATE parent CASCADE",
      "WITH w AS (DELETE FROM parent RETURNING 1) SELECT count(*) FROM w",
      "SET session_replication_role = replica; UPDATE parent SET name = 'x'",
      ...((server?.version ?? 0) < 150_000 ? [] : [merge]),
    ]) {
      expect([sql, await refusal(database.query(sql))]).toEqual([sql, expect.stringMatching(fenced)]);
    }
    await database.query(
      "SET session_replication_role = origin; SELECT * FROM parent; CREATE TABLE other (id int); INSERT INTO other VALUES (1)",
    );
    await using target = await connectTarget({ url: database.url, pipeline: contractPipeline }, never);
    await using owner = await Owner.of(target);
    await owner.apply(changesOf(parentTable, created(1, [5n], parentRow(5))));
    expect(await database.query("SELECT id FROM parent ORDER BY id")).toEqual([{ id: "1" }, { id: "2" }, { id: "5" }]);
    await fence.keep(theGroup, marker);
    await fence.release(theGroup, marker);
    expect(await refusal(database.query("INSERT INTO parent VALUES (6, 'after')"))).toBeNull();
    expect(await database.query("SELECT tgname FROM pg_trigger WHERE tgname = 'tailrace_fence'")).toEqual([]);
  } finally {
    await old.end();
    await prepared1.end();
  }
});

test("a fence that did not hold all the time is not kept, though its lease runs again", async () => {
  await using database = await prepared();
  using fence = fenceOf(database);
  await fence.fence(theGroup, marker, limits, never);
  await fence.renew(theGroup, marker, 100);
  await until(
    async () => (await refusal(database.query("INSERT INTO parent VALUES (1, 'past the fence')"))) === null,
    30_000,
    () => "the lease does not end",
  );
  // Somebody sets the lease's end anew, as a process would that was stopped between looking and setting.
  await database.query("SELECT setval(format('tailrace.%I', until_sequence)::regclass, 4000000000000) FROM tailrace.fence");
  expect(await refusal(database.query("INSERT INTO parent VALUES (2, 'x')"))).toMatch(fenced);
  await expect(fence.keep(theGroup, marker)).rejects.toMatchObject({ code: "cutover.fence-lost" });
  await expect(fence.renew(theGroup, marker, 1_000)).rejects.toMatchObject({ code: "cutover.fence-lost" });
});

test("a table that somebody took the fence from is noticed before it is kept", async () => {
  await using database = await prepared();
  using fence = fenceOf(database);
  await fence.fence(theGroup, marker, limits, never);
  await database.query("DROP TRIGGER tailrace_fence ON child");
  await expect(fence.keep(theGroup, marker)).rejects.toMatchObject({ code: "cutover.fence-lost" });
});

test("destroy takes the fence down with the rest", async () => {
  await using database = await prepared();
  using fence = fenceOf(database);
  await fence.fence(theGroup, marker, limits, never);
  await fence.keep(theGroup, marker);
  await using target = await connectTarget({ url: database.url, pipeline: contractPipeline }, never);
  expect((await target.destroy({ tables: false }, never)).filter((what) => what.startsWith("trigger"))).toHaveLength(3);
  expect(await refusal(database.query("INSERT INTO parent VALUES (1, 'free')"))).toBeNull();
});
