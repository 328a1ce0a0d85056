import { closeSync, mkdtempSync, openSync, readFileSync, renameSync, rmSync, statSync, writeFileSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import Database from "better-sqlite3";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { openEmbeddedLog } from "../../../connectors/embedded-log/embedded-log.js";
import { packBatch, unpackBatch } from "../../../connectors/embedded-log/batch.js";
import { offset } from "../../../core/vocabulary/ids.js";
import { describeLogStore } from "../../contracts/log-store-contract.js";
import { at, numbered, patience, randomTopic, record, rejection, scanAll, spec, take, text } from "../../contracts/log-store-host.js";
import { runOtherProcess } from "../../support/other-process.js";

let directory: string;
let path: string;
let files = 0;
const freshPath = (): string => join(directory, `log-${files++}.db`);

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), "tailrace-embedded-"));
  path = freshPath();
});
afterAll(() => {
  rmSync(directory, { recursive: true });
});

describe("the embedded log as a log store", () => {
  describeLogStore({
    open: () => openEmbeddedLog({ path }),
    held: () => null,
    writeFromAnotherProcess: (topic, count) =>
      runOtherProcess("append-numbered.mjs", JSON.stringify({ kind: "embedded", path }), topic, String(count)),
    forgetBelow: (store, topic, below) => store.trim(new Map([[topic, at(below)]]), new Map()),
  });
});

describe("trimming", () => {
  it("deletes the records, not only their names, and uses their room again", async () => {
    const own = freshPath();
    await using store = await openEmbeddedLog({ path: own });
    const topic = randomTopic();
    await store.ensure([spec(topic)], patience());
    await using appender = await store.appender(patience());
    const fill = async (): Promise<void> => {
      for (let round = 0; round < 10; round++)
        await appender.append(
          numbered(topic, 0, 500).map((each) => ({ ...each, value: Buffer.alloc(2_000) })),
          patience(),
        );
    };
    await fill();
    const sizes: number[] = [];
    for (let round = 1; round <= 4; round++) {
      await store.trim(new Map([[topic, at(round * 5_000)]]), new Map());
      await fill();
      sizes.push(statSync(own).size);
    }
    expect(sizes.at(-1)).toBeLessThan((sizes[0] ?? 0) * 1.5);
    expect(await scanAll(store, topic)).toHaveLength(5_000);
  });

  it("never goes back and never past the end", async () => {
    await using store = await openEmbeddedLog({ path });
    const topic = randomTopic();
    await store.ensure([spec(topic)], patience());
    await using appender = await store.appender(patience());
    await appender.append(numbered(topic, 0, 10), patience());
    for (const [below, first] of [
      [4, 4],
      [2, 4],
      [99, 10],
    ] as const) {
      await store.trim(new Map([[topic, at(below)]]), new Map());
      expect((await store.bounds([topic], patience())).get(topic)).toEqual([{ first, end: 10 }]);
    }
  });
});

describe("trimming with records to keep", () => {
  it("leaves those, begins at the oldest of them, and forgets them when they are no longer named", async () => {
    await using store = await openEmbeddedLog({ path });
    const topic = randomTopic();
    await store.ensure([spec(topic)], patience());
    await using appender = await store.appender(patience());
    for (let n = 0; n < 12; n++) await appender.append(numbered(topic, n, 1), patience());
    const trim = async (below: number, ...keep: number[]): Promise<unknown> => {
      await store.trim(new Map([[topic, at(below)]]), new Map([[topic, at(...keep)]]));
      return [(await store.bounds([topic], patience())).get(topic), (await scanAll(store, topic)).map(text).join(" ")];
    };
    expect(await trim(6, 3, 0)).toEqual([[{ first: 0, end: 12 }], "0 3 6 7 8 9 10 11"]);
    expect(await trim(8, 0, 6)).toEqual([[{ first: 0, end: 12 }], "0 6 8 9 10 11"]);
    await using tail = await store.tail(new Map([[topic, at(0)]]), patience());
    expect((await take(tail, 6)).map(text).join(" ")).toBe("0 6 8 9 10 11");
    expect(await trim(9, 0, 10)).toEqual([[{ first: 0, end: 12 }], "0 9 10 11"]);
    expect(await trim(11, 9)).toEqual([[{ first: 9, end: 12 }], "9 11"]);
    expect(await trim(12, 0)).toEqual([[{ first: 12, end: 12 }], ""]);
  });

  it("leaves what was appended together until nothing of it is wanted", async () => {
    await using store = await openEmbeddedLog({ path });
    const topic = randomTopic();
    await store.ensure([spec(topic)], patience());
    await using appender = await store.appender(patience());
    for (const first of [0, 4, 8]) await appender.append(numbered(topic, first, 4), patience());
    const trim = async (below: number, ...keep: number[]): Promise<string> => {
      await store.trim(new Map([[topic, at(below)]]), new Map([[topic, at(...keep)]]));
      return (await scanAll(store, topic)).map(text).join(" ");
    };
    expect(await trim(6)).toBe("6 7 8 9 10 11");
    expect(await trim(10, 6)).toBe("6 7 8 9 10 11");
    expect(await trim(10)).toBe("10 11");
    expect(await trim(12)).toBe("");
    const database = new Database(path, { readonly: true });
    expect(database.prepare("SELECT count(*) FROM batch JOIN topic ON name = ?").pluck().get(topic)).toBe(0);
    database.close();
  });
});

