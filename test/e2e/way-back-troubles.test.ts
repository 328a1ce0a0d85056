/** What may happen to the way back besides death: each is said by name, and once it is mended everything goes on by itself, exactly. Long: TAILRACE_TEST_LONG=1. */
import Database from "better-sqlite3";
import { Client } from "pg";
import { afterAll, beforeAll, expect, it } from "vitest";
import { until } from "../support/oracles/until.js";
import { PostgresServer } from "../support/postgres-server.js";
import { Operator } from "./operator.js";

const ddl = `
  PRAGMA journal_mode = WAL;
  CREATE TABLE customers (id INTEGER PRIMARY KEY, name TEXT NOT NULL);
  CREATE TABLE orders (id INTEGER PRIMARY KEY, total INTEGER CHECK (total >= 0), note TEXT);
  CREATE UNIQUE INDEX one_note ON orders (note) WHERE note IS NOT NULL;
  INSERT INTO customers VALUES (1, 'Ada'), (2, 'Bo');
  INSERT INTO orders VALUES (1, 1, 'a'), (2, 2, 'b');
`;
let server: PostgresServer;
beforeAll(async () => {
  server = await PostgresServer.start();
});
afterAll(() => server[Symbol.asyncDispose]());

const isLong = process.env["TAILRACE_TEST_LONG"] === "1";

it("a file that is held, rows that it refuses, a new column and a server that is killed", { timeout: 300_000 }, async (context) => {
  if (!isLong) return context.skip("long: TAILRACE_TEST_LONG=1");
  await using operator = await Operator.make({ ddl, tables: { customers: {}, orders: {} }, server: server.url });
  operator.settings({ source: { kind: "sqlite", path: "./shop.db", log: { maxBytes: "1MiB" } } });
  await operator.answer("apply");
  operator.run();
  await operator.caughtUp();
  expect(await operator.cutover("run")).toMatchObject({ outcome: "switched", error: null });
  const write = async (...statements: readonly string[]): Promise<void> => {
    const client = new Client({ connectionString: operator.database.url });
    await client.connect();
    for (const statement of statements) await client.query(statement);
    await client.end();
  };
  const equal = async (): Promise<void> => {
    let seen: readonly string[] = [];
    await until(
      async () => (seen = await operator.different({})).length === 0,
      60_000,
      () => `the file does not become equal: ${seen.join("; ")}`,
    );
  };

  const somebody = new Database(operator.file);
  somebody.exec("BEGIN IMMEDIATE");
  await write("UPDATE customers SET name = 'held' WHERE id = 1");
  expect(await operator.says("reverse", ({ code }) => code === "source.busy")).toMatchObject({ state: "waiting" });
  // What waits in PostgreSQL is counted, and becomes an alarm where there is too much of it.
  const large =
    "SELECT i, i, string_agg(md5(i::text || n), '') FROM generate_series(100, 140) AS i, generate_series(1, 2000) AS n GROUP BY i";
  await write(`INSERT INTO orders ${large}`);
  let persons: readonly string[] = [];
  await until(
    async () => (persons = (await operator.status()).needsPerson).some((line) => line.includes("more than source.log.maxBytes")),
    60_000,
    () => `no alarm: ${persons.join("; ")}`,
  );
  expect(await operator.metric("reverse", "tailrace_capture_log_bytes")).toBeGreaterThan(1 << 20);
  const { checks } = (await operator.answer("doctor")) as unknown as { checks: readonly { id: string; severity: string; what: string }[] };
  expect(checks.find(({ id }) => id === "way-back.slot")).toMatchObject({
    severity: "warn",
    what: expect.stringMatching(/maxBytes/) as string,
  });
  somebody.exec("ROLLBACK");
  somebody.close();
  await equal();

  // Neither a CHECK nor a partial index is carried over: PostgreSQL takes what the file does not.
  await write("UPDATE orders SET total = -1 WHERE id = 1");
  const refused = await operator.says("reverse", ({ code, state }) => code === "target.constraint" && state === "stopped");
  expect(refused.why).toMatch(/CHECK.*total/s);
  await write("UPDATE orders SET total = 10 WHERE id = 1");
  await equal();
  await write("INSERT INTO orders VALUES (3, 3, 'b')");
  expect((await operator.says("reverse", ({ code }) => code === "target.constraint")).why).toMatch(/UNIQUE/);
  await write("UPDATE orders SET note = 'c' WHERE id = 3");
  await equal();

  expect(await operator.answer("pause")).toMatchObject({ paused: true, changed: true });
  await operator.says("reverse", ({ state }) => state === "paused");
  await write("DELETE FROM orders WHERE id = 3");
  expect(await operator.answer("resume")).toMatchObject({ paused: false, changed: true });
  await equal();

  await write("ALTER TABLE customers ADD COLUMN city text", "INSERT INTO customers VALUES (3, 'Cy', 'Oslo')");
  await operator.says("reverse", ({ code, state }) => code === "source.columns-changed" && state === "stopped");
  expect(await operator.answer("cutover", "reopen")).toMatchObject({ told: 1 });
  await write("UPDATE customers SET city = 'Rome', name = 'Di' WHERE id = 3");
  await operator.caughtUp();
  expect(operator.rows("SELECT * FROM customers WHERE id = 3")).toEqual([{ id: 3, name: "Di" }]);
  expect(await operator.answer("verify", "run")).toMatchObject({ outcome: "equal" });

  server.end("immediate");
  await operator.says("reverse", ({ code, state }) => code === "source.unavailable" && state === "waiting");
  await server.restart();
  await write("UPDATE customers SET name = 'again' WHERE id = 2");
  await equal();
  expect(await operator.rollback("run")).toMatchObject({ outcome: "switched", error: null });
});
