import { expect, test } from "vitest";
import { Follower } from "../../support/follower.js";
import { hostileTables, hostileTransaction, seeded, youngTriggers } from "../../support/hostile-workload.js";
import { SourceFile } from "../../support/sqlite.js";

/** Everything small, so that snapshots, large batches and cut chunks happen all the time. */
const small = { whole: { rows: 6, bytes: 4_000 }, page: { rows: 4, bytes: 1_000 } };
const smallChunks = (rows: number) => ({
  chunks: { chunk: { rows, bytes: 2_000 }, batch: { rows: rows * 2, bytes: 8_000 }, hasTime: () => () => true },
});

for (const seed of [11, 12, 13, 14]) {
  test(`a replica equals the tables at every batch of a hostile application, restarts included (seed ${seed})`, async () => {
    await using file = await SourceFile.of(hostileTables);
    const writers = [file.application(), file.application({ fresh: true, recursiveTriggers: true })];
    writers[0]?.exec(youngTriggers);
    const r = seeded(seed);
    const options = { limits: { ...small, ...smallChunks(1 + r(5)) } };
    let source = await file.open(options);
    await using follower = new Follower(source);
    using requests = file.requests();
    const busy = (transactions: number): void => {
      for (let i = 0; i < transactions; i++) hostileTransaction(writers[r(2)] ?? expect.fail(), r);
    };
    busy(300);
    let floor = 1;
    for (let round = 0; round < 150; round++) {
      busy(1 + r(6));
      if (r(12) === 0) await requests.reread(r(3) === 0 ? null : ["u" as never], `ask-${round}` as never);
      if (r(10) === 0) await requests.touch("u" as never, [[BigInt(r(60))], [BigInt(r(60))]]);
      // There is always something new, whatever was rolled back.
      await requests.marker(`m${round}` as never);
      await follower.next();
      follower.replica.assertEquals((t) => file.rows(t), `at batch ${round} (seed ${seed})`);
      const restart = r(10);
      if (restart === 0) await follower.restart(Math.max(floor, follower.cuts.length - r(4)));
      if (restart === 1) {
        await follower.restart();
        await source[Symbol.asyncDispose]();
        source = await file.open(options);
        await follower.restart(Math.max(floor, follower.cuts.length - r(2)), source);
      }
      // What the target has applied is never asked for again, so it may be forgotten.
      if (r(9) === 0) {
        floor = Math.max(floor, follower.cuts.length - 10);
        await source.prune(follower.cuts[floor - 1]?.position ?? expect.fail());
      }
    }
    busy(5);
    await follower.catchUp(file.newestSeq());
    follower.replica.assertEquals((t) => file.rows(t), `at the end (seed ${seed})`);
    expect(follower.replica.isComplete()).toBe(true);
    expect(follower.position?.history).toBe(1);
  });
}
