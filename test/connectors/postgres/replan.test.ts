/** A second plan for a target that is being written to: what is there is made to fit, what it lacks is announced, what it no longer has is let go. */
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { connectTarget } from "../../../connectors/postgres/connect.js";
import type { ColumnPlan, TablePlan } from "../../../core/contracts/plan.js";
import type { StaleTable, Target } from "../../../core/contracts/target.js";
import {
  childPlan,
  childRow,
  childTable,
  contractPipeline,
  never,
  nothingStale,
  Owner,
  parentPlan,
  parentRow,
  parentTable,
  planOf,
} from "../../contracts/target-fixtures.js";
import { theGroup } from "../../../core/vocabulary/ids.js";
import { freshDatabase, type TestDatabase } from "../../support/postgres.js";
import { changesOf, created, deleted, describeTable, updated } from "../../support/synthetic-window.js";
import { readRows } from "./context.js";

let database: TestDatabase;
let target: Target;
beforeEach(async () => {
  database = await freshDatabase();
  target = await connectTarget({ url: database.url, pipeline: contractPipeline }, never);
});
afterEach(async () => {
  await database[Symbol.asyncDispose]();
});

async function prepare(...tables: readonly TablePlan[]): Promise<readonly StaleTable[]> {
  const announced: StaleTable[] = [];
  await target.prepare(planOf(...tables), async (stale) => void announced.push(...stale), never);
  return announced;
}
/** Rows 1 and 2 of parent and one child, streaming, indexes and keys in place. */
async function filled(): Promise<Owner> {
  await prepare(parentPlan, childPlan);
  const owner = await Owner.of(target);
  await owner.apply(
    changesOf(parentTable, created(1, [1n], parentRow(1)), created(2, [2n], parentRow(2))),
    changesOf(childTable, created(3, [7n], childRow(7, 1))),
  );
  await owner.session.finish(never);
  return owner;
}
const column = (name: string, type: string, more: Partial<ColumnPlan> = {}): ColumnPlan => ({
  source: name,
  target: name,
  type,
  nullable: true,
  conversion: { kind: "as-is" },
  written: "always",
  constant: null,
  ...more,
});
const [idColumn, nameColumn] = parentPlan.columns;
const parentWith = (...more: readonly (ColumnPlan | undefined)[]): TablePlan => ({
  ...parentPlan,
  columns: [idColumn, ...more].filter((it) => it !== undefined),
});
const constraints = async (): Promise<readonly string[]> =>
  (await database.query<{ name: string }>("SELECT conname AS name FROM pg_constraint WHERE contype IN ('f', 'u') ORDER BY 1"))
    .map(({ name }) => name)
    .filter((name) => name.startsWith("child"));

