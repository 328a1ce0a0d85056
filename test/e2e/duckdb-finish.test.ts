/** The end of a DuckDB file that was switched away from: compared, told again, finished, and removed with and without its fence. Long: TAILRACE_TEST_LONG=1. */
import { existsSync, readFileSync } from "node:fs";
import { expect, it } from "vitest";
import { readDuckDb } from "../support/duckdb-read.js";
import { until } from "../support/oracles/until.js";
import { StockWorld } from "../support/duckdb-world.js";

const isLong = process.env["TAILRACE_TEST_LONG"] === "1";

it("a file that lies aside is told again what it has missed, finished, and destroyed only when it may be opened", {
  timeout: 300_000,
}, async (context) => {
  if (!isLong) return context.skip("long: TAILRACE_TEST_LONG=1");
  await using world = await StockWorld.make();
  const { operator } = world;
  await operator.answer("apply");
  const running = operator.run();
  await operator.caughtUp();
  expect(await operator.cutover("run")).toMatchObject({ outcome: "switched", error: null });
  expect(await operator.refusal("verify", "run")).toMatchObject({ code: "verify.file-aside" });

  const slots = "FROM pg_replication_slots WHERE database = current_database()";
  await until(
    async () => {
      await world.sql(`SELECT pg_terminate_backend(active_pid) ${slots} AND active_pid IS NOT NULL`);
      return await world.sql(`SELECT pg_drop_replication_slot(slot_name) ${slots}`).then(
        () => true,
        () => false,
      );
    },
    30_000,
    () => "the slot was never free",
  );
  await world.sql(
    "INSERT INTO tx_ledger VALUES (-1, 'missed')",
    "UPDATE account SET balance = 7 WHERE id = 3",
    "DELETE FROM account WHERE id = 4",
  );
  await operator.says("reverse", ({ code }) => code === "source.slot-lost");
  expect(await operator.answer("cutover", "reopen")).toMatchObject({ told: 3 });
  await operator.caughtUp();
  expect(await readDuckDb(world.place, "SELECT id::VARCHAR, balance::VARCHAR FROM account WHERE id IN (3, 4)")).toEqual([["3", "7"]]);
  expect(await operator.rollback("run")).toMatchObject({ outcome: "switched", error: null });
  await operator.caughtUp();

  expect(await operator.cutover("run")).toMatchObject({ outcome: "switched", error: null });
  const finished = await operator.answer("cutover", "finish", "--yes");
  expect((finished["removed"] as readonly string[]).join()).toMatch(/replication slot.*publication/s);
  expect(await operator.answer("cutover", "finish", "--yes")).toMatchObject({ removed: [] });
  expect(await operator.refusal("destroy", "--yes")).toMatchObject({ code: "cutover.fence-kept" });
  expect(readFileSync(world.file, "utf8")).toContain("tailrace: writes are fenced off");
  await running.stop();
  await operator.answer("destroy", "--yes", "--open-source");
  expect(existsSync(`${world.file}.tailrace`)).toBe(false);
  expect(await readDuckDb(world.file, "SELECT count(*)::VARCHAR FROM account")).toEqual([["19"]]);
  expect(
    await readDuckDb(world.file, "SELECT table_name FROM information_schema.tables WHERE table_name LIKE '\\_cdc%' ESCAPE '\\'"),
  ).toEqual([]);
});