describe("a compacted topic", () => {
  it("keeps the newest record of each key, at its offset, for scans and tails, and is not trimmed", async () => {
    await using store = await openEmbeddedLog({ path });
    const topic = randomTopic();
    await store.ensure([spec(topic, { cleanup: "compact" })], patience());
    await using appender = await store.appender(patience());
    await using tail = await store.tail(new Map([[topic, at(0)]]), patience());
    const keyed = (key: string, value: string) => record(topic, value, { key: Buffer.from(key) });
    await appender.append([keyed("a", "1"), keyed("b", "2"), keyed("a", "3")], patience());
    await appender.append([keyed("c", "4"), keyed("b", "5")], patience());
    await store.trim(new Map([[topic, at(5)]]), new Map());
    expect((await scanAll(store, topic)).map((stored) => [stored.offset, text(stored)])).toEqual([
      [2, "3"],
      [3, "4"],
      [4, "5"],
    ]);
    expect((await take(tail, 3)).map(text)).toEqual(["3", "4", "5"]);
    expect(await tail.next(600, patience())).toBeNull();
    expect((await store.bounds([topic], patience())).get(topic)).toEqual([{ first: 0, end: 5 }]);
    await tail.seek(topic, 0, offset(0));
    expect((await take(tail, 3)).map(text)).toEqual(["3", "4", "5"]);
  });
});

