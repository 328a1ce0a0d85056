import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { ApplyContext } from "../../../connectors/postgres/apply-context.js";
import { applyWindow } from "../../../connectors/postgres/apply-window.js";
import { connectTarget } from "../../../connectors/postgres/connect.js";
import { Connection } from "../../../connectors/postgres/connection.js";
import { parseConnectionUrl } from "../../../connectors/postgres/connection-url.js";
import { readState } from "../../../connectors/postgres/state.js";
import { loadTables } from "../../../connectors/postgres/target-table.js";
import { type Clock, systemClock } from "../../../core/clock.js";
import type { Target } from "../../../core/contracts/target.js";
import { TailraceError } from "../../../core/errors.js";
import { type OwnerEpoch, theGroup } from "../../../core/vocabulary/ids.js";
import {
  childPlan,
  childRow,
  childTable,
  contractPipeline,
  contractPlan,
  never,
  nothingStale,
  Owner,
  parentPlan,
  parentRow,
  parentTable,
} from "../../contracts/target-fixtures.js";
import { until } from "../../support/oracles/until.js";
import { freshDatabase, type TestDatabase } from "../../support/postgres.js";
import { changesOf, created, deleted, updated, windowOf } from "../../support/synthetic-window.js";
import { readRows } from "./context.js";
import { losingProxy } from "./proxy.js";

/** Of an owner whose process is stopped when the test says so: from then on it never beats. One that never did would be ended while it is looked at. */
function stoppable(): { readonly clock: Clock; readonly stop: () => void } {
  let isStopped = false;
  const forEver = (signal: AbortSignal): Promise<never> =>
    new Promise((_, reject) => {
      signal.addEventListener("abort", () => reject(signal.reason as Error), { once: true });
    });
  const delay: Clock["delay"] = async (ms, signal) => {
    await systemClock.delay(ms, signal);
    if (isStopped && ms === 500) await forEver(signal);
  };
  return {
    clock: { ...systemClock, delay },
    stop: () => {
      isStopped = true;
    },
  };
}

function gate(): { readonly promise: Promise<void>; readonly resolve: () => void } {
  let resolve = (): void => {};
  const promise = new Promise<void>((done) => {
    resolve = done;
  });
  return { promise, resolve };
}

