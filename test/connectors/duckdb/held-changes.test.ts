/** What the state holds in memory until a checkpoint is bounded, and is let go of by a new start. */
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import type { DuckTable } from "../../../connectors/duckdb/duck-table.js";
import { Database } from "../../../connectors/duckdb/engine/database.js";
import { DiffEngine } from "../../../connectors/duckdb/engine/diff-engine.js";
import type { CycleAnswer } from "../../../connectors/duckdb/engine/engine.js";
import { schemaVersion, tableId, theGroup } from "../../../core/vocabulary/ids.js";

/** Sixteen row groups, of which fewer than thirteen may be held in 100 MB. */
const rows = 1_900_000;
const memoryMb = 100;
const table: DuckTable = {
  number: 1,
  schema: "main",
  name: "t",
  mode: "keyed",
  description: {
    table: tableId("t"),
    group: theGroup,
    schema: schemaVersion(1),
    columns: ["id", "v"].map((name) => ({ name, declaredType: "INTEGER", nullable: name === "v", generated: false, classes: ["integer"] })),
    key: [0],
  },
};

let folder = "";
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "tailrace-held-"));
});
afterEach(() => {
  rmSync(folder, { recursive: true });
});

async function application(sql: string): Promise<string> {
  const path = join(folder, "app.duckdb");
  await using database = await Database.open(path, { memoryMb: 1_000, threads: 2, spillDirectory: join(folder, "spill-app") });
  await database.run(sql);
  await database.run("CHECKPOINT");
  return path;
}
async function opened(name: string): Promise<DiffEngine> {
  const engine = new DiffEngine();
  mkdirSync(join(folder, name), { recursive: true });
  await engine.open({ options: { directory: join(folder, name), memoryMb, threads: 2 }, tables: [table] });
  return engine;
}
let order = 0;
async function cycle(engine: DiffEngine, sql: string): Promise<CycleAnswer> {
  const isFirst = order === 0;
  await engine.attach({ path: await application(sql) });
  const request = { doubtAbove: null, firstOrder: order + 1, changesMax: 10_000_000, frozen: null };
  const answer = await engine.cycle({ ...request, compare: isFirst ? [] : [1], establish: isFirst ? [1] : [] });
  order = answer.lastOrder + 1;
  // The next file is another one.
  await engine.attach({ path: await empty() });
  return answer;
}
async function empty(): Promise<string> {
  const path = join(folder, "empty.duckdb");
  if (existsSync(path)) return path;
  await using database = await Database.open(path, { memoryMb: 100, threads: 1, spillDirectory: join(folder, "spill-empty") });
  await database.run("CREATE TABLE t (id INTEGER, v INTEGER)");
  return path;
}
const logBytes = (name: string): number => statSync(join(folder, name, "state.duckdb.wal"), { throwIfNoEntry: false })?.size ?? 0;

test("changes all over a large table are checkpointed, few are not, and a new start begins with a checkpoint", async () => {
  const engine = await opened("state");
  await cycle(engine, `CREATE TABLE t AS SELECT range::INTEGER AS id, 0 AS v FROM range(${rows})`);
  const few = await cycle(engine, "UPDATE t SET v = 1 WHERE id % 500000 = 7");
  expect(few.changes).toEqual([expect.objectContaining({ count: 4 })]);
  expect(logBytes("state")).toBeGreaterThan(0);

  // As a process that is killed now leaves it.
  mkdirSync(join(folder, "killed"));
  for (const end of ["", ".wal"]) copyFileSync(join(folder, "state", `state.duckdb${end}`), join(folder, "killed", `state.duckdb${end}`));
  const again = await opened("killed");
  expect(logBytes("killed")).toBe(0);
  expect(await again.recall({ above: 0 })).toMatchObject({ order: expect.any(Number) as unknown, toldAbove: true });
  await again.close();

  const many = await cycle(engine, "UPDATE t SET v = 2 WHERE id % 50000 = 7");
  expect(many.changes).toEqual([expect.objectContaining({ count: 38 })]);
  expect(logBytes("state")).toBe(0);
  await engine.close();
});
