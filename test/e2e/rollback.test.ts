/** Forth, back, forth again and finished, by the command alone. */
import { Client } from "pg";
import { expect, it } from "vitest";
import { Operator } from "./operator.js";

const ddl = `
  PRAGMA journal_mode = WAL;
  CREATE TABLE customers (id INTEGER PRIMARY KEY, name TEXT NOT NULL, email TEXT UNIQUE);
  CREATE TABLE orders (id INTEGER PRIMARY KEY AUTOINCREMENT, customer INTEGER NOT NULL REFERENCES customers (id) ON DELETE CASCADE, total REAL, note TEXT);
  INSERT INTO customers VALUES (1, 'Ada', 'ada@x'), (2, 'Bo', 'bo@x'), (3, 'Cy', 'cy@x');
  WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 300) INSERT INTO orders SELECT i, 1 + i % 3, i / 7.0, 'note ' || i FROM n;
`;
const places = {};
const fenced = /tailrace: writes are fenced off/;

/** Around every trigger. */
function tamper(operator: Operator): void {
  operator.sql(`BEGIN; UPDATE _cdc_state SET applying = 1, fence_kept = 0;
    UPDATE customers SET name = 'wrong' WHERE id = 1; INSERT INTO customers VALUES (99, 'nobody', NULL); DELETE FROM orders WHERE id = 7;
    UPDATE _cdc_state SET applying = 0, fence_kept = 1; COMMIT`);
}

it("cutover, rollback, cutover, finish: each side has what the other wrote, and numbers go on", { timeout: 300_000 }, async () => {
  await using operator = await Operator.make({ ddl, tables: { customers: places, orders: places } });
  await operator.answer("apply");
  operator.run();
  await operator.caughtUp();
  expect(await operator.refusal("rollback", "run")).toMatchObject({ exit: 7, code: "cutover.refused" });
  expect(await operator.cutover("run")).toMatchObject({ outcome: "switched", error: null });

  const client = new Client({ connectionString: operator.database.url });
  await client.connect();
  try {
    await client.query("INSERT INTO orders (customer, total) SELECT 1, i / 3.0 FROM generate_series(1, 50) AS i");
    await client.query("DELETE FROM orders WHERE id > 340");
    await client.query("DELETE FROM customers WHERE id = 3");
    await client.query("BEGIN; UPDATE customers SET email = NULL WHERE id = 1");
    await client.query("UPDATE customers SET email = 'ada@x' WHERE id = 2; UPDATE customers SET email = 'bo@x' WHERE id = 1; COMMIT");

    // What is asked while applications write to PostgreSQL is answered of what comes back.
    await operator.caughtUp();
    // Its distance is told by whoever brings changes back, in its own time.
    await expect
      .poll(() => operator.answer("status"), { timeout: 120_000 })
      .toMatchObject({
        state: "switched",
        direction: "reverse",
        behind: { changes: 0 },
        needsPerson: [],
      });
    expect(await operator.answer("verify", "run")).toMatchObject({ outcome: "equal", offsets: { findings: [] } });
    await operator.answer("wait", "verified", "--timeout", "120s");
    // Somebody has tampered with the file: what differs is told again by PostgreSQL, which nobody writes to for that.
    tamper(operator);
    expect(await operator.tailrace("verify", "run", "--json")).toMatchObject({ code: 4 });
    expect(await operator.answer("verify", "repair")).toMatchObject({ asked: 3, equal: 3, different: 0 });
    expect(await operator.different({})).toEqual([]);
    tamper(operator);
    expect(await operator.answer("snapshot", "customers")).toMatchObject({ told: 2 });
    expect(await operator.answer("snapshot", "--all")).toMatchObject({ told: 1 });
    await operator.caughtUp();
    expect(await operator.different({})).toEqual([]);
    expect(await operator.refusal("snapshot", "--all", "--anew")).toMatchObject({ code: "cutover.ahead" });
    const { checks } = (await operator.answer("doctor")) as unknown as { checks: readonly { id: string; severity: string }[] };
    const wayBack = checks.filter(({ id }) => id.startsWith("way-back."));
    expect(wayBack.map(({ id }) => id.slice("way-back.".length))).toEqual([
      "wal-level",
      "slots",
      "senders",
      "role",
      "publication",
      "owner",
      "identity",
      "kept-log",
      "slot",
      "mapping",
    ]);
    expect(wayBack.filter(({ severity }) => severity === "error" || severity === "warn")).toEqual([]);

    const plan = await operator.rollback("plan");
    expect(plan).toMatchObject({ ok: true });
    const back = await operator.rollback("run");
    expect(back).toMatchObject({ outcome: "switched", error: null, afterwards: [] });
    expect(back["pauseMs"]).toBeTypeOf("number");
    expect(await operator.answer("rollback", "status")).toMatchObject({
      route: { side: "source" },
      fence: { kind: "open" },
      targetFence: { kind: "kept" },
      last: { kind: "rollback", state: "done" },
    });
    expect(await operator.different({})).toEqual([]);
    await expect(client.query("INSERT INTO orders (customer) VALUES (1)")).rejects.toThrow(fenced);

    // A sink that writes sets needs it deferred, the application did not.
    const unique = await client.query("SELECT condeferred FROM pg_constraint WHERE contype = 'u' AND conrelid = 'customers'::regclass");
    expect(unique.rows).toEqual([{ condeferred: true }]);

    // Numbers above 340 were given in PostgreSQL and are gone: the file must not give them again.
    const ids = await client.query<{ id: string }>("SELECT max(id) AS id FROM orders");
    expect(Number(ids.rows[0]?.id)).toBe(340);
    operator.sql("INSERT INTO orders (customer, note) VALUES (2, 'home')");
    await operator.caughtUp();
    expect(await operator.different({})).toEqual([]);
    const { rows } = await client.query<{ id: string }>("SELECT id FROM orders WHERE note = 'home'");
    expect(Number(rows[0]?.id)).toBe(351);

    expect(await operator.cutover("run")).toMatchObject({ outcome: "switched", error: null });
    expect((await client.query<{ id: string }>("INSERT INTO orders (customer) VALUES (2) RETURNING id")).rows[0]?.id).toBe("352");
    expect(() => operator.sql("DELETE FROM orders")).toThrow(fenced);
    expect(await operator.refusal("cutover", "finish", "--yes", "--keep-reverse", "7d")).toMatchObject({ exit: 7 });
    const finished = await operator.answer("cutover", "finish", "--yes");
    expect((finished["removed"] as readonly string[]).join()).toMatch(/replication slot.*publication.*_cdc_applied/s);
    expect(await operator.refusal("rollback", "run")).toMatchObject({ exit: 7, code: "cutover.refused" });
  } finally {
    await client.end();
  }
});
