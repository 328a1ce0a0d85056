/** A way back that is lost while applications write to PostgreSQL: what is said, and how the file gets all that it has missed. */
import { Client } from "pg";
import { afterAll, beforeAll, expect, it } from "vitest";
import { PostgresServer } from "../support/postgres-server.js";
import { until } from "../support/oracles/until.js";
import { Operator } from "./operator.js";

const ddl = `
  PRAGMA journal_mode = WAL;
  CREATE TABLE customers (id INTEGER PRIMARY KEY, name TEXT NOT NULL, email TEXT UNIQUE, active BOOLEAN);
  CREATE TABLE orders (id INTEGER PRIMARY KEY, customer INTEGER NOT NULL REFERENCES customers (id), total REAL, note TEXT);
  INSERT INTO customers VALUES (1, 'Ada', 'ada@x', 1), (2, 'Bo', 'bo@x', 0), (3, 'Cy', 'cy@x', NULL), (4, 'Di', 'di@x', 1);
  WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 300) INSERT INTO orders SELECT i, 1 + i % 4, i / 7.0, 'note ' || i FROM n;
`;

const isLong = process.env["TAILRACE_TEST_LONG"] === "1";
let server: PostgresServer;
beforeAll(async () => {
  server = await PostgresServer.start({ max_slot_wal_keep_size: "48MB", max_wal_size: "32MB", min_wal_size: "32MB" });
});
afterAll(() => server[Symbol.asyncDispose]());

/** Keys, unique values and references that change places: the file refuses them in most orders. */
const missed = [
  "UPDATE customers SET email = NULL WHERE id = 1",
  "UPDATE customers SET email = 'ada@x' WHERE id = 2",
  "UPDATE customers SET email = 'bo@x', active = false WHERE id = 1",
  "INSERT INTO customers VALUES (5, 'Ed', 'ed@x', true)",
  "UPDATE orders SET customer = 5 WHERE customer = 3",
  "DELETE FROM customers WHERE id = 3",
  "UPDATE customers SET email = 'cy@x' WHERE id = 5",
  "DELETE FROM orders WHERE id > 290",
  "INSERT INTO orders SELECT i, 5, i / 3.0, NULL FROM generate_series(1001, 1100) AS i",
];

const readSlots = "FROM pg_replication_slots WHERE database = current_database()";

async function dropSlot(client: Client): Promise<void> {
  const drop = async (): Promise<boolean> => {
    await client.query(`SELECT pg_terminate_backend(active_pid) ${readSlots} AND active_pid IS NOT NULL`);
    return await client.query(`SELECT pg_drop_replication_slot(slot_name) ${readSlots}`).then(
      ({ rowCount }) => rowCount === 1,
      () => false,
    );
  };
  // Whoever reads from it comes back at once: there is a moment in between.
  await until(drop, 30_000, () => "the slot was never free");
}

async function outgrowSlot(client: Client): Promise<void> {
  await client.query("CREATE TABLE noise (x text)");
  const lost = async (): Promise<boolean> => {
    await client.query("INSERT INTO noise SELECT repeat('x', 500) FROM generate_series(1, 20000)");
    await client.query("SELECT pg_switch_wal()");
    await client.query("CHECKPOINT");
    const { rows } = await client.query<{ lost: boolean }>(`SELECT wal_status = 'lost' AS lost ${readSlots}`);
    return rows[0]?.lost === true;
  };
  await until(lost, 60_000, () => "the slot keeps everything");
}

it("a lost slot is said, opened anew without a restart, and all that the file has missed is told: home without a loss", {
  timeout: 300_000,
}, async () => {
  await using operator = await Operator.make({ ddl, tables: { customers: {}, orders: {} }, server: server.url });
  await operator.answer("apply");
  const first = operator.run();
  await operator.caughtUp();
  expect(await operator.refusal("cutover", "reopen")).toMatchObject({ exit: 7, code: "cutover.refused" });
  expect(await operator.cutover("run")).toMatchObject({ outcome: "switched", error: null });
  const client = new Client({ connectionString: operator.database.url });
  await client.connect();
  try {
    expect(await operator.refusal("cutover", "reopen")).toMatchObject({ exit: 7, code: "cutover.refused" });
    await dropSlot(client);
    for (const statement of missed) await client.query(statement);
    const said = await operator.says("reverse", ({ code }) => code === "source.slot-lost");
    expect(said.state).toBe("stopped");
    await expect
      .poll(() => operator.status(), { timeout: 120_000 })
      .toMatchObject({
        needsPerson: expect.arrayContaining([expect.stringMatching(/reverse stopped.*tailrace cutover reopen/s)]) as unknown,
        next: ["tailrace cutover reopen"],
      });
    expect(await operator.refusal("rollback", "run")).toMatchObject({ exit: 7, code: "cutover.refused" });
    // Customers 1, 2, 3 and 5, the orders of 3, those that are gone and those that came.
    expect(await operator.answer("cutover", "reopen")).toMatchObject({ kind: "CutoverReopen", told: 4 + 75 + 8 + 100 });
    await operator.caughtUp();
    expect(await operator.different({})).toEqual([]);
    expect(await operator.answer("verify", "run")).toMatchObject({ outcome: "equal" });
    await expect.poll(() => operator.status(), { timeout: 120_000 }).toMatchObject({ state: "switched", needsPerson: [] });

    // The same of a log that was taken away while nobody read it, which takes some time to bring about.
    if (isLong) {
      await first.stop();
      await outgrowSlot(client);
      await client.query("UPDATE customers SET name = 'unseen' WHERE id = 4");
      operator.run();
      await operator.says("reverse", ({ code, state }) => code === "source.slot-lost" && state === "stopped");
      expect(await operator.answer("cutover", "reopen")).toMatchObject({ told: 1 });
    }
    await client.query("UPDATE customers SET name = 'after' WHERE id = 2");
    expect(await operator.rollback("run")).toMatchObject({ outcome: "switched", error: null, afterwards: [] });
    expect(await operator.different({})).toEqual([]);
    operator.sql("UPDATE customers SET name = 'home' WHERE id = 4");
    await operator.caughtUp();
    expect(await operator.different({})).toEqual([]);
  } finally {
    await client.end();
  }
});