describe("fencing", () => {
  let database: TestDatabase;
  let target: Target;
  beforeEach(async () => {
    database = await freshDatabase();
    target = await connectTarget({ url: database.url, pipeline: contractPipeline }, never);
    await target.prepare(contractPlan, nothingStale, never);
  });
  afterEach(async () => {
    await database[Symbol.asyncDispose]();
  });
  const one = () => changesOf(parentTable, created(1, [1n], parentRow(1)));

  it("an owner whose epoch was raised behind its back writes nothing, small or streamed", async () => {
    await using zombie = await Owner.of(target);
    await database.query("UPDATE tailrace.pipeline SET owner_epoch = owner_epoch + 1");
    await expect(zombie.apply(one())).rejects.toMatchObject({ code: "target.fenced" });
    const many = Array.from({ length: 25 }, (_, p) =>
      changesOf(
        parentTable,
        ...Array.from({ length: 1_000 }, (_row, i) => created(p * 1_000 + i + 1, [BigInt(p * 1_000 + i)], parentRow(p * 1_000 + i))),
      ),
    );
    await expect(zombie.apply(...many)).rejects.toMatchObject({ code: "target.fenced" });
    await expect(zombie.session.finish(never)).rejects.toMatchObject({ code: "target.fenced" });
    expect(await readRows(database, parentPlan)).toEqual([]);
  });

  it("an owner whose direction was switched off writes nothing", async () => {
    await using zombie = await Owner.of(target);
    await database.query("UPDATE tailrace.pipeline SET active = false");
    await expect(zombie.apply(one())).rejects.toMatchObject({ code: "cutover.switched" });
    await expect(Owner.of(target)).rejects.toMatchObject({ code: "target.standing-by" });
  });

  it("ends a silent owner that holds the fence's row in an open transaction, and goes on where it was", async () => {
    const { clock, stop } = stoppable();
    const asleep = await connectTarget({ url: database.url, pipeline: contractPipeline, clock }, never);
    const zombie = await Owner.of(asleep);
    const stalled = gate();
    const reached = gate();
    const parts = Array.from({ length: 25 }, (_, p) =>
      changesOf(
        parentTable,
        ...Array.from({ length: 1_000 }, (_row, i) => created(p * 1_000 + i + 1, [BigInt(p * 1_000 + i)], parentRow(p * 1_000 + i))),
      ),
    );
    const window = zombie.window({
      parts,
      onPart: async (number) => {
        if (number !== 24) return;
        reached.resolve();
        await stalled.promise;
      },
    });
    const stalling = zombie.session.apply(window, never).catch((thrown: unknown) => thrown);
    await reached.promise;
    stop();
    // The server may still be writing what it was sent; other tests have sessions of their own on it.
    const holding = async (): Promise<boolean> => {
      const text = `SELECT count(*)::int AS n FROM pg_stat_activity
        WHERE state = 'idle in transaction' AND application_name LIKE 'tailrace/%' AND datname = current_database()`;
      return (await database.query<{ n: number }>(text))[0]?.n === 1;
    };
    await until(holding, 30_000, () => "no session of the silent owner holds a transaction");

    await using successor = await Owner.of(target, 1_500);
    await successor.apply(one());
    stalled.resolve();
    expect(await stalling).toMatchObject({ code: "target.unavailable" });
    expect(await readRows(database, parentPlan)).toEqual([["1", "p1"]]);
    expect(successor.session.epoch).toBeGreaterThan(zombie.session.epoch);
    await zombie[Symbol.asyncDispose]();
  });

  it("two writers with the same epoch racing: each step is taken by exactly one of them", async () => {
    const settings = parseConnectionUrl(database.url);
    const context = async (): Promise<ApplyContext & AsyncDisposable> => {
      const options = { applicationName: "tailrace/racer" };
      const pipelined = await Connection.open(settings, { ...options, pipelined: true });
      const plain = await Connection.open(settings, { ...options, pipelined: false });
      const tables = await loadTables(plain, contractPlan.tables);
      return {
        place: { pipeline: contractPipeline, group: theGroup, direction: "forward" },
        epoch: 0 as OwnerEpoch,
        follows: false,
        tables: new Map(tables.map((table) => [table.plan.source, table])),
        former: new Set(),
        pipelined,
        plain,
        [Symbol.asyncDispose]: async () => {
          await pipelined[Symbol.asyncDispose]();
          await plain[Symbol.asyncDispose]();
        },
      };
    };
    await using first = await context();
    await using second = await context();
    const last = 60;
    const race = async (racer: ApplyContext): Promise<number> => {
      let won = 0;
      for (;;) {
        const before = (await readState(racer.plain, racer.place))?.applied ?? null;
        const step = (before?.position.order ?? 0) + 1;
        if (step > last) return won;
        const window = windowOf({ before, parts: [changesOf(parentTable, created(step, [BigInt(step)], parentRow(step)))] });
        try {
          await applyWindow(racer, { window, staged: null }, never);
          won += 1;
        } catch (thrown) {
          expect(thrown).toMatchObject({ code: "target.applied-backwards" });
        }
      }
    };
    const wins = await Promise.all([race(first), race(second)]);
    expect(wins[0] + wins[1]).toBe(last);
    expect(await readRows(database, parentPlan)).toHaveLength(last);
    expect((await target.totals(theGroup, never)).get(parentTable.table)?.applied).toBe(last);
  });

  it("does not end sessions of others that were given an old pid", async () => {
    await (await Owner.of(target))[Symbol.asyncDispose]();
    await database.query("UPDATE tailrace.pipeline SET backend_pids = ARRAY[pg_backend_pid()]");
    await using owner = await Owner.of(target);
    await owner.apply(one());
    expect(await database.query("SELECT 1 AS alive")).toEqual([{ alive: 1 }]);
  });

  it("the server itself ends the lock of an owner that does not beat", async () => {
    const { clock, stop } = stoppable();
    const asleep = await connectTarget({ url: database.url, pipeline: contractPipeline, clock }, never);
    const zombie = await Owner.of(asleep);
    const locks = () =>
      database.query(
        "SELECT FROM pg_locks WHERE locktype = 'advisory' AND database = (SELECT oid FROM pg_database WHERE datname = current_database())",
      );
    expect(await locks()).toHaveLength(1);
    stop();
    await expect.poll(locks, { timeout: 30_000, interval: 200 }).toHaveLength(0);
    await expect(zombie.apply(one())).rejects.toMatchObject({ code: "target.unavailable" });
    await zombie[Symbol.asyncDispose]();
  });

  it("an owner that lost its lock's session says so before it applies", async () => {
    const owner = await Owner.of(target);
    await database.query(
      "SELECT pg_terminate_backend(pid, 5000) FROM pg_locks WHERE locktype = 'advisory' AND database = (SELECT oid FROM pg_database WHERE datname = current_database())",
    );
    await expect
      .poll(() =>
        owner.apply(one()).then(
          () => "applied",
          (e: unknown) => (e instanceof TailraceError ? e.code : e),
        ),
      )
      .toBe("target.unavailable");
    await owner[Symbol.asyncDispose]();
  });
});