describe("the file", () => {
  it("is written by many processes at once without a lost or doubled record", async () => {
    const own = freshPath();
    await using store = await openEmbeddedLog({ path: own });
    const topic = randomTopic();
    await store.ensure([spec(topic)], patience());
    const writer = () => runOtherProcess("append-numbered.mjs", JSON.stringify({ kind: "embedded", path: own }), topic, "300");
    await Promise.all([writer(), writer(), writer()]);
    const stored = await scanAll(store, topic);
    expect(stored.map((each) => each.offset)).toEqual(Array.from({ length: 900 }, (_, index) => index));
    const times = new Map<string, number>();
    for (const each of stored) times.set(text(each), (times.get(text(each)) ?? 0) + 1);
    expect([...times.values()]).toEqual(Array.from({ length: 300 }, () => 3));
  });

  it("is opened by several at once when it is new", async () => {
    const own = freshPath();
    const stores = await Promise.all(Array.from({ length: 6 }, () => openEmbeddedLog({ path: own })));
    const topic = randomTopic();
    await Promise.all(stores.map((store) => store.ensure([spec(topic)], patience())));
    expect(await Promise.all(stores.map((store) => scanAll(store, topic)))).toEqual(stores.map(() => []));
    for (const store of stores) await store[Symbol.asyncDispose]();
  });

  it("makes a writer wait for another one, and say it is unavailable only after a while", async () => {
    const own = freshPath();
    await using store = await openEmbeddedLog({ path: own });
    const topic = randomTopic();
    await store.ensure([spec(topic)], patience());
    const other = new Database(own);
    try {
      other.exec("BEGIN IMMEDIATE");
      await using waiting = await store.appender(patience());
      const appended = waiting.append(numbered(topic, 0, 1), patience());
      expect(await scanAll(store, topic)).toEqual([]);
      other.exec("ROLLBACK");
      expect(await appended).toEqual([{ topic, partition: 0, base: 0 }]);
      other.exec("BEGIN IMMEDIATE");
      await using tired = await store.appender(patience());
      const error = await rejection(tired.append(numbered(topic, 1, 1), patience()));
      expect([error.code, error.verdict]).toEqual(["log.unavailable", "retry"]);
    } finally {
      other.close();
    }
  });

  it("is noticed to be gone or another one before an append is acknowledged, and by a tail", async () => {
    const own = freshPath();
    await using store = await openEmbeddedLog({ path: own });
    const topic = randomTopic();
    await store.ensure([spec(topic)], patience());
    await using appender = await store.appender(patience());
    await using tail = await store.tail(new Map([[topic, at(0)]]), patience());
    renameSync(own, `${own}.away`);
    const error = await rejection(appender.append(numbered(topic, 0, 1), patience()));
    expect([error.code, error.verdict]).toEqual(["log.replaced", "retry"]);
    expect((await rejection(take(tail, 2))).code).toBe("log.replaced");
    expect((await rejection(take(tail, 1))).code).toBe("log.replaced");
    // The next call opens what is there now: nothing, so the topics are missing and a person is asked.
    expect((await rejection(store.bounds([topic], patience()))).code).toBe("log.topic-missing");
  });

  it("is refused when it is damaged, no database, or another program's", async () => {
    const garbage = freshPath();
    writeFileSync(garbage, Buffer.alloc(20_000, 0x41));
    expect((await rejection(openEmbeddedLog({ path: garbage }))).code).toBe("log.damaged");
    const foreign = freshPath();
    const database = new Database(foreign);
    database.exec("CREATE TABLE theirs (x)");
    database.close();
    expect((await rejection(openEmbeddedLog({ path: foreign }))).code).toBe("log.damaged");
    const torn = freshPath();
    {
      await using store = await openEmbeddedLog({ path: torn });
      const topic = randomTopic();
      await store.ensure([spec(topic)], patience());
      await using appender = await store.appender(patience());
      for (let round = 0; round < 5; round++) await appender.append(numbered(topic, 0, 1_000), patience());
    }
    const size = readFileSync(torn).length;
    const descriptor = openSync(torn, "r+");
    writeSync(descriptor, Buffer.alloc(size - 8_192, 0x5a), 0, size - 8_192, 8_192);
    closeSync(descriptor);
    await using store = await openEmbeddedLog({ path: torn });
    expect((await rejection(store.ensure([spec(randomTopic())], patience()))).code).toBe("log.damaged");
  });

  it("is made where no other user of the machine can read it: it holds rows", async () => {
    const state = join(directory, "state");
    await using store = await openEmbeddedLog({ path: join(state, "log.db") });
    await store.ensure([spec(randomTopic())], patience());
    expect(statSync(state).mode & 0o077).toBe(0);
  });

  it("is unavailable where it cannot be made", async () => {
    const blocked = freshPath();
    writeFileSync(blocked, "");
    expect((await rejection(openEmbeddedLog({ path: join(blocked, "log.db") }))).code).toBe("log.unavailable");
  });
});

describe("headers in the file", () => {
  it("come back in order, repeated names included", () => {
    const headers = [
      ["a", Buffer.from([1])],
      ["b", Buffer.alloc(0)],
      ["a", Buffer.alloc(70_000, 3)],
      ["ключ", Buffer.from([0])],
    ] as const;
    const records = [headers, []].map((of) => ({ topic: randomTopic(), partition: 0, key: null, value: Buffer.from("v"), headers: of }));
    const { count, bytes } = packBatch(records, 0, { records: 10, bytes: 1_000_000 });
    const read = unpackBatch({ topic: randomTopic(), partition: 0, first: 7, bytes }, count);
    expect(read.map((record) => record.headers)).toEqual([headers, []]);
    expect(read.map(({ offset: at, key, value }) => [at, key, String(value)])).toEqual([
      [7, null, "v"],
      [8, null, "v"],
    ]);
  });
});
