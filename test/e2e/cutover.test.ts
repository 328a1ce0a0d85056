import { Client } from "pg";
import { expect, it } from "vitest";
import { cutoverSteps } from "../support/cutover-steps.js";
import { Operator } from "./operator.js";

const ddl = `
  PRAGMA journal_mode = WAL;
  CREATE TABLE customers (id INTEGER PRIMARY KEY, name TEXT NOT NULL, email TEXT UNIQUE);
  CREATE TABLE orders (id INTEGER PRIMARY KEY AUTOINCREMENT, customer INTEGER NOT NULL REFERENCES customers (id) ON DELETE CASCADE, total REAL, note TEXT, placed INTEGER);
  CREATE TABLE empty (id INTEGER PRIMARY KEY, v TEXT);
  INSERT INTO customers VALUES (1, 'Ada', 'ada@x'), (2, 'Bo', 'bo@x'), (3, 'Cy', 'cy@x');
  WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000)
    INSERT INTO orders SELECT i, 1 + i % 3, i / 7.0, 'note ' || i, 1700000000000 + i FROM n;
  INSERT INTO orders (id, customer) VALUES (5000, 1); DELETE FROM orders WHERE id = 5000;
`;
const places = {};

it("preflight, plan, rehearse, run: the application continues on PostgreSQL", { timeout: 480_000 }, async () => {
  await using operator = await Operator.make({ ddl, tables: { customers: places, orders: places, empty: places } });
  await operator.answer("apply");
  expect(await operator.refusal("cutover", "run")).toMatchObject({ exit: 7, code: "cutover.refused" });
  operator.run();
  await operator.caughtUp();

  // The service that carries changes back may begin after source and sink have done all of theirs.
  await expect
    .poll(() => operator.tailrace("cutover", "preflight", "--max-lag", "60s"), { timeout: 120_000 })
    .toMatchObject({ code: 0, stdout: expect.stringMatching(/ok +route/) as unknown });
  const plan = await operator.cutover("plan");
  expect((plan["steps"] as { step: string }[]).map(({ step }) => step)).toEqual(cutoverSteps);
  const rehearsed = await operator.cutover("rehearse");
  expect(rehearsed).toMatchObject({ outcome: "rehearsed", error: null, afterwards: [] });
  operator.sql("INSERT INTO orders (customer, note) VALUES (2, 'after the rehearsal')");
  await operator.caughtUp();

  const switched = await operator.cutover("run");
  expect(switched).toMatchObject({ outcome: "switched", error: null, afterwards: [] });
  expect(switched["pauseMs"]).toBeTypeOf("number");
  expect(() => operator.sql("DELETE FROM orders")).toThrow(/fenced off/);
  expect(await operator.different({})).toEqual([]);
  expect(await operator.answer("cutover", "status")).toMatchObject({
    route: { side: "target" },
    fence: { kind: "kept" },
    last: { state: "done" },
  });
  expect((await operator.tailrace("wait", "state=switched", "--timeout", "120s")).code).toBe(0);
  expect(await operator.refusal("cutover", "run")).toMatchObject({ exit: 7, code: "cutover.refused" });

  const client = new Client({ connectionString: operator.database.url });
  await client.connect();
  try {
    const one = async (sql: string): Promise<unknown> => (await client.query<{ v: unknown }>(sql)).rows[0]?.v;
    expect(
      await one(
        "INSERT INTO customers (name, email) VALUES ('new', 'ada@x') ON CONFLICT (email) DO UPDATE SET name = 'Ada L.' RETURNING id AS v",
      ),
    ).toBe("1");
    expect(await one("INSERT INTO orders (customer) VALUES (1) RETURNING id AS v")).toBe("5002");
    expect(await one("INSERT INTO empty (v) VALUES ('first') RETURNING id AS v")).toBe("1");
    await client.query("DELETE FROM customers WHERE id = 2");
    expect(await one("SELECT count(*) AS v FROM orders WHERE customer = 2")).toBe("0");
  } finally {
    await client.end();
  }
});
