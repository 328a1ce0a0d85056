/** A DuckDB file whose application follows its route: forth, back and forth again by the command alone, with writes that never stop. */
import { existsSync, readFileSync } from "node:fs";
import { expect, it } from "vitest";
import { differingKinds, kindsColumns } from "../support/duckdb-kinds.js";
import { readDuckDb } from "../support/duckdb-read.js";
import { until } from "../support/oracles/until.js";
import { StockWorld } from "../support/duckdb-world.js";

it("cutover, rollback and cutover again: nothing is lost, nothing goes round, no new snapshot", { timeout: 300_000 }, async () => {
  await using world = await StockWorld.make();
  await world.operator.answer("apply");
  world.operator.run();
  await world.operator.caughtUp();
  await world.startApplication(0);
  const history = await world.history();

  expect(await world.operator.cutover("rehearse")).toMatchObject({ outcome: "rehearsed", error: null });
  await world.application.progress();
  const switched = await world.operator.cutover("run");
  expect(switched).toMatchObject({ outcome: "switched", error: null });
  await world.application.progress(20);
  expect(world.application.sides).toEqual(["source", "target"]);
  expect(readFileSync(world.file, "utf8")).toContain("tailrace: writes are fenced off");
  await expect(readDuckDb(world.file, "SELECT 1")).rejects.toThrow("not a valid DuckDB database file");
  await world.sql(`INSERT INTO kinds SELECT 3, ${kindsColumns.join(", ")} FROM kinds WHERE id = 1`, "DELETE FROM kinds WHERE id = 2");
  // PostgreSQL's own copy of a row of every type comes to the file as what the row is there.
  let seen: readonly string[] = [];
  const look = async (): Promise<boolean> => {
    // Whoever brings changes back has the file now and then.
    seen = await differingKinds(world.place, 1, 3).catch((thrown: unknown) => [String(thrown)]);
    return seen.length === 0;
  };
  await until(look, 60_000, () => `the copy differs: ${seen.join("; ")}`);

  const back = await world.operator.rollback("run");
  expect(back).toMatchObject({ outcome: "switched", error: null, afterwards: [] });
  await world.application.progress(20);
  expect(world.application.sides).toEqual(["source", "target", "source"]);
  expect(existsSync(`${world.file}.tailrace`)).toBe(false);
  await world.operator.caughtUp();
  expect(await world.history()).toBe(history);

  const again = await world.operator.cutover("run");
  expect(again).toMatchObject({ outcome: "switched", error: null });
  console.log(`pauses in ms: ${JSON.stringify([switched, back, again].map(({ pauseMs }) => Math.round(Number(pauseMs))))}`);
  await world.application.progress(20);
  await world.settled();
  await world.judge();
});
