/** What every LogTail must do; part of the contract suite of log stores. */
import { expect, it } from "vitest";
import type { OutgoingRecord, StoredRecord } from "../../core/contracts/log-store.js";
import { offset, type Topic } from "../../core/vocabulary/ids.js";
import { until } from "../support/oracles/until.js";
import {
  at,
  type LogStoreHost,
  numbered,
  patience,
  randomTopic,
  record,
  rejection,
  spec,
  take,
  text,
  withTopic,
} from "./log-store-host.js";

/** Half a megabyte together: more than an answer brings of a partition. */
const large = (name: Topic, from: number, count: number): readonly OutgoingRecord[] =>
  numbered(name, from, count).map((each) => ({ ...each, value: Buffer.from(text(each).padEnd(500_000 / count)) }));
const trimmed = (stored: StoredRecord): string => text(stored).trim();

export function describeLogTail(host: LogStoreHost): void {
  tailTests(host);
  tailBoundsTests(host);
  tailFlowTests(host);
}

function tailTests(host: LogStoreHost): void {
  it("follows a partition in order, across what was there and what comes", () =>
    withTopic(host, async (store, name, appender) => {
      await appender.append(numbered(name, 0, 100), patience());
      await using tail = await store.tail(new Map([[name, at(40)]]), patience());
      expect((await take(tail, 60)).map(text)).toEqual(numbered(name, 40, 60).map(text));
      for (let next = 100; next < 120; next++) {
        await appender.append(numbered(name, next, 1), patience());
        expect((await take(tail, 1)).map((stored) => [text(stored), stored.offset])).toEqual([[String(next), next]]);
      }
    }));

  it("says null when the wait is over, and stops at once when told to", () =>
    withTopic(host, async (store, name) => {
      await using tail = await store.tail(new Map([[name, at(0)]]), patience());
      expect(await tail.next(30, patience())).toBeNull();
      const stop = new AbortController();
      const waiting = tail.next(40_000, stop.signal);
      stop.abort();
      await expect(waiting).rejects.toMatchObject({ name: "AbortError" });
      expect(await tail.next(0, patience())).toBeNull();
    }));

  it("sees what another process writes, in its order", () =>
    withTopic(host, async (store, name) => {
      await using tail = await store.tail(new Map([[name, at(0)]]), patience());
      const [seen] = await Promise.all([take(tail, 400), host.writeFromAnotherProcess(name, 400)]);
      expect(seen.map(text)).toEqual(numbered(name, 0, 400).map(text));
      expect(seen.map((stored) => stored.offset)).toEqual(seen.map((_, index) => index));
    }));

  it("keeps two tails apart", () =>
    withTopic(host, async (store, name, appender) => {
      await using one = await store.tail(new Map([[name, at(0)]]), patience());
      await using two = await store.tail(new Map([[name, at(2)]]), patience());
      await appender.append(numbered(name, 0, 4), patience());
      expect((await take(one, 4)).map(text)).toEqual(["0", "1", "2", "3"]);
      expect((await take(two, 2)).map(text)).toEqual(["2", "3"]);
    }));
}

function tailBoundsTests(host: LogStoreHost): void {
  it("waits at an offset above the end until the partition has grown to it", () =>
    withTopic(host, async (store, name, appender) => {
      await using tail = await store.tail(new Map([[name, at(10)]]), patience());
      await appender.append(numbered(name, 0, 9), patience());
      expect(await tail.next(500, patience())).toBeNull();
      await appender.append(numbered(name, 9, 3), patience());
      expect((await take(tail, 2)).map((stored) => [text(stored), stored.offset])).toEqual([
        ["10", 10],
        ["11", 11],
      ]);
      await tail.seek(name, 0, offset(14));
      await appender.append(numbered(name, 12, 2), patience());
      expect(await tail.next(500, patience())).toBeNull();
      await appender.append(numbered(name, 14, 1), patience());
      expect((await take(tail, 1)).map(text)).toEqual(["14"]);
    }));

  it("refuses to begin, or to seek, below the first record that is left", () =>
    withTopic(host, async (store, name, appender) => {
      await appender.append(numbered(name, 0, 50), patience());
      await host.forgetBelow(store, name, 20);
      const error = await rejection(store.tail(new Map([[name, at(19)]]), patience()));
      expect([error.code, error.where.topic, error.where.first]).toEqual(["log.gap", name, 20]);
      await using tail = await store.tail(new Map([[name, at(20)]]), patience());
      expect((await take(tail, 30)).map(text)).toEqual(numbered(name, 20, 30).map(text));
      expect((await rejection(tail.seek(name, 0, offset(3)))).code).toBe("log.gap");
    }));

  it("stops with a gap, and never jumps, when what it would read next is deleted", () =>
    withTopic(host, async (store, name, appender) => {
      await using tail = await store.tail(new Map([[name, at(0)]]), patience());
      tail.pause(name, 0);
      // A fetch that was on its way before the pause may still bring the first append, however late it is answered: with it, it is full.
      await appender.append(large(name, 0, 50), patience());
      await appender.append(large(name, 50, 50), patience());
      await host.forgetBelow(store, name, 70);
      tail.resume(name, 0);
      const taken: StoredRecord[] = [];
      const untilItStops = async (): Promise<never> => {
        for (;;) taken.push(...(await take(tail, 1)));
      };
      expect((await rejection(untilItStops())).code).toBe("log.gap");
      expect(taken.map(trimmed)).toEqual(numbered(name, 0, taken.length).map(text));
      expect(taken.length).toBeLessThanOrEqual(50);
    }));

  it("says so when its topic is deleted", () =>
    withTopic(host, async (store, name, appender) => {
      const other = randomTopic();
      await store.ensure([spec(other)], patience());
      await using tail = await store.tail(
        new Map([
          [name, at(0)],
          [other, at(0)],
        ]),
        patience(),
      );
      await appender.append([record(name, "a")], patience());
      expect((await take(tail, 1)).map(text)).toEqual(["a"]);
      await store.destroy([name], patience());
      const error = await rejection(take(tail, 1));
      expect([error.code, error.where.topic]).toEqual(["log.topic-missing", name]);
      await store.destroy([other], patience());
    }));
}

