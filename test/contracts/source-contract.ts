/**
 * What every Source promises to the relay, as tests. An implementation gives a world in which it can be opened, written to and looked at;
 * the truth it shows must be as of the moment it is asked.
 */
import { describe, expect, test } from "vitest";
import type { Awaitable, Batch, Source } from "../../core/contracts/source.js";
import { writerEpoch } from "../../core/vocabulary/ids.js";
import { comparePositions, isAbove, position } from "../../core/vocabulary/position.js";
import type { TableDescription } from "../../core/vocabulary/table.js";
import type { Row } from "../../core/vocabulary/value.js";
import { Follower, freshBeginning } from "../support/follower.js";
import { until } from "../support/oracles/until.js";

export interface SourceWorld extends AsyncDisposable {
  /** One at a time; the last one must be disposed before. */
  open(): Promise<Source>;
  /** The application commits something that no earlier step committed; rows of all tables in many ways. */
  write(step: number): Awaitable<void>;
  /**
   * Follows until everything that is committed now is told and nothing is being read again. How that is known is the source's own matter: orders of
   * a log are there before they are told, those of a source that looks in cycles are not.
   */
  catchUp(follower: Follower): Promise<void>;
  /** Rows by key text. */
  rows(table: TableDescription): Awaitable<ReadonlyMap<string, Row>>;
  /** Where hearing of what is committed takes a moment: until all of it was told. Absent: one batch tells all that was committed before it. */
  hear?(follower: Follower): Promise<void>;
  /** How many changes are waiting is known at once; false: only that some are. */
  readonly countsAtOnce: boolean;
  /** Nothing is read from the tables: both sides were equal (here: empty) when the source began to tell. */
  readonly beginsEqual?: boolean;
}

