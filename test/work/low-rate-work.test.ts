/** What a service does over and over while hardly anything happens, counted: it is this that a long-lived service costs. */
import { setImmediate as nextTurn } from "node:timers/promises";
import { afterEach, expect, it, vi } from "vitest";
import { connectTarget } from "../../connectors/postgres/connect.js";
import { CaptureReader } from "../../core/capture/capture-reader.js";
import type { Clock } from "../../core/clock.js";
import { theGroup } from "../../core/vocabulary/ids.js";
import { contractPipeline, never, nothingStale, planOf, planTable } from "../contracts/target-fixtures.js";
import { Follower } from "../support/follower.js";
import { freshDatabase } from "../support/postgres.js";
import { SourceFile } from "../support/sqlite.js";
import { orders } from "./orders.js";

afterEach(() => void vi.restoreAllMocks());

/** Nothing is due because of the time. */
const standing: Clock = {
  wallMs: () => 0,
  monotonicMs: () => 0,
  delay: async (_, signal) => {
    await nextTurn();
    signal.throwIfAborted();
  },
};

it("the source reads its log once for each commit", async () => {
  await using file = await SourceFile.of("CREATE TABLE item (id INTEGER PRIMARY KEY, name TEXT); INSERT INTO item VALUES (0, 'first')");
  await using follower = new Follower(await file.open({ clock: standing }));
  await follower.catchUp(0);
  const insert = file.application().prepare("INSERT INTO item (name) VALUES ('next')");
  // The first one takes with it what the snapshot's own writing into the file has moved.
  insert.run();
  await follower.next();
  const reads = vi.spyOn(CaptureReader.prototype, "next");
  const commits = 20;
  for (let i = 0; i < commits; i++) {
    const coming = follower.next();
    // Asked for, as by the relay, before there is anything: whatever is read in vain is read by now.
    await nextTurn();
    insert.run();
    await coming;
  }
  expect(reads).toHaveBeenCalledTimes(commits);
});

it("what the sink asks twice a second is asked of one session, and of a new one when that has ended", async () => {
  await using database = await freshDatabase();
  await using target = await connectTarget({ url: database.url, pipeline: contractPipeline }, never);
  await target.prepare(planOf(planTable(orders)), nothingStale, never);
  const watch = async (times: number): Promise<readonly unknown[]> => {
    for (let i = 0; i < times; i++) expect(await target.watch(theGroup, never)).toEqual({ paused: false, owner: 0 });
    return database.query("SELECT pid FROM pg_stat_activity WHERE application_name LIKE 'tailrace/%' AND datname = current_database()");
  };
  const [first, ...others] = await watch(1);
  expect(others).toEqual([]);
  expect(await watch(5)).toEqual([first]);
  await database.query(
    "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE application_name LIKE 'tailrace/%' AND datname = current_database()",
  );
  // Whoever asks may not have heard of it yet.
  await target.watch(theGroup, never).catch(() => {});
  const [second, ...beside] = await watch(2);
  expect(beside).toEqual([]);
  expect(second).not.toEqual(first);
});
