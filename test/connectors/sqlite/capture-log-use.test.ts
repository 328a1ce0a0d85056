/** The size of the capture log, measured on real files. */
import { describe, expect, test } from "vitest";
import { Follower } from "../../support/follower.js";
import { SourceFile } from "../../support/sqlite.js";

const ddl = "CREATE TABLE t (id INTEGER PRIMARY KEY, v)";

describe("the use of the capture log", () => {
  test("is nothing when nothing was written", async () => {
    await using file = await SourceFile.of(ddl);
    const source = await file.open();
    expect(source.captureLog()).toMatchObject({ oldest: 0, newest: 0, bytes: 0, ms: 0 });
    expect(source.captureLog()?.freeBytes).toBeGreaterThan(0);
  });

  test("is near the truth for rows of very different sizes, in a regular pattern", async () => {
    await using file = await SourceFile.of(ddl);
    const app = file.application();
    const insert = app.prepare("INSERT INTO t (v) VALUES (zeroblob(?))");
    app.transaction(() => {
      for (let i = 0; i < 3000; i++) insert.run(i % 4 === 0 ? 4000 : 10);
    })();
    const source = await file.open();
    const bytes = source.captureLog()?.bytes ?? 0;
    const truth = 3000 * (0.25 * 4000 + 0.75 * 10 + 30);
    expect(bytes).toBeGreaterThan(truth * 0.7);
    expect(bytes).toBeLessThan(truth * 1.3);
  });

  test("grows with the target away, and is small again once what the target has was forgotten", async () => {
    await using file = await SourceFile.of(ddl);
    const app = file.application();
    await using follower = new Follower(await file.open());
    await follower.catchUp(0);
    for (let i = 0; i < 200; i++) app.exec("INSERT INTO t (v) VALUES (zeroblob(1000))");
    await follower.catchUp(file.newestSeq());
    const large = follower.source.captureLog();
    expect(large?.bytes).toBeGreaterThan(190_000);
    expect(large?.ms).toBeGreaterThanOrEqual(0);
    await follower.source.prune(follower.position ?? expect.fail("nothing was read"));
    const small = follower.source.captureLog();
    // The row at the position stays as anchor.
    expect(small).toMatchObject({ oldest: 200, newest: 200, ms: 0 });
    expect(small?.bytes).toBeLessThan(2000);
  });

  test("can be asked of a log with as many columns as a table may have", async () => {
    const columns = Array.from({ length: 1_994 }, (_, i) => `c${i}`).join(", ");
    await using file = await SourceFile.of(`CREATE TABLE wide (id INTEGER PRIMARY KEY, ${columns})`);
    file.application().exec("INSERT INTO wide (id, c7) VALUES (1, 'x')");
    const source = await file.open();
    expect(source.captureLog()?.bytes).toBeGreaterThan(0);
  });
});

test("the lag does not count what was forgotten: it says an upper bound, and that the age is gone", async () => {
  await using file = await SourceFile.of(ddl);
  const app = file.application();
  await using follower = new Follower(await file.open());
  await follower.catchUp(0);
  app.exec("INSERT INTO t (v) VALUES (1)");
  await follower.catchUp(1);
  const applied = follower.position ?? expect.fail("nothing was read");
  for (let i = 0; i < 9; i++) app.exec("INSERT INTO t (v) VALUES (2)");
  await follower.catchUp(10);
  expect(follower.source.lag(applied)).toMatchObject({ changes: { kind: "known", value: 9 }, ms: { kind: "known" } });
  await follower.source.prune({ ...applied, order: 8 });
  expect(follower.source.lag(applied)).toMatchObject({
    changes: { kind: "known", value: 9 },
    ms: { kind: "unknown", why: "the source has forgotten rows that the target lacks" },
  });
});
