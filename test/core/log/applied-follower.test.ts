import { expect, it } from "vitest";
import { systemClock } from "../../../core/clock.js";
import type { AppliedCut } from "../../../core/contracts/log.js";
import { announceGroups, LogAppliedPublisher } from "../../../core/log/applied-board.js";
import { LogAppliedFollower } from "../../../core/log/applied-follower.js";
import { appliedTopic, topicSpecs } from "../../../core/topics.js";
import { anchor, type GroupId, groupId, logId, offset, writerEpoch } from "../../../core/vocabulary/ids.js";
import { position } from "../../../core/vocabulary/position.js";
import { MemoryLog } from "../../support/memory-log-store.js";
import { until } from "../../support/oracles/until.js";

const prefix = "shop";
const never = new AbortController().signal;
const [one, two] = [groupId(1), groupId(2)];

const cut = (order: number): AppliedCut => ({
  logId: logId("log"),
  position: position(1, order),
  epoch: writerEpoch(1),
  counts: new Map(),
  offset: offset(order),
  ends: new Map(),
  anchor: anchor(new Uint8Array()),
  phase: "streaming",
});

async function world(groups: readonly GroupId[]) {
  const log = new MemoryLog();
  const store = log.store();
  await store.ensure(topicSpecs(prefix, []), never);
  const follower = (): LogAppliedFollower =>
    new LogAppliedFollower({ store: log.store(), clock: systemClock, prefix, groups: () => groups });
  const announce = (group: GroupId, applied: AppliedCut | null): Promise<void> =>
    announceGroups(store, prefix, [{ group, applied }], never);
  return { log, store, follower, announce };
}
const least = ({ least: found }: { readonly least: AppliedCut | null }): number | null => found?.position.order ?? null;

it("the least of all groups is what counts, and nothing does while a captured one was not heard of", async () => {
  const { follower, announce } = await world([one, two]);
  await using heard = follower();
  await announce(one, cut(9));
  expect(least(await heard.latest(never))).toBeNull();
  await announce(two, cut(4));
  await announce(one, cut(12));
  const orders = (): readonly number[] =>
    heard
      .current()
      .all.map(({ position: at }) => at.order)
      .toSorted((a, b) => a - b);
  await until(
    async () => orders().join() === "4,12",
    30_000,
    () => `heard ${orders().join()}`,
  );
  expect(least(heard.current())).toBe(4);
});

it("a group that stands still is found however much the others have said since", async () => {
  const { follower, announce } = await world([one, two]);
  await announce(two, cut(3));
  for (let order = 4; order < 90; order++) await announce(one, cut(order));
  await using heard = follower();
  expect(least(await heard.latest(never))).toBe(3);
});

it("a group that is announced counts at once, before the source knows that it is captured, and until it is gone", async () => {
  const { follower, announce } = await world([one]);
  await using heard = follower();
  await announce(one, cut(5));
  expect(least(await heard.latest(never))).toBe(5);
  await announce(two, cut(5));
  await announce(one, cut(8));
  await until(
    async () => heard.current().all.length === 2,
    30_000,
    () => "the second group is not heard of",
  );
  expect(least(heard.current())).toBe(5);
  await announce(two, null);
  await until(
    async () => least(heard.current()) === 8,
    30_000,
    () => "the second group is not forgotten",
  );
});

it("what a publisher says is heard under its group", async () => {
  const { store, follower } = await world([two]);
  {
    await using publisher = new LogAppliedPublisher(store, systemClock, prefix);
    publisher.publish(two, cut(7));
  }
  await using heard = follower();
  expect(least(await heard.latest(never))).toBe(7);
});

it("goes on where the topic ends after it has lost its tail, or was made anew, and where it begins after its head was deleted", async () => {
  const { log, follower, announce } = await world([one]);
  const heardAbout = (heard: LogAppliedFollower, order: number): Promise<void> =>
    until(
      async () => least(heard.current()) === order,
      30_000,
      () => `heard ${String(least(heard.current()))}`,
    );
  await using heard = follower();
  for (let order = 1; order <= 100; order++) await announce(one, cut(order));
  expect(least(await heard.latest(never))).toBe(100);
  log.loseTail(appliedTopic(prefix), 3);
  await announce(one, cut(101));
  await heardAbout(heard, 101);
  log.loseTail(appliedTopic(prefix), 0);
  await announce(one, cut(102));
  await heardAbout(heard, 102);
  for (let order = 103; order <= 110; order++) await announce(one, cut(order));
  log.forget(appliedTopic(prefix), 9);
  await announce(one, cut(111));
  await heardAbout(heard, 111);
});
