/** Files, logs and servers that move, go back in time, or go away, and processes that come twice. */
import { copyFileSync, mkdirSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { until } from "../support/oracles/until.js";
import { freePorts, portsOfPipeline } from "../support/ports.js";
import { Operator } from "./operator.js";

const more = (n: number): string =>
  `INSERT INTO orders (customer, note) VALUES (1, 'more ${n}'); UPDATE orders SET note = 'changed ${n}' WHERE id = ${n}; DELETE FROM orders WHERE id = ${n + 100}`;

describe("places that change", () => {
  it("converge: a file that was moved, restored while the pipeline was down, replaced while it ran", { timeout: 480_000 }, async () => {
    await using operator = await Operator.make();
    await operator.answer("apply");
    let running = operator.run();
    await operator.caughtUp();
    await running.stop();
    mkdirSync(join(operator.folder, "data"));
    const moved = join(operator.folder, "data", "shop.db");
    operator.sql("PRAGMA wal_checkpoint(TRUNCATE)");
    renameSync(operator.file, moved);
    const missing = operator.run("source");
    expect((await missing.ended).code).toBe(6);
    operator.file = moved;
    operator.settings({ source: { kind: "sqlite", path: "./data/shop.db" } });
    operator.sql(more(1));
    running = operator.run();
    await operator.caughtUp();
    expect(await operator.different()).toEqual([]);

    const yesterday = join(operator.folder, "yesterday.db");
    operator.sql(`VACUUM INTO '${yesterday}'`);
    operator.sql(more(2));
    await operator.caughtUp();
    await running.stop();
    const restore = (): void => {
      for (const end of ["", "-wal", "-shm"]) rmSync(`${moved}${end}`, { force: true });
      copyFileSync(yesterday, moved);
      operator.sql("PRAGMA journal_mode = WAL; INSERT INTO orders (customer, note) VALUES (2, 'after the restore')");
    };
    restore();
    expect((await operator.status()).behind).toMatchObject({ changes: null, why: expect.stringContaining("another past") as unknown });
    running = operator.run();
    await operator.caughtUp();
    expect(await operator.different()).toEqual([]);

    operator.sql(more(3));
    await operator.caughtUp();
    restore();
    await operator.caughtUp();
    expect(await operator.different()).toEqual([]);
    await running.stop();
  });

  it("stop with a code and a remedy that works: a log that is gone, a target that is gone", { timeout: 480_000 }, async () => {
    await using operator = await Operator.make();
    const anew = async (): Promise<void> => {
      await operator.answer("destroy", "--tables", "--yes");
      await operator.answer("apply");
      const running = operator.run();
      await operator.caughtUp();
      expect(await operator.different()).toEqual([]);
      // One that still has everything would fill an empty target, and no sink would stop.
      await operator.logHasForgotten();
      await running.stop();
    };
    await anew();
    for (const end of ["", "-wal", "-shm"]) rmSync(join(operator.folder, ".tailrace", `log.db${end}`), { force: true });
    expect((await operator.run("sink").ended).stderr).toContain("log.topic-missing");
    await operator.answer("apply");
    const sink = operator.run("sink");
    const source = operator.run("source");
    expect(await sink.ended).toMatchObject({ code: 6, stderr: expect.stringContaining("log.identity") as unknown });
    expect((await operator.tailrace("explain", "log.identity")).stdout).toContain("tailrace destroy --tables --yes");
    await source.stop();
    await anew();
    await operator.database.query("DROP SCHEMA tailrace CASCADE; DROP TABLE orders, customers");
    expect(await operator.run("sink").ended).toMatchObject({ code: 6, stderr: expect.stringContaining("plan.missing") as unknown });
    await operator.answer("apply");
    expect(await operator.run("sink").ended).toMatchObject({ code: 6, stderr: expect.stringContaining("log.gap") as unknown });
    await anew();
  });
});

describe("processes that come twice", () => {
  it("stand by with the right words, and take over when the first are killed", { timeout: 480_000 }, async () => {
    await using operator = await Operator.make();
    await operator.answer("apply");
    const first = operator.run();
    await operator.caughtUp();
    expect(await operator.run().ended).toMatchObject({ code: 6, stderr: expect.stringContaining("http.port") as unknown });
    const [base = 0] = await freePorts(portsOfPipeline);
    operator.settings({ http: { listen: `127.0.0.1:${base}` } }, "second.yaml");
    const second = operator.run("-c", "second.yaml");
    const said = async (offset: number): Promise<{ readonly state: string; readonly code: string | null; readonly why: string | null }> =>
      (await (await fetch(`http://127.0.0.1:${base + offset}/status`)).json()) as never;
    const standsBy = (offset: number) => async (): Promise<boolean> =>
      (await said(offset).catch(() => ({ state: "none" }))).state === "standing-by";
    await until(standsBy(1), 120_000, () => "the second source does not stand by");
    await until(standsBy(2), 120_000, () => "the second sink does not stand by");
    expect(await said(1)).toMatchObject({ code: "source.locked", why: expect.stringContaining("Stop the other one") as unknown });
    expect(await said(2)).toMatchObject({ code: "target.standing-by", why: expect.stringContaining("Stop the other sink") as unknown });
    first.child.kill("SIGKILL");
    await first.ended;
    // Services of the first end once they have heard that nobody supervises them, and may still apply what is written until then.
    const takenOver = await operator.tailrace("wait", "state=running", "-c", "second.yaml", "--timeout", "120s");
    expect(takenOver.code, takenOver.stdout).toBe(0);
    operator.sql(more(5));
    await operator.caughtUp();
    expect(await operator.different()).toEqual([]);
    await second.stop();
  });
});