describe("sessions that end", () => {
  let database: TestDatabase;
  beforeEach(async () => {
    database = await freshDatabase();
    const target = await connectTarget({ url: database.url, pipeline: contractPipeline }, never);
    await target.prepare(contractPlan, nothingStale, never);
    await using owner = await Owner.of(target);
    await owner.apply(
      changesOf(parentTable, created(1, [1n], parentRow(1)), created(2, [2n], parentRow(2))),
      changesOf(childTable, created(3, [1n], childRow(1, 1))),
    );
    await database.query(
      `CREATE FUNCTION die() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); PERFORM pg_sleep(0); RETURN NULL; END $$`,
    );
  });
  afterEach(async () => {
    await database[Symbol.asyncDispose]();
  });
  const parts = () => [
    changesOf(parentTable, updated(4, [1n], parentRow(1, "new")), deleted(5, [2n])),
    changesOf(childTable, updated(6, [1n], childRow(1, 1, "new"))),
  ];
  const state = async () => ({
    parents: (await readRows(database, parentPlan)).map((row) => row.join()),
    children: (await readRows(database, childPlan)).map((row) => row.join()),
    position: (await database.query<{ ord: string }>("SELECT ord FROM tailrace.pipeline"))[0]?.ord,
  });
  const before = { parents: ["1,p1", "2,p2"], children: ["1,1,c1"], position: "3" };
  const after = { parents: ["1,new"], children: ["1,1,new"], position: "6" };

  it.each([
    ["the fence", "AFTER UPDATE ON tailrace.pipeline"],
    ["the first upsert", "AFTER INSERT OR UPDATE ON parent"],
    ["the second upsert", "AFTER INSERT OR UPDATE ON child"],
    ["the delete", "AFTER DELETE ON parent"],
    ["the counts", "AFTER UPDATE ON tailrace.pipeline_table"],
  ])("in %s leave nothing, and the next session goes on", async (_, when) => {
    const target = await connectTarget({ url: database.url, pipeline: contractPipeline }, never);
    const killed = await Owner.of(target);
    await database.query(`CREATE TRIGGER die ${when} FOR EACH STATEMENT EXECUTE FUNCTION die()`);
    // An older server may end the session without a last word: then COMMIT, sent in the same round trip, is undecided.
    await expect(killed.apply(...parts())).rejects.toMatchObject({ code: expect.stringMatching(/^target\.(unavailable|undecided)$/) });
    await killed[Symbol.asyncDispose]();
    expect(await state()).toEqual(before);
    await database.query(`DROP TRIGGER die ON ${when.split(" ON ")[1] ?? ""}`);
    await using next = await Owner.of(target);
    await next.apply(...parts());
    expect(await state()).toEqual(after);
  });

  it("in COMMIT leave it undecided, and the next session finds out", async () => {
    await database.query(
      "CREATE CONSTRAINT TRIGGER die AFTER DELETE ON parent DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION die()",
    );
    const target = await connectTarget({ url: database.url, pipeline: contractPipeline }, never);
    const killed = await Owner.of(target);
    await expect(killed.apply(...parts())).rejects.toMatchObject({ code: "target.undecided" });
    await killed[Symbol.asyncDispose]();
    await database.query("DROP TRIGGER die ON parent");
    await using next = await Owner.of(target);
    expect(next.session.applied?.position.order).toBe(3);
    await next.apply(...parts());
    expect(await state()).toEqual(after);
  });

  it.each([
    ["the answer to COMMIT", "server", after],
    ["COMMIT itself", "client", before],
  ] as const)("by losing %s leave it undecided, and the next session finds out", async (_, from, found) => {
    await using proxy = await losingProxy(database.url);
    const target = await connectTarget({ url: proxy.url, pipeline: contractPipeline }, never);
    const cut = await Owner.of(target);
    proxy.lose({ from, bytes: Buffer.from("COMMIT\0") });
    await expect(cut.apply(...parts())).rejects.toMatchObject({ code: "target.undecided" });
    proxy.lose(null);
    await cut[Symbol.asyncDispose]();
    await using next = await Owner.of(target);
    expect(await state()).toEqual(found);
    expect(next.session.applied?.position.order).toBe(Number(found.position));
  });

  it("by losing the answer to COMMIT of a streamed window leave it undecided as well", async () => {
    await using proxy = await losingProxy(database.url);
    const target = await connectTarget({ url: proxy.url, pipeline: contractPipeline }, never);
    const cut = await Owner.of(target);
    const many = Array.from({ length: 21 }, (_, p) =>
      changesOf(
        parentTable,
        ...Array.from({ length: 1_000 }, (_row, i) => created(p * 1_000 + i + 4, [BigInt(p * 1_000 + i)], parentRow(p * 1_000 + i))),
      ),
    );
    proxy.lose({ from: "server", bytes: Buffer.from("COMMIT\0") });
    await expect(cut.apply(...many)).rejects.toMatchObject({ code: "target.undecided" });
    proxy.lose(null);
    await cut[Symbol.asyncDispose]();
    await using next = await Owner.of(target);
    expect(next.session.applied?.position.order).toBe(21_003);
    expect(await readRows(database, parentPlan)).toHaveLength(21_000);
  });
});
