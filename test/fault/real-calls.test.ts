/** Calls that fail in a pipeline of real parts (SQLite, the embedded log, PostgreSQL), and a log that loses what only it had. */
import { copyFileSync, existsSync, rmSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { type FailureKind, failureOf } from "../support/simulation/failures.js";
import { RealPipeline, type Running } from "../support/simulation/real-pipeline.js";
import { until } from "../support/oracles/until.js";

const ddl = `CREATE TABLE parent (id INTEGER PRIMARY KEY, code TEXT UNIQUE, n INTEGER);
  CREATE TABLE child (id INTEGER PRIMARY KEY, parent INTEGER REFERENCES parent (id), v TEXT);
  INSERT INTO parent VALUES (1, 'a', 1), (2, 'b', 2); INSERT INTO child VALUES (1, 1, 'x'), (2, 2, 'y');`;

const long = process.env["TAILRACE_TEST_LONG"] === "1";
const rounds = 6;
const failuresOfARound = 4;
const ways = [
  { role: "source", kind: "retry", always: true },
  { role: "sink", kind: "undecided after its effect", always: true },
  { role: "source", kind: "undecided after its effect", always: false },
  { role: "sink", kind: "retry", always: false },
] as const;

describe("a pipeline of real parts", () => {
  for (const { role, kind, always } of ways) {
    // Skipped but for TAILRACE_TEST_LONG=1: each takes long.
    it.skipIf(!long && !always)(`survives that calls of its ${role} fail one after the other (${kind})`, { timeout: 240_000 }, async () => {
      await using pipeline = await RealPipeline.make(ddl);
      const failing = new Failing(kind);
      const source = await pipeline.start("source", role === "source" ? failing.plan : undefined);
      const sink = await pipeline.start("sink", role === "sink" ? failing.plan : undefined);
      const app = pipeline.file.application();
      for (let round = 0; round < rounds; round++) {
        app.exec(`BEGIN; INSERT INTO parent VALUES (${round + 10}, 'p${round}', 0); INSERT INTO child VALUES (${round + 10}, ${round + 10}, 'new');
        UPDATE parent SET n = n + 1 WHERE id = 1; UPDATE child SET parent = 2 WHERE parent = ${round + 9}; DELETE FROM parent WHERE id = ${round + 9} AND id > 9; COMMIT`);
        failing.arm();
        // Both sides may be equal before as many calls were made: services that have nothing to do make more of them.
        await until(
          () => failing.isSpent,
          60_000,
          () => `too few calls were made: ${failing.hit.join()}\n${pipeline.said.slice(-5).join("\n")}`,
        );
        await pipeline.equal(`round ${round}, failing ${failing.hit.at(-1)}`);
      }
      for (const running of [sink, source]) {
        expect([running.ended, running.error]).toEqual([false, null]);
        await running.stop();
        expect(running.ports.leaks()).toEqual([]);
      }
      expect(failing.hit.length).toBe(rounds * failuresOfARound);
      expect(await pipeline.different()).toEqual([]);
    });
  }

  it("stops with the code of a call that wants a person, and goes on when it is started again", { timeout: 120_000 }, async () => {
    await using pipeline = await RealPipeline.make(ddl);
    const stops = (name: string): Parameters<RealPipeline["start"]>[1] => {
      let done = false;
      return (call) => (done || call.name !== name ? null : ((done = true), failureOf("stop", call)));
    };
    const stopped = async (running: Running, code: string): Promise<void> => {
      await until(
        async () => running.ended,
        30_000,
        () => `it does not stop: ${pipeline.said.slice(-5).join("\n")}`,
      );
      expect(running.error?.code).toBe(code);
      expect(running.ports.leaks()).toEqual([]);
    };
    await stopped(await pipeline.start("source", stops("source.acknowledged")), "source.log-damaged");
    await stopped(await pipeline.start("source", stops("log.bounds")), "log.privileges");
    await pipeline.start("source");
    await stopped(await pipeline.start("sink", stops("target-session.apply")), "target.privileges");
    await stopped(await pipeline.start("sink", stops("codec.decode")), "registry.refused");
    await pipeline.start("sink");
    await pipeline.equal("after all stops");
  });
});

describe("a log that loses records which the source has forgotten (retain: acknowledged)", () => {
  it("has every table read again under a new history, and nothing is lost", { timeout: 120_000 }, async () => {
    await using pipeline = await RealPipeline.make(ddl, { retain: "acknowledged", maxBytes: 0 });
    let source = await pipeline.start("source");
    const sink = await pipeline.start("sink");
    await pipeline.equal("the first copy");
    await sink.stop();
    const app = pipeline.file.application();
    const rows = (): number => Number(app.prepare("SELECT count(*) FROM _cdc_log").pluck().get());
    await source.stop();
    const saved = `${pipeline.logPath}.saved`;
    for (const suffix of ["", "-wal"]) if (existsSync(pipeline.logPath + suffix)) copyFileSync(pipeline.logPath + suffix, saved + suffix);
    source = await pipeline.start("source");
    for (let i = 0; i < 50; i++) app.exec(`INSERT INTO parent VALUES (${100 + i}, 'q${i}', ${i}); DELETE FROM child WHERE id = 2`);
    // Only the log has them now.
    await until(
      async () => rows() < 5,
      30_000,
      () => `${rows()} rows are still in the capture log`,
    );
    expect(source.status().details["captureLog"]).toMatchObject({ retain: "acknowledged" });
    await until(
      async () => (source.status().details["captureLog"] as { forgotten: boolean } | null)?.forgotten === true,
      30_000,
      () => JSON.stringify(source.status().details),
    );
    await source.stop();
    for (const suffix of ["", "-wal", "-shm"]) rmSync(pipeline.logPath + suffix, { force: true });
    for (const suffix of ["", "-wal"]) if (existsSync(saved + suffix)) copyFileSync(saved + suffix, pipeline.logPath + suffix);
    source = await pipeline.start("source");
    await pipeline.start("sink");
    await pipeline.equal("after the loss");
    const [place] = await pipeline.database.query<{ history: string }>("SELECT history FROM tailrace.pipeline");
    expect(Number(place?.history)).toBe(2);
  });

  it("is filled again without a new history by default (retain: applied)", { timeout: 120_000 }, async () => {
    await using pipeline = await RealPipeline.make(ddl);
    let source = await pipeline.start("source");
    const sink = await pipeline.start("sink");
    await pipeline.equal("the first copy");
    await sink.stop();
    await source.stop();
    const saved = `${pipeline.logPath}.saved`;
    for (const suffix of ["", "-wal"]) if (existsSync(pipeline.logPath + suffix)) copyFileSync(pipeline.logPath + suffix, saved + suffix);
    source = await pipeline.start("source");
    const app = pipeline.file.application();
    for (let i = 0; i < 50; i++) app.exec(`INSERT INTO parent VALUES (${100 + i}, 'q${i}', ${i}); DELETE FROM child WHERE id = 2`);
    await until(
      async () => source.status().position?.split(":")[1] === String(pipeline.file.newestSeq()),
      30_000,
      () => "not relayed",
    );
    await source.stop();
    for (const suffix of ["", "-wal", "-shm"]) rmSync(pipeline.logPath + suffix, { force: true });
    for (const suffix of ["", "-wal"]) if (existsSync(saved + suffix)) copyFileSync(saved + suffix, pipeline.logPath + suffix);
    await pipeline.start("source");
    await pipeline.start("sink");
    await pipeline.equal("after the loss");
    const [place] = await pipeline.database.query<{ history: string }>("SELECT history FROM tailrace.pipeline");
    expect(Number(place?.history)).toBe(1);
  });
});

/** While armed, every third call fails until a few have. */
class Failing {
  readonly hit: string[] = [];
  #left = 0;

  constructor(private readonly kind: FailureKind) {}

  arm(): void {
    this.#left = failuresOfARound;
  }

  /** As many have failed as were to. */
  get isSpent(): boolean {
    return this.#left === 0;
  }

  readonly plan: Parameters<RealPipeline["start"]>[1] = (call) => {
    if (this.#left === 0 || call.n % 3 !== 0) return null;
    this.#left -= 1;
    this.hit.push(call.name);
    return failureOf(this.kind, call);
  };
}