function tailFlowTests(host: LogStoreHost): void {
  it("seeks back and forth, throwing away what it had fetched", () =>
    withTopic(host, async (store, name, appender) => {
      await appender.append(numbered(name, 0, 300), patience());
      await using tail = await store.tail(new Map([[name, at(0)]]), patience());
      for (const to of [250, 3, 299, 0, 120]) {
        await tail.seek(name, 0, offset(to));
        expect((await take(tail, 300 - to)).map(text)).toEqual(numbered(name, to, 300 - to).map(text));
      }
    }));

  it("skips nothing when a wait for it is given up", () =>
    withTopic(host, async (store, name, appender) => {
      await using tail = await store.tail(new Map([[name, at(0)]]), patience());
      const taken: string[] = [];
      for (let from = 0; from < 60; from += 3) {
        const stop = new AbortController();
        const waiting = tail.next(5_000, stop.signal).catch((error: unknown) => error);
        const appended = appender.append(numbered(name, from, 3), patience());
        // Now before, now after the records are there.
        if (from % 2 === 0) await appended;
        stop.abort();
        const got = await waiting;
        if (Array.isArray(got)) taken.push(...(got as readonly StoredRecord[]).map(text));
        // Where an append takes longer than the wait, that is over by itself.
        else if (got !== null) expect(got).toMatchObject({ name: "AbortError" });
        await appended;
      }
      if (taken.length < 60) taken.push(...(await take(tail, 60 - taken.length)).map(text));
      expect(taken).toEqual(numbered(name, 0, 60).map(text));
    }));

  it("gives nothing of a paused partition, everything of the others, and goes on where it was", async () => {
    await using store = await host.open();
    const name = randomTopic();
    await store.ensure([spec(name, { partitions: 2 })], patience());
    await using appender = await store.appender(patience());
    await using tail = await store.tail(new Map([[name, at(0, 0)]]), patience());
    const both = (number: number): readonly OutgoingRecord[] => [record(name, `l${number}`), record(name, `r${number}`, { partition: 1 })];
    await appender.append(both(0), patience());
    expect(new Set((await take(tail, 2)).map(text))).toEqual(new Set(["l0", "r0"]));
    tail.pause(name, 0);
    for (let number = 1; number <= 20; number++) await appender.append(both(number), patience());
    expect((await take(tail, 20)).map(text)).toEqual(Array.from({ length: 20 }, (_, index) => `r${index + 1}`));
    expect(await tail.next(600, patience())).toBeNull();
    tail.resume(name, 0);
    expect((await take(tail, 20)).map(text)).toEqual(Array.from({ length: 20 }, (_, index) => `l${index + 1}`));
    await store.destroy([name], patience());
  });

  it("reads one partition to its end while many others are paused with as much in hand as it may hold", async () => {
    await using store = await host.open();
    const busy = Array.from({ length: 16 }, randomTopic);
    const wanted = randomTopic();
    const topics = [...busy, wanted];
    const count = 1_000;
    await store.ensure(
      topics.map((name) => spec(name)),
      patience(),
    );
    await using appender = await store.appender(patience());
    for (const name of topics) for (let from = 0; from < count; from += 500) await appender.append(large(name, from, 500), patience());
    await using tail = await store.tail(new Map(topics.map((name) => [name, at(0)])), patience());
    // As much as a tail holds piles up in it; then all of that is left where it is.
    await until(
      () => (host.held(tail)?.bytes ?? Number.POSITIVE_INFINITY) >= 4 * 1024 * 1024,
      30_000,
      () => `the tail holds no more than ${host.held(tail)?.bytes} bytes`,
    );
    for (const name of busy) tail.pause(name, 0);
    expect((await take(tail, count)).map(trimmed)).toEqual(numbered(wanted, 0, count).map(text));
    for (const name of busy) tail.resume(name, 0);
    const rest = await take(tail, count * busy.length);
    for (const name of busy) {
      expect(rest.filter((stored) => stored.topic === name).map(trimmed)).toEqual(numbered(name, 0, count).map(text));
    }
    await store.destroy(topics, patience());
  });

  it("holds a bounded number of records and bytes for a consumer that does not ask", () =>
    withTopic(host, async (store, name, appender) => {
      const value = Buffer.alloc(1_000, 1);
      const count = 30_000;
      for (let from = 0; from < count; from += 600)
        await appender.append(
          numbered(name, from, 600).map((each) => ({ ...each, value })),
          patience(),
        );
      await using tail = await store.tail(new Map([[name, at(0)]]), patience());
      let taken = (await take(tail, 1)).length;
      while (taken < count) {
        const held = host.held(tail) ?? { records: 0, bytes: 0 };
        expect(held.bytes).toBeLessThan(10 * 1024 * 1024);
        expect(held.records).toBeLessThan(10_000);
        taken += (await take(tail, 1)).length;
      }
      expect(taken).toBe(count);
    }));
}
