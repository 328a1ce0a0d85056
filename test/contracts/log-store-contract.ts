/**
 * What every LogStore must do, run for each. A host says where the store lives; each test makes its own topics with random names, so that
 * the tests of a file may share one store.
 */
import { describe, expect, it } from "vitest";
import type { OutgoingRecord } from "../../core/contracts/log-store.js";
import { recordBytesMax } from "../../core/record-size.js";
import { offset } from "../../core/vocabulary/ids.js";
import {
  at,
  type LogStoreHost,
  numbered,
  patience,
  randomTopic,
  record,
  rejection,
  scanAll,
  spec,
  take,
  text,
  withTopic,
} from "./log-store-host.js";
import { describeLogTail } from "./log-tail-contract.js";

export function describeLogStore(host: LogStoreHost): void {
  describe("topics", () => {
    topicTests(host);
  });
  describe("append and scan", () => {
    appendTests(host);
    scanTests(host);
  });
  describe("tail", () => {
    describeLogTail(host);
  });
}

function topicTests(host: LogStoreHost): void {
  it("creates what is missing, again without harm, and says where it begins and ends", () =>
    withTopic(host, async (store, name, appender) => {
      await appender.append(numbered(name, 0, 3), patience());
      await store.ensure([spec(name)], patience());
      expect(await store.bounds([name], patience())).toEqual(new Map([[name, [{ first: 0, end: 3 }]]]));
    }));

  it("knows 30 topics at once, some of several partitions", async () => {
    await using store = await host.open();
    const names = Array.from({ length: 30 }, randomTopic);
    await store.ensure(
      names.map((name, index) => spec(name, { partitions: index % 3 === 0 ? 3 : 1 })),
      patience(),
    );
    await using appender = await store.appender(patience());
    const records = names.map((name, index) => record(name, `of ${index}`, { partition: index % 3 === 0 ? 2 : 0 }));
    const written = await appender.append(records, patience());
    expect(new Set(written.map(({ topic: of, partition, base }) => `${of} ${partition} ${base}`))).toEqual(
      new Set(records.map(({ topic: of, partition }) => `${of} ${partition} 0`)),
    );
    const bounds = await store.bounds(names, patience());
    expect(names.map((name) => bounds.get(name)?.map(({ end }) => end))).toEqual(
      names.map((_, index) => (index % 3 === 0 ? [0, 0, 1] : [1])),
    );
    await using tail = await store.tail(new Map(names.map((name, index) => [name, index % 3 === 0 ? at(0, 0, 0) : at(0)])), patience());
    expect(new Set((await take(tail, 30)).map(text))).toEqual(new Set(names.map((_, index) => `of ${index}`)));
    await store.destroy(names, patience());
  });

  it("refuses a topic that exists with another cleanup policy or another number of partitions", () =>
    withTopic(host, async (store, name) => {
      const compacted = await rejection(store.ensure([spec(name, { cleanup: "compact" })], patience()));
      expect([compacted.code, compacted.message]).toEqual(["log.topic-settings", expect.stringContaining("cleanup.policy")]);
      expect(compacted.message).toContain(name);
      expect((await rejection(store.ensure([spec(name, { partitions: 2 })], patience()))).code).toBe("log.topic-settings");
    }));

  it("says which topics are there, none of them included", () =>
    withTopic(host, async (store, name) => {
      const other = randomTopic();
      expect(await store.existing([other, name], patience())).toEqual(new Set([name]));
      expect(await store.existing([other], patience())).toEqual(new Set());
      expect(await store.existing([], patience())).toEqual(new Set());
    }));

  it("names a topic that is missing", async () => {
    await using store = await host.open();
    const name = randomTopic();
    const calls = [
      () => store.bounds([name], patience()),
      () => scanAll(store, name),
      () => store.tail(new Map([[name, at(0)]]), patience()),
    ];
    for (const call of calls) {
      const error = await rejection(call());
      expect([error.code, error.where.topic]).toEqual(["log.topic-missing", name]);
    }
  });

  it("deletes topics with their records, also when they are not there", () =>
    withTopic(host, async (store, name, appender) => {
      await appender.append(numbered(name, 0, 5_000), patience());
      await store.destroy([name, randomTopic()], patience());
      expect((await rejection(store.bounds([name], patience()))).code).toBe("log.topic-missing");
      await store.destroy([name], patience());
      await store.ensure([spec(name)], patience());
      expect(await scanAll(store, name)).toEqual([]);
    }));
}

