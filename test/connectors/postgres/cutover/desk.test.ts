import { expect, it } from "vitest";
import type { GivenNumber } from "../../../../core/contracts/cutover.js";
import { TailraceError } from "../../../../core/errors.js";
import { markerId, tableId, theGroup } from "../../../../core/vocabulary/ids.js";
import { childPlan, childRow, childTable, never, Owner, parentPlan, parentRow, parentTable } from "../../../contracts/target-fixtures.js";
import { until } from "../../../support/oracles/until.js";
import { changesOf, created } from "../../../support/synthetic-window.js";
import { losingProxy } from "../proxy.js";
import { CutoverPlace } from "./context.js";

const cascading = {
  ...childPlan,
  foreignKeys: childPlan.foreignKeys.map((key) => ({ ...key, wanted: { onDelete: "CASCADE", onUpdate: "CASCADE" } as const })),
};
const numbers: readonly GivenNumber[] = [
  { table: tableId("parent"), column: "id", highest: 70n },
  { table: tableId("child"), column: "id", highest: 0n },
];
const rows = [
  changesOf(parentTable, created(1, [1n], parentRow(1)), created(2, [2n], parentRow(2))),
  changesOf(childTable, created(3, [5n], childRow(5, 1))),
];
const place = () => CutoverPlace.of([parentPlan, cascading], ...rows);
const beginning = { kind: "cutover", marker: markerId("m"), pauseLimitMs: 5_000 } as const;
const toSwitching = ["opening", "pausing", "fencing", "draining", "checking", "readying", "keeping", "switching"] as const;

it("switches route, direction, owner and journal in one transaction, and the forward sink can commit nothing more", async () => {
  await using here = await place();
  await using zombie = await Owner.of(here.target);
  await using session = await here.desk().take(theGroup, "me", never);
  await session.begin(beginning);
  await session.prepare(numbers, never);
  for (const state of toSwitching) await session.move(state);
  const paused = await session.board.pause(theGroup, await session.board.route(theGroup, never), never);
  await using open = await session.board.begin(theGroup, "target", numbers, never);
  const [before] = await here.database.query("SELECT side, paused_on FROM tailrace.route");
  expect(before).toEqual({ side: "paused", paused_on: "source" });
  expect(await open.commit(paused)).toEqual({ side: "target", version: 2 });
  expect(session.record?.state).toBe("switched");
  // An idle sink is not asked for its fence; it finds that the active direction has another owner.
  expect((await here.target.watch(theGroup, never)).owner).not.toBe(zombie.session.epoch);
  const pipelines = await here.database.query("SELECT direction, active FROM tailrace.pipeline ORDER BY direction");
  expect(pipelines).toEqual([
    { direction: "forward", active: false },
    { direction: "reverse", active: true },
  ]);
  await expect(zombie.apply(changesOf(parentTable, created(9, [9n], parentRow(9))))).rejects.toMatchObject({ code: "cutover.switched" });
  await zombie[Symbol.asyncDispose]();
  await expect(Owner.of(here.target)).rejects.toMatchObject({ code: "cutover.switched" });
  expect(await session.validate(never)).toEqual([]);
  await session.move("done", { pauseMs: 12 });
  expect(await here.desk().last(theGroup, never)).toMatchObject({ state: "done", pauseMs: 12, holder: "me" });
});

it("leaves tables on which the application's own statements work: ON CONFLICT, cascades, numbers", async () => {
  await using here = await place();
  const { database } = here;
  await expect(database.query("INSERT INTO child VALUES (6, 1, 'c5') ON CONFLICT (code) DO NOTHING")).rejects.toThrow(/deferrable/);
  await using session = await here.desk().take(theGroup, "me", never);
  await session.begin(beginning);
  await session.prepare(numbers, never);
  await session.prepare(numbers, never);
  for (const state of toSwitching) await session.move(state);
  const paused = await session.board.pause(theGroup, await session.board.route(theGroup, never), never);
  await using open = await session.board.begin(theGroup, "target", numbers, never);
  await open.commit(paused);
  await session.validate(never);
  expect(
    await database.query("INSERT INTO child (parent, code) VALUES (1, 'c5') ON CONFLICT (code) DO UPDATE SET parent = 2 RETURNING id"),
  ).toEqual([{ id: "5" }]);
  expect(await database.query("INSERT INTO parent (name) VALUES ('new') RETURNING id")).toEqual([{ id: "71" }]);
  expect(await database.query("INSERT INTO child (parent, code) VALUES (71, 'x') RETURNING id")).toEqual([{ id: "7" }]);
  await database.query("UPDATE parent SET id = 80 WHERE id = 71");
  await database.query("DELETE FROM parent WHERE id = 80");
  expect(await database.query("SELECT code FROM child")).toEqual([{ code: "c5" }]);
  const constraints = await database.query(
    "SELECT conname, condeferred, convalidated FROM pg_constraint WHERE conrelid = 'child'::regclass AND contype IN ('u', 'f') ORDER BY conname",
  );
  expect(constraints).toEqual([
    { conname: "child_code_key", condeferred: false, convalidated: true },
    { conname: "child_parent_fkey", condeferred: false, convalidated: true },
  ]);
  expect(await here.desk().readyPlan(theGroup, numbers, never)).toMatchObject({ before: [], after: [] });
});