export function describeSource(name: string, create: () => Promise<SourceWorld>): void {
  describe(`source contract: ${name}`, () => {
    test("a replica equals the tables at every batch, while the application writes from the first one on", async () => {
      await using world = await create();
      await using follower = new Follower(await world.open(), world.beginsEqual);
      for (let step = 0; step < 25; step++) {
        await world.write(step);
        await (world.hear === undefined ? follower.next() : world.hear(follower));
        await assertEquals(world, follower, `at step ${step}`);
      }
      await world.catchUp(follower);
      expect(follower.replica.isComplete()).toBe(true);
    });

    test("taken up at any of its batches it tells the same end, and no position goes back", async () => {
      await using world = await create();
      const first = new Follower(await world.open(), world.beginsEqual);
      for (let step = 0; step < 12; step++) {
        await world.write(step);
        await first.next();
      }
      await world.catchUp(first);
      const cuts = first.cuts;
      cuts.slice(1).forEach((cut, i) => expect(isAbove(cut.position, cuts[i]?.position ?? cut.position)).toBe(true));
      for (let taken = 1; taken <= cuts.length; taken++) {
        await first.restart(0);
        first.cuts = cuts.slice(0, taken);
        await first.restart(taken);
        await world.write(100 + taken);
        await world.catchUp(first);
        await assertEquals(world, first, `taken up at batch ${taken} of ${cuts.length}`);
        expect(first.position?.history).toBe(cuts[0]?.position.history);
      }
      await first[Symbol.asyncDispose]();
      await first.source[Symbol.asyncDispose]();
    });

    test("the next batch comes only after the last one was acknowledged", async () => {
      await using world = await create();
      const source = await world.open();
      const stop = new AbortController();
      const batches = source.batches(freshBeginning, stop.signal)[Symbol.asyncIterator]();
      const first = await taken(batches, stop.signal);
      let came = false;
      await world.write(1);
      const second = batches.next().then((next) => {
        came = true;
        return next;
      });
      for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve));
      expect(came).toBe(false);
      await source.acknowledged(first.position, writerEpoch(1));
      expect(isAbove((await second).value?.position ?? first.position, first.position)).toBe(true);
      stop.abort();
    });

    test("the end of a batch is known when its parts have ended, not before, and its token is small", async () => {
      await using world = await create();
      const source = await world.open();
      const stop = new AbortController();
      const batches = source.batches(freshBeginning, stop.signal)[Symbol.asyncIterator]();
      const { value: batch } = await batches.next();
      if (batch === undefined) expect.fail("batches are endless");
      expect(() => (batch as Batch).end()).toThrow();
      for await (const part of (batch as Batch).parts(stop.signal)) {
        const size = part.kind === "changes" ? part.changes.length : part.kind === "chunk" ? part.chunk.rows.length : 1;
        expect(size).toBeLessThanOrEqual(1_000);
      }
      const end = (batch as Batch).end();
      expect(end.resume.byteLength).toBeLessThanOrEqual(65_536);
      expect(end.phases.size).toBe(1);
      stop.abort();
    });

    test("a batch whose append failed is offered again by a new iteration", async () => {
      await using world = await create();
      const source = await world.open();
      const stop = new AbortController();
      const batches = source.batches(freshBeginning, stop.signal)[Symbol.asyncIterator]();
      await taken(batches, stop.signal);
      await batches.return?.();
      await using follower = new Follower(source, world.beginsEqual);
      await world.catchUp(follower);
      await assertEquals(world, follower, "after the second attempt");
      stop.abort();
    });

    test("abort ends it, also while it waits for something new, and it may be iterated again", async () => {
      await using world = await create();
      const source = await world.open();
      await using follower = new Follower(source, world.beginsEqual);
      await world.catchUp(follower);
      const stop = new AbortController();
      await follower.restart();
      const waiting = source.batches(follower.beginning(), stop.signal)[Symbol.asyncIterator]().next();
      const ended = expect(waiting).rejects.toMatchObject({ name: "AbortError" });
      await new Promise((resolve) => setImmediate(resolve));
      stop.abort();
      await ended;
      await world.write(3);
      await world.catchUp(follower);
      await assertEquals(world, follower, "after the abort");
    });

    test("phases go from snapshot to streaming once, at the batch that ends the first snapshot", async () => {
      await using world = await create();
      await using follower = new Follower(await world.open(), world.beginsEqual);
      await world.catchUp(follower);
      const phases = follower.cuts.map((cut) => [...cut.end.phases.values()].join());
      const turn = phases.indexOf("streaming");
      expect(turn).toBeGreaterThanOrEqual(0);
      expect(phases.slice(turn).every((phase) => phase === "streaming")).toBe(true);
      expect(follower.cuts[turn]?.replica.isComplete()).toBe(true);
      if (turn > 0) expect(follower.cuts[turn - 1]?.replica.isComplete()).toBe(false);
    });

    test("the epoch that was acknowledged last is remembered by the source itself", async () => {
      await using world = await create();
      const source = await world.open();
      expect(source.epochSeen()).toBe(0);
      const stop = new AbortController();
      const first = await taken(source.batches(freshBeginning, stop.signal)[Symbol.asyncIterator](), stop.signal);
      await source.acknowledged(first.position, writerEpoch(7));
      await source.acknowledged(first.position, writerEpoch(7));
      stop.abort();
      await source[Symbol.asyncDispose]();
      expect((await world.open()).epochSeen()).toBe(7);
    });

    test("lag is nothing when all is applied, something when not, and unknown when nobody can tell", async () => {
      await using world = await create();
      const source = await world.open();
      await using follower = new Follower(source, world.beginsEqual);
      await world.catchUp(follower);
      const at = follower.position ?? expect.fail("nothing was read");
      // A source that hears of its log may have to hear first that there is nothing more in it.
      await until(
        () => source.lag(at).changes.kind === "known",
        30_000,
        () => "it cannot tell that nothing is missing",
      );
      expect(source.lag(at)).toMatchObject({ changes: { kind: "known", value: 0 }, ms: { kind: "known", value: 0 } });
      await world.write(4);
      await until(
        () => comparePositions(source.lag(at).head, at) === 1,
        30_000,
        () => "what was written is never heard of",
      );
      const behind = source.lag(at);
      expect(behind.changes.kind === "known" ? behind.changes.value > 0 : !world.countsAtOnce).toBe(true);
      expect(behind.ms.kind).toBe("known");
      expect(source.lag(null).changes.kind).toBe("unknown");
      expect(source.lag(position(at.history + 5, 1)).changes.kind).toBe("unknown");
    });

    test("what was applied may be forgotten: a restart there still finds its place", async () => {
      await using world = await create();
      const source = await world.open();
      await using follower = new Follower(source, world.beginsEqual);
      for (let step = 0; step < 10; step++) await world.write(step);
      await world.catchUp(follower);
      await source.prune(follower.position ?? expect.fail("nothing was read"));
      await world.write(11);
      await follower.restart();
      await world.catchUp(follower);
      expect(follower.position?.history).toBe(follower.cuts[0]?.position.history);
      await assertEquals(world, follower, "after pruning");
    });
  });
}

async function assertEquals(world: SourceWorld, { replica }: Follower, where: string): Promise<void> {
  const truth = new Map<string, ReadonlyMap<string, Row>>();
  for (const table of replica.tables()) truth.set(table.table, await world.rows(table));
  replica.assertEquals((table) => truth.get(table.table) ?? new Map(), where);
}

async function taken(batches: AsyncIterator<Batch>, signal: AbortSignal): Promise<Batch> {
  const { value } = await batches.next();
  const batch = value as Batch;
  for await (const _ of batch.parts(signal));
  batch.end();
  return batch;
}
