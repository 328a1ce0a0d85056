/** Two groups of one pipeline in PostgreSQL: where a new one begins, what each may commit, and what follows while it is switched over. */
import { afterEach, beforeEach, expect, it } from "vitest";
import { connectTarget } from "../../../connectors/postgres/connect.js";
import type { BegunGroup, Target, TargetSession } from "../../../core/contracts/target.js";
import { groupId, theGroup } from "../../../core/vocabulary/ids.js";
import {
  contractPipeline,
  contractPlan,
  never,
  nothingStale,
  pairPlan,
  pairTable,
  parentPlan,
  parentRow,
  parentTable,
  planOf,
  takeoverMs,
} from "../../contracts/target-fixtures.js";
import { freshDatabase, type TestDatabase } from "../../support/postgres.js";
import { changesOf, created, windowOf } from "../../support/synthetic-window.js";
import { readRows } from "./context.js";

const second = groupId(2);
const divided = planOf(
  ...contractPlan.tables.map((table) => (table === pairPlan ? { ...table, group: second, groupName: "pairs" } : table)),
);

let database: TestDatabase;
let target: Target;
beforeEach(async () => {
  database = await freshDatabase();
  target = await connectTarget({ url: database.url, pipeline: contractPipeline }, never);
});
afterEach(async () => {
  await database[Symbol.asyncDispose]();
});

const own = (group: typeof theGroup, whenSwitched: "follow" | "reject" = "follow"): Promise<TargetSession> =>
  target.own({ group, direction: "forward", takeoverMs, whenSwitched }, never);
/** One window behind what the session has applied. */
const apply = (session: TargetSession, ...parts: ReturnType<typeof changesOf>[]) =>
  session.apply(windowOf({ before: session.applied, parts }), never);
const parentAt = (n: number) => changesOf(parentTable, created(n, [BigInt(n)], parentRow(n)));
const pairAt = (n: number) => changesOf(pairTable, created(n, ["k", BigInt(n)], ["k", BigInt(n), "v"]));

it("each group has its own place; what one commits moves the other by nothing", async () => {
  await target.prepare(divided, nothingStale, never);
  await using first = await own(theGroup);
  await using other = await own(second);
  await apply(first, parentAt(1));
  await apply(other, pairAt(2));
  expect((await target.applied(theGroup, never))?.position.order).toBe(1);
  expect((await target.applied(second, never))?.position.order).toBe(2);
  expect([...(await target.totals(second, never)).keys()]).toEqual(["pair"]);
  expect(await target.elsewhere(second, never)).toEqual(["child", "parent"]);
  expect(await target.elsewhere(theGroup, never)).toEqual(["pair"]);
});

it("a new group begins where the group of its tables is, fenced off and announced before anything is durable", async () => {
  await target.prepare(contractPlan, nothingStale, never);
  await using before = await own(theGroup);
  await apply(before, parentAt(4), pairAt(5));
  const begun: BegunGroup[] = [];
  await expect(target.prepare(divided, () => Promise.reject(new Error("nobody heard")), never)).rejects.toThrow("nobody heard");
  expect(await target.applied(second, never)).toBeNull();
  await target.prepare(
    divided,
    async (_, groups) => {
      begun.push(...groups);
      expect(await target.applied(second, never)).toBeNull();
    },
    never,
  );
  expect(begun).toMatchObject([{ group: second, applied: { position: { order: 5 } } }]);
  expect(await target.applied(second, never)).toEqual(await target.applied(theGroup, never));
  expect((await target.totals(second, never)).get(pairTable.table)).toMatchObject({ taken: 1, applied: 1 });
  await expect(apply(before, pairAt(6))).rejects.toMatchObject({ code: "target.fenced" });
  await using after = await own(second);
  await apply(after, pairAt(7));
  expect(await readRows(database, pairPlan)).toHaveLength(2);
  expect(await target.preview(divided, never)).toEqual([]);
});

it("a group that was switched over is followed: its place moves on, its rows do not, and switched back it is fenced off", async () => {
  await target.prepare(divided, nothingStale, never);
  await using zombie = await own(second);
  await apply(zombie, pairAt(1));
  await database.query("UPDATE tailrace.pipeline SET active = false, owner_epoch = owner_epoch + 1 WHERE group_id = 2");
  await expect(apply(zombie, pairAt(2))).rejects.toMatchObject({ code: "cutover.switched" });
  await zombie[Symbol.asyncDispose]();
  await expect(own(second, "reject")).rejects.toMatchObject({ code: "cutover.switched" });

  const follower = await own(second);
  expect(follower.follows).toBe(true);
  await apply(follower, pairAt(3));
  expect(follower.unfinished()).toBe(false);
  const rows = await database.query("SELECT ord FROM tailrace.pipeline WHERE group_id = 2 AND direction = 'forward'");
  expect(rows).toMatchObject([{ ord: "3" }]);
  expect(await readRows(database, pairPlan)).toHaveLength(1);
  await using first = await own(theGroup);
  await apply(first, parentAt(4));
  expect(await readRows(database, parentPlan)).toHaveLength(1);

  await database.query("UPDATE tailrace.pipeline SET active = true, owner_epoch = owner_epoch + 1 WHERE group_id = 2");
  await expect(apply(follower, pairAt(5))).rejects.toMatchObject({ code: "target.fenced" });
  await follower[Symbol.asyncDispose]();
  await using home = await own(second);
  expect(home.follows).toBe(false);
  expect(home.applied?.position.order).toBe(3);
  await apply(home, pairAt(6));
  expect(await readRows(database, pairPlan)).toHaveLength(2);
});

it("while a group is switched over no plan is changed, and the refusal names the group", async () => {
  await target.prepare(divided, nothingStale, never);
  await database.query(`
    UPDATE tailrace.pipeline SET active = false WHERE group_id = 2;
    INSERT INTO tailrace.pipeline (pipeline, group_id, direction, active) SELECT pipeline, 2, 'reverse', true FROM tailrace.pipeline WHERE group_id = 1`);
  const third = groupId(3);
  const moved = planOf(
    ...divided.tables.map((table) => (table.group === second ? { ...table, group: third, groupName: "others" } : table)),
  );
  const refused = { message: expect.stringMatching(/^Group pairs was switched over/) };
  await expect(target.preview(moved, never)).rejects.toMatchObject(refused);
  await expect(target.prepare(moved, nothingStale, never)).rejects.toMatchObject(refused);
  expect(await target.plan(never)).toEqual(divided);
  // The plan as it is may be applied as often as anybody likes.
  expect(await target.preview(divided, never)).toEqual([]);
});