it("numbers an empty table from 1", async () => {
  await using here = await CutoverPlace.of([parentPlan]);
  await using session = await here.desk().take(theGroup, "me", never);
  await session.begin(beginning);
  const none = [{ table: tableId("parent"), column: "id", highest: 0n }];
  await session.prepare(none, never);
  {
    await using open = await session.board.begin(theGroup, "target", none, never);
    expect(open.did).toHaveLength(1);
  }
  expect(await here.database.query("INSERT INTO parent (name) VALUES ('first') RETURNING id")).toEqual([{ id: "1" }]);
});

it("rolls everything back when the switch is not committed, and takes its indexes away", async () => {
  await using here = await place();
  await using session = await here.desk().take(theGroup, "me", never);
  await session.begin({ ...beginning, kind: "rehearsal" });
  await session.prepare(numbers, never);
  {
    await using open = await session.board.begin(theGroup, "target", numbers, never);
    expect(open.did.length).toBeGreaterThan(3);
  }
  expect(await session.unprepare(never)).toHaveLength(1);
  await session.move("undoing");
  await session.move("undone");
  const indexes = await here.database.query(
    "SELECT indexrelid::regclass::text FROM pg_index WHERE indrelid = 'child'::regclass ORDER BY 1",
  );
  expect(indexes).toHaveLength(3);
  await using owner = await Owner.of(here.target);
  await owner.apply(changesOf(childTable, created(9, [9n], childRow(9, 2))));
});

it("refuses a second operator with holder and since when, and lets a successor take over what a silent one left", async () => {
  await using here = await place();
  const first = await here.desk().take(theGroup, "ada@one", never);
  await first.begin(beginning);
  await first.move("opening");
  await first.move("pausing");
  await first.board.pause(theGroup, await first.board.route(theGroup, never), never);
  await expect(here.desk().take(theGroup, "bo@two", never)).rejects.toMatchObject({
    code: "cutover.held",
    message: expect.stringMatching(/^ada@one holds the cutover since 20\d\d-/),
  });
  // Its sessions end as if its process had been killed; those of other test files, on the same server, are not ours to end.
  await here.database.query(
    "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE application_name LIKE 'tailrace-cutover/%' AND datname = current_database()",
  );
  await using second = await here.desk().take(theGroup, "bo@two", never);
  expect(second.record).toMatchObject({ state: "pausing", holder: "bo@two" });
  const route = await second.board.route(theGroup, never);
  expect(route).toEqual({ side: "paused", version: 1 });
  expect(await second.board.reopen(theGroup, route, never)).toEqual({ side: "source", version: 2 });
  await expect(first.move("fencing")).rejects.toThrow();
  await first[Symbol.asyncDispose]();
});

it("a holder that was replaced while it held the open switch can commit nothing", async () => {
  await using here = await place();
  const zombie = await here.desk().take(theGroup, "zombie", never);
  await zombie.begin(beginning);
  await zombie.prepare(numbers, never);
  for (const state of toSwitching) await zombie.move(state);
  const paused = await zombie.board.pause(theGroup, await zombie.board.route(theGroup, never), never);
  await using open = await zombie.board.begin(theGroup, "target", numbers, never);
  // Only its lock is lost: the connection of the switch lives.
  await here.database.query(
    "SELECT pg_terminate_backend(l.pid) FROM pg_locks l WHERE l.locktype = 'advisory' AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())",
  );
  await using successor = await here.desk().take(theGroup, "successor", never);
  await successor.move("undoing");
  const route = await successor.board.route(theGroup, never);
  await successor.board.reopen(theGroup, route, never);
  await expect(open.commit(paused)).rejects.toMatchObject({ code: "cutover.taken-over" });
  expect(await here.desk().route(theGroup, never)).toEqual({ side: "source", version: 2 });
  await zombie[Symbol.asyncDispose]();
});

