/** The fake is held to the suite of the real ones; and its faults do what they say. */
import { beforeEach, describe, expect, it } from "vitest";
import { topic } from "../../core/vocabulary/ids.js";
import { describeLogStore } from "../contracts/log-store-contract.js";
import { at, type LogStoreHost, numbered, patience, rejection, scanAll, spec, text } from "../contracts/log-store-host.js";
import { fates, MemoryLog } from "./memory-log-store.js";

const shared = new MemoryLog();
const host: LogStoreHost = {
  open: async () => shared.store(),
  held: () => null,
  // It has no other process; another client is as far away as it gets.
  writeFromAnotherProcess: async (name, count) => {
    await using store = shared.store();
    await using appender = await store.appender(patience());
    for (let n = 0; n < count; n++) await appender.append(numbered(name, n, 1), patience());
  },
  forgetBelow: async (_store, name, below) => shared.forget(name, below),
};

describe("the log in memory as a log store", () => {
  describeLogStore(host);
});

describe("faults of the log in memory", () => {
  const name = topic("t.rows");
  let log: MemoryLog;
  beforeEach(() => {
    log = new MemoryLog();
    log.create(spec(name));
  });

  const append = async (from: number, count: number) => {
    await using appender = await log.store().appender(patience());
    return await appender.append(numbered(name, from, count), patience());
  };
  const texts = async () => (await scanAll(log.store(), name)).map(text);

  it("stores an append whose answer is lost", async () => {
    log.onAppend = () => fates.answerLost;
    expect((await rejection(append(0, 2))).code).toBe("log.append-failed");
    expect(await texts()).toEqual(["0", "1"]);
  });

  it("loses an append, or brings it later, behind what came meanwhile", async () => {
    log.onAppend = () => fates.lost;
    await rejection(append(0, 1));
    log.onAppend = () => fates.late;
    await rejection(append(1, 2));
    log.onAppend = () => fates.stored;
    await append(3, 1);
    expect(log.lateWrites).toBe(1);
    log.deliverAllLate();
    expect(await texts()).toEqual(["3", "1", "2"]);
  });

  it("gives offsets of a lost tail out again", async () => {
    await append(0, 5);
    log.loseTail(name, 3);
    expect(await append(7, 1)).toEqual([{ topic: name, partition: 0, base: 3 }]);
    expect(await texts()).toEqual(["0", "1", "2", "7"]);
  });

  it("keeps single records of what it forgets", async () => {
    await append(0, 6);
    await log.store().trim(new Map([[name, at(4)]]), new Map([[name, at(1)]]));
    expect(log.boundsOf(name)).toEqual([{ first: 1, end: 6 }]);
    expect(await texts()).toEqual(["1", "4", "5"]);
  });
});
