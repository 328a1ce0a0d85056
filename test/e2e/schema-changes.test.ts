/** Tables that change under a running pipeline: it stops with a code, `apply` heals it, and nothing is lost, whatever was still on its way. */
import { describe, expect, it } from "vitest";
import { Operator } from "./operator.js";

describe("a table that changes while the pipeline runs", () => {
  it("is healed by apply: columns added and renamed, tables rebuilt, made and dropped, with changes of before still in the log", {
    timeout: 480_000,
  }, async () => {
    await using operator = await Operator.make();
    await operator.answer("apply");
    let running = operator.run();
    await operator.caughtUp();
    const restart = async (): Promise<void> => {
      expect(await running.stop()).toMatchObject({ code: 6 });
      running = operator.run();
      await operator.caughtUp();
    };

    await operator.paused();
    operator.sql("INSERT INTO orders (customer, note) VALUES (1, 'in the words of before'); DELETE FROM orders WHERE id = 77");
    operator.sql(`ALTER TABLE orders ADD COLUMN extra TEXT NOT NULL DEFAULT 'none'; ALTER TABLE customers RENAME COLUMN name TO title;
      UPDATE orders SET extra = 'some' WHERE id < 10; INSERT INTO customers VALUES (4, 'Di')`);
    expect(await operator.stopped("source")).toMatchObject({
      code: "source.schema-changed",
      why: expect.stringContaining("tailrace apply") as unknown,
    });
    expect(await operator.status()).toMatchObject({
      state: "stopped",
      next: expect.arrayContaining(["tailrace explain source.schema-changed"]) as unknown,
    });
    const plan = await operator.answer("plan");
    expect(plan["differences"]).toEqual(
      expect.arrayContaining([expect.objectContaining({ kind: "added", table: "orders", item: "extra" })]),
    );
    await operator.answer("apply");
    await operator.answer("resume");
    await restart();
    expect(await operator.different()).toEqual([]);

    operator.sql(`BEGIN; CREATE TABLE orders_new (id INTEGER PRIMARY KEY, customer INTEGER NOT NULL REFERENCES customers (id), total REAL, note TEXT, placed INTEGER, extra TEXT);
      INSERT INTO orders_new SELECT * FROM orders WHERE id % 3 <> 0; DROP TABLE orders; ALTER TABLE orders_new RENAME TO orders; COMMIT;
      UPDATE orders SET note = 'nobody logged this' WHERE id < 50; CREATE TABLE later (id INTEGER PRIMARY KEY, customer INTEGER REFERENCES customers (id));
      INSERT INTO later VALUES (1, 1), (2, 2)`);
    await operator.stopped("source");
    expect(await operator.answer("apply")).toMatchObject({
      tables: expect.arrayContaining([expect.objectContaining({ source: "later" })]) as unknown,
    });
    await operator.answer("snapshot", "orders");
    await restart();
    expect(await operator.different()).toEqual([]);

    await operator.paused();
    operator.sql(
      "INSERT INTO later VALUES (3, 3); UPDATE later SET customer = 1 WHERE id = 2; UPDATE orders SET note = 'last' WHERE id = 4",
    );
    operator.sql("DROP TABLE later; DELETE FROM orders WHERE customer = 2; DELETE FROM customers WHERE id = 2");
    await operator.stopped("source");
    await operator.answer("apply");
    await operator.answer("resume");
    await restart();
    expect(await operator.different()).toEqual([]);
    await running.stop();
  });

  it("at the target is healed by apply as well, under a sink that goes on", { timeout: 480_000 }, async () => {
    await using operator = await Operator.make();
    operator.settings({ tables: { orders: {} } });
    await operator.answer("apply");
    const running = operator.run();
    await operator.caughtUp();
    operator.settings({});
    // The foreign key of orders was left out while its parent was.
    const added = { kind: "added", item: null, what: "table public.customers" };
    expect(await operator.answer("apply")).toMatchObject({ differences: [{ ...added, table: "customers" }, { table: "orders" }] });
    operator.sql("UPDATE customers SET name = 'Bob' WHERE id = 2; INSERT INTO customers VALUES (6, 'Fay')");
    await operator.caughtUp();
    expect(await operator.different()).toEqual([]);
    operator.settings({
      tables: {
        customers: { to: "crm.clients", columns: { name: { to: "label" } } },
        orders: { columns: { placed: { type: "timestamptz", from: "epoch-ms" }, note: { drop: true }, origin: { constant: "shop" } } },
      },
    });
    await operator.answer("apply");
    operator.sql("INSERT INTO customers VALUES (7, 'Eve'); UPDATE orders SET total = 0 WHERE id = 3");
    await operator.caughtUp();
    const names = {
      without: ["heap", "customers"],
      columns: { orders: { note: null } },
    };
    expect(await operator.different(names)).toEqual([]);
    const clients = await operator.database.query("SELECT id::int, label FROM crm.clients ORDER BY id");
    expect(clients).toEqual(operator.rows("SELECT id, name AS label FROM customers ORDER BY id"));
    expect(await operator.database.query("SELECT DISTINCT origin FROM orders")).toEqual([{ origin: "shop" }]);
    expect(await operator.status()).toMatchObject({ state: "running" });
    await operator.database.query("DROP TABLE orders");
    operator.sql("UPDATE orders SET total = 1 WHERE id = 3");
    expect(await operator.stopped("sink")).toMatchObject({ code: "target.object-missing" });
    await operator.answer("apply");
    expect(await running.stop()).toMatchObject({ code: 6 });
    const again = operator.run();
    await operator.caughtUp();
    expect(await operator.different(names)).toEqual([]);
    await again.stop();
  });
});