describe("a second plan", () => {
  it("adds columns, keeps those it does not have, and announces the table", async () => {
    await using _ = await filled();
    const wider = parentWith(column("note", "text", { nullable: false }), column("by", "text", { source: null, constant: "it's us" }));
    expect(await prepare(wider, childPlan)).toEqual([{ table: "parent", rows: "differ" }]);
    expect(await database.query("SELECT * FROM parent ORDER BY id")).toEqual([
      { id: "1", name: "p1", note: null, by: "it's us" },
      { id: "2", name: "p2", note: null, by: "it's us" },
    ]);
    expect(await prepare(wider, childPlan)).toEqual([]);
  });

  it("gives columns another type, by a cast that refuses nothing or by emptying them", async () => {
    await prepare(parentWith(column("n", "bigint", { nullable: false }), column("t", "text", { nullable: false })));
    await database.query("INSERT INTO parent VALUES (1, 41, 'x')");
    const stale = await prepare(parentWith(column("n", "text", { nullable: false }), column("t", "timestamp with time zone")));
    expect(stale).toEqual([{ table: "parent", rows: "differ" }]);
    expect(await database.query("SELECT * FROM parent")).toEqual([{ id: "1", n: "41", t: null }]);
    expect(await prepare(parentWith(column("n", "numeric"), column("t", "bytea")))).toHaveLength(1);
  });

  it("announces a table whose values are mapped otherwise, or whose rows are gone, before anything is changed", async () => {
    await (await filled())[Symbol.asyncDispose]();
    await database.query("DROP TABLE parent CASCADE");
    const remapped = {
      ...childPlan,
      columns: childPlan.columns.map((c) => (c.source === "code" ? { ...c, target: "label" } : c)),
      indexes: [],
    };
    await expect(
      target.prepare(planOf(parentPlan, remapped), () => Promise.reject(new Error("the source is away")), never),
    ).rejects.toThrow("the source is away");
    expect(await database.query("SELECT to_regclass('parent') AS parent")).toEqual([{ parent: null }]);
    expect(await prepare(parentPlan, remapped)).toEqual([
      { table: "parent", rows: "gone" },
      { table: "child", rows: "differ" },
    ]);
    await using owner = await Owner.of(target);
    await owner.apply(changesOf(parentTable, created(4, [1n], parentRow(1))));
    expect(owner.session.unfinished()).toBe(true);
    expect(await owner.session.finish(never)).toEqual([]);
    expect(await constraints()).toEqual(["child_parent_fkey"]);
  });

  it("drops the indexes and keys that it has no more, and foreign keys of tables that it has no more", async () => {
    await using _ = await filled();
    expect(await constraints()).toEqual(["child_code_key", "child_parent_fkey"]);
    expect(await prepare(parentPlan, { ...childPlan, indexes: childPlan.indexes.slice(1) })).toEqual([]);
    expect(await constraints()).toEqual(["child_parent_fkey"]);
    await prepare(parentPlan);
    expect(await constraints()).toEqual([]);
    expect(await readRows(database, childPlan)).toEqual([["7", "1", "c7"]]);
  });

  it("fences off the owner that has the old one; the next takes over with the new", async () => {
    await using old = await filled();
    await prepare(parentWith(nameColumn, column("note", "text")), childPlan);
    const wider = describeTable("parent", { id: "integer", name: "text", note: "text" }, ["id"]);
    const window = changesOf(wider, updated(4, [1n], [...parentRow(1), "new"]));
    await expect(old.apply(window)).rejects.toMatchObject({ code: "target.fenced" });
    expect(await target.watch(theGroup, never)).toEqual({ paused: false, owner: old.session.epoch + 1 });
    const stranger = describeTable("of the new plan", { id: "integer" }, ["id"]);
    await expect(old.apply(changesOf(stranger, created(4, [1n], [1n])))).rejects.toMatchObject({ code: "target.fenced" });
    await old[Symbol.asyncDispose]();
    await using owner = await Owner.of(target);
    await owner.apply(window);
    expect(await database.query("SELECT name, note FROM parent WHERE id = 1")).toEqual([{ name: "p1", note: "new" }]);
  });

  it("lets the owner stay when there is nothing to do", async () => {
    await using owner = await filled();
    await prepare(parentPlan, childPlan);
    await owner.apply(changesOf(parentTable, deleted(4, [2n])));
  });

  it("takes what the log still says in the words of the old one", async () => {
    await (await filled())[Symbol.asyncDispose]();
    await target.prepare(planOf(parentWith(column("note", "text", { nullable: false }))), nothingStale, never);
    await using owner = await Owner.of(target);
    await owner.apply(
      changesOf(parentTable, created(4, [3n], parentRow(3, "old word"))),
      changesOf(childTable, created(5, [8n], childRow(8, 3))),
    );
    expect(await database.query("SELECT id, name, note FROM parent WHERE id = 3")).toEqual([{ id: "3", name: null, note: null }]);
    expect(await readRows(database, childPlan)).toEqual([["7", "1", "c7"]]);
  });

  it("still refuses another key", async () => {
    await using _ = await filled();
    await expect(prepare({ ...parentPlan, key: ["name"] }, childPlan)).rejects.toMatchObject({ code: "target.table-differs" });
    const wider = parentPlan.columns.map((c) => (c.target === "id" ? { ...c, type: "numeric" } : c));
    await expect(prepare({ ...parentPlan, columns: wider }, childPlan)).rejects.toThrow("column 'id' is bigint, the plan says numeric");
  });
});
