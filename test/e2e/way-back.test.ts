/** What the application writes on PostgreSQL after the switch comes back to the file. */
import { Client } from "pg";
import { expect, it } from "vitest";
import { sharedKafka } from "../support/kafka.js";
import { until } from "../support/oracles/until.js";
import { Operator, type OperatorOptions } from "./operator.js";

const ddl = `
  PRAGMA journal_mode = WAL;
  CREATE TABLE customers (id INTEGER PRIMARY KEY, name TEXT NOT NULL, email TEXT UNIQUE);
  CREATE TABLE orders (id INTEGER PRIMARY KEY AUTOINCREMENT, customer INTEGER NOT NULL REFERENCES customers (id) ON DELETE CASCADE, total REAL, note TEXT, placed INTEGER);
  INSERT INTO customers VALUES (1, 'Ada', 'ada@x'), (2, 'Bo', 'bo@x'), (3, 'Cy', 'cy@x');
  WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 500)
    INSERT INTO orders SELECT i, 1 + i % 3, i / 7.0, 'note ' || i, 1700000000000 + i FROM n;
`;
const places = {};
/** What the log does is proven for both of them elsewhere: here it is the same code with other prefixes. */
const isLong = process.env["TAILRACE_TEST_LONG"] === "1";
const says = "every write on PostgreSQL comes back to the file, and none of it goes round again";

it(says, { timeout: 480_000 }, () => walk({}));
it(`${says}, over Kafka`, { timeout: 480_000 }, async (context) => {
  if (!isLong) return context.skip("long: TAILRACE_TEST_LONG=1");
  const kafka = await sharedKafka();
  if (kafka.kind === "missing") return context.skip(`no Kafka: ${kafka.why}`);
  await walk({ log: { kind: "kafka", brokers: kafka.brokers } });
});

async function walk(more: OperatorOptions): Promise<void> {
  await using operator = await Operator.make({ ddl, tables: { customers: places, orders: places }, ...more });
  await operator.answer("apply");
  operator.run();
  await operator.caughtUp();
  expect(await operator.cutover("run")).toMatchObject({ outcome: "switched", error: null });

  const client = new Client({ connectionString: operator.database.url });
  await client.connect();
  try {
    await client.query("UPDATE customers SET name = name || ' of PostgreSQL' WHERE id < 3");
    await client.query("DELETE FROM customers WHERE id = 3");
    await client.query("INSERT INTO customers VALUES (10, 'new', 'new@x')");
    await client.query(
      "INSERT INTO orders (customer, total, note) SELECT 10, i / 3.0, repeat('x', 5000) FROM generate_series(1, 300) AS i",
    );
    await client.query("UPDATE orders SET total = total + 1 WHERE customer = 10");
    await client.query("UPDATE customers SET id = 11 WHERE id = 1").catch(() => {});
  } finally {
    await client.end();
  }
  await until(
    async () => (await operator.different({})).length === 0,
    30_000,
    () => "the file does not become equal",
  );
  let status: Record<string, unknown> = {};
  await until(
    async () => {
      status = await operator.answer("status");
      // The sink that was switched off finds out when it next has something to do.
      return status["state"] === "switched" && (status["wayBack"] as { behind: { changes: number | null } } | null)?.behind.changes === 0;
    },
    60_000,
    () =>
      `status does not say that it was switched and nothing is behind: ${JSON.stringify([status["state"], status["services"], status["wayBack"]])}`,
  );
  expect(status["needsPerson"]).toEqual([]);
}