it("a COMMIT of the switch whose reply is lost is found made by whoever asks next", async () => {
  await using here = await place();
  await using proxy = await losingProxy(here.database.url);
  const session = await here.desk(proxy.url).take(theGroup, "me", never);
  await session.begin(beginning);
  await session.prepare(numbers, never);
  for (const state of toSwitching) await session.move(state);
  const paused = await session.board.pause(theGroup, await session.board.route(theGroup, never), never);
  const open = await session.board.begin(theGroup, "target", numbers, never);
  proxy.lose({ from: "server", bytes: Buffer.from("COMMIT\0") });
  await expect(open.commit(paused)).rejects.toMatchObject({ code: "target.undecided" });
  proxy.lose(null);
  await open[Symbol.asyncDispose]();
  await session[Symbol.asyncDispose]();
  await using again = await here.desk().take(theGroup, "me again", never);
  expect(again.record?.state).toBe("switched");
  expect(await again.board.route(theGroup, never)).toEqual({ side: "target", version: 2 });
});

it("a COMMIT that never reached the server is found not made", async () => {
  await using here = await place();
  await using proxy = await losingProxy(here.database.url);
  const session = await here.desk(proxy.url).take(theGroup, "me", never);
  await session.begin(beginning);
  await session.prepare(numbers, never);
  for (const state of toSwitching) await session.move(state);
  const paused = await session.board.pause(theGroup, await session.board.route(theGroup, never), never);
  const open = await session.board.begin(theGroup, "target", numbers, never);
  proxy.lose({ from: "client", bytes: Buffer.from("COMMIT") });
  await expect(open.commit(paused)).rejects.toMatchObject({ code: "target.undecided" });
  proxy.lose(null);
  await open[Symbol.asyncDispose]();
  await session[Symbol.asyncDispose]();
  await using again = await here.desk().take(theGroup, "me again", never);
  expect(again.record?.state).toBe("switching");
  expect(await again.board.route(theGroup, never)).toEqual({ side: "paused", version: 1 });
});

it("tells of a long query on a target table instead of waiting for it", async () => {
  await using here = await place();
  await using proxy = await losingProxy(here.database.url);
  await using session = await here.desk(proxy.url).take(theGroup, "me", never);
  await session.begin(beginning);
  await session.prepare(numbers, never);
  await here.database.query("BEGIN; SELECT count(*) FROM child");
  await expect(session.board.begin(theGroup, "target", numbers, never)).rejects.toMatchObject({ code: "cutover.not-ready" });
  // The limit of the pause ends the wait earlier. That the server gives up by itself as well must not be heard of before, however long we take.
  const late = new TailraceError("cutover.late", { what: "long enough" });
  const stop = new AbortController();
  const isWaiting = proxy.sentInVain(Buffer.from("ALTER TABLE"));
  const waiting = expect(session.board.begin(theGroup, "target", numbers, stop.signal)).rejects.toMatchObject({ code: "cutover.late" });
  await isWaiting;
  stop.abort(late);
  await waiting;
  await here.database.query("COMMIT");
});

it("moves only as the state machine allows, and stores each step with its time", async () => {
  await using here = await place();
  await using session = await here.desk().take(theGroup, "me", never);
  await session.begin(beginning);
  await expect(session.move("switching")).rejects.toMatchObject({ code: "internal" });
  await session.move("opening", { step: { built: 2 } });
  await session.move("pausing");
  expect(await here.desk().askToAbort(theGroup, never)).toBe(true);
  expect(await session.abortAsked()).toBe(true);
  await session.move("undoing", { error: { code: "cutover.aborted", message: "asked" } });
  await session.move("undone");
  expect(session.record).toBeNull();
  expect(await here.desk().askToAbort(theGroup, never)).toBe(false);
  const story = await here.desk().last(theGroup, never);
  expect(story).toMatchObject({ state: "undone", error: { code: "cutover.aborted", message: "asked" } });
  expect(story?.steps.map(({ step, details }) => [step, details])).toEqual([
    ["preparing", { built: 2 }],
    ["opening", {}],
    ["pausing", {}],
    ["undoing", {}],
    ["undone", {}],
  ]);
  await until(
    () => Promise.resolve(story?.steps.every(({ ms }) => ms !== null) === true),
    30_000,
    () => "a step has no time",
  );
});