function appendTests(host: LogStoreHost): void {
  it("gives back what was written, byte for byte, with its offset", () =>
    withTopic(host, async (store, name, appender) => {
      const bytes = Buffer.from(Array.from({ length: 256 }, (_, byte) => byte));
      const records: readonly OutgoingRecord[] = [
        { topic: name, partition: 0, key: bytes, value: bytes, headers: [] },
        { topic: name, partition: 0, key: null, value: Buffer.alloc(0), headers: [] },
        { topic: name, partition: 0, key: Buffer.alloc(0), value: null, headers: [] },
        {
          topic: name,
          partition: 0,
          key: null,
          value: bytes,
          headers: [
            ["one", bytes],
            ["two", Buffer.alloc(0)],
          ],
        },
      ];
      expect(await appender.append(records, patience())).toEqual([{ topic: name, partition: 0, base: 0 }]);
      const plain = (stored: OutgoingRecord & { readonly offset: number }): unknown => ({
        topic: stored.topic,
        partition: stored.partition,
        offset: stored.offset,
        key: stored.key === null ? null : [...stored.key],
        value: stored.value === null ? null : [...stored.value],
        headers: stored.headers.map(([header, value]) => [header, [...value]]),
      });
      expect((await scanAll(store, name)).map(plain)).toEqual(records.map((written, index) => plain({ ...written, offset: index })));
    }));

  it("returns the base offset of every partition of an append, in any mixture", async () => {
    await using store = await host.open();
    const [one, two] = [randomTopic(), randomTopic()];
    await store.ensure([spec(one, { partitions: 2 }), spec(two)], patience());
    await using appender = await store.appender(patience());
    await appender.append([record(one, "a", { partition: 1 }), record(two, "b")], patience());
    const written = await appender.append(
      [record(two, "c"), record(one, "d", { partition: 1 }), record(one, "e"), record(one, "f", { partition: 1 })],
      patience(),
    );
    expect(new Set(written)).toEqual(
      new Set([
        { topic: two, partition: 0, base: 1 },
        { topic: one, partition: 1, base: 1 },
        { topic: one, partition: 0, base: 0 },
      ]),
    );
    expect((await scanAll(store, one, 0, 9, 1)).map(text)).toEqual(["a", "d", "f"]);
    await store.destroy([one, two], patience());
  });

  it("takes a record of nearly 8 MiB, and refuses a larger one before it is sent", () =>
    withTopic(host, async (store, name, appender) => {
      const large = (bytes: number): OutgoingRecord => record(name, "", { key: null, value: Buffer.alloc(bytes, 7) });
      const mib = 1024 * 1024;
      await appender.append([record(name, "before"), large(Math.floor(7.9 * mib) - 1024)], patience());
      await appender.append([large(recordBytesMax - 64)], patience());
      const error = await rejection(appender.append([large(8 * mib)], patience()));
      expect([error.code, error.verdict, error.where.topic]).toEqual(["log.record-too-large", "stop", name]);
      const stored = await scanAll(store, name);
      expect(stored.map(({ value }) => value?.length)).toEqual([6, Math.floor(7.9 * mib) - 1024, recordBytesMax - 64]);
      await using tail = await store.tail(new Map([[name, at(0)]]), patience());
      expect((await take(tail, 3)).map(({ value }) => value?.length)).toEqual(stored.map(({ value }) => value?.length));
    }));

  it("has an appender die of any rejection, while a new one goes on", () =>
    withTopic(host, async (store, name, appender) => {
      await appender.append([record(name, "a")], patience());
      expect((await rejection(appender.append([record(name, "b", { partition: 7 })], patience()))).verdict).not.toBe("undecided");
      const dead = await rejection(appender.append([record(name, "c")], patience()));
      expect([dead.code, dead.verdict]).toEqual(["log.append-failed", "retry"]);
      await using next = await store.appender(patience());
      expect(await next.append([record(name, "d")], patience())).toEqual([{ topic: name, partition: 0, base: 1 }]);
      expect((await scanAll(store, name)).map(text)).toEqual(["a", "d"]);
    }));

  it("refuses a second append while one is in flight", () =>
    withTopic(host, async (_store, name, appender) => {
      const first = appender.append([record(name, "a")], patience());
      expect((await rejection(appender.append([record(name, "b")], patience()))).code).toBe("log.append-failed");
      await first.catch(() => null);
    }));

  it("gives up an append when told to, as an abort and not as an error", () =>
    withTopic(host, async (_store, name, appender) => {
      const giveUp = new AbortController();
      giveUp.abort();
      await expect(appender.append([record(name, "a")], giveUp.signal)).rejects.toMatchObject({ name: "AbortError" });
      expect((await rejection(appender.append([record(name, "b")], patience()))).code).toBe("log.append-failed");
    }));
}

function scanTests(host: LogStoreHost): void {
  it("scans exactly the range asked for, whatever the pages are", () =>
    withTopic(host, async (store, name, appender) => {
      for (let from = 0; from < 6_000; from += 2_000) await appender.append(numbered(name, from, 2_000), patience());
      for (const [from, until] of [
        [0, 6_000],
        [1_999, 2_001],
        [17, 5_003],
        [5_999, 9_000],
        [6_000, 9_000],
        [9_000, 9_001],
        [40, 40],
      ] as const) {
        const expected = Array.from({ length: Math.max(0, Math.min(until, 6_000) - from) }, (_, index) => from + index);
        const scanned = await scanAll(store, name, from, until);
        expect(scanned.map((stored) => stored.offset)).toEqual(expected);
        expect(scanned.map(text)).toEqual(expected.map(String));
      }
    }));

  it("begins a scan at the first record that is left", () =>
    withTopic(host, async (store, name, appender) => {
      await appender.append(numbered(name, 0, 50), patience());
      await host.forgetBelow(store, name, 20);
      expect((await store.bounds([name], patience())).get(name)).toEqual([{ first: 20, end: 50 }]);
      expect((await scanAll(store, name, 5, 23)).map(text)).toEqual(["20", "21", "22"]);
      await using next = await store.appender(patience());
      expect(await next.append(numbered(name, 50, 1), patience())).toEqual([{ topic: name, partition: 0, base: 50 }]);
    }));

  it("can be left half-way", () =>
    withTopic(host, async (store, name, appender) => {
      for (let from = 0; from < 4_000; from += 1_000)
        await appender.append(
          numbered(name, from, 1_000).map((each) => ({ ...each, value: Buffer.alloc(600) })),
          patience(),
        );
      for await (const page of store.scan(name, 0, { from: offset(0), until: offset(4_000) }, patience())) {
        expect(page[0]?.offset).toBe(0);
        break;
      }
      expect(await scanAll(store, name, 3_998)).toHaveLength(2);
    }));
}
