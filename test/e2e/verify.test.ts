/** Verification by the command alone, while the application writes: equal, tampered with, found, repaired. The JSON shapes are pinned here. */
import { expect, it } from "vitest";
import { answerOf, shapeOf } from "../cli/command.js";
import { until } from "../support/oracles/until.js";
import { Operator, shopSchema } from "./operator.js";

// The application leaves this table alone: nothing but a repair mends what is wrong in it.
const archive =
  "CREATE TABLE archive (id INTEGER PRIMARY KEY, total REAL, note TEXT); INSERT INTO archive SELECT id, total, note FROM orders;";

it("proves equality under writes, finds what somebody changed at the target, and mends it", { timeout: 480_000 }, async () => {
  await using operator = await Operator.make({ ddl: `${shopSchema}${archive}` });
  await operator.answer("apply");
  operator.run();
  await operator.caughtUp();
  const application = await operator.application(300);

  const equal = await operator.answer("verify", "run");
  expect(equal).toMatchObject({ kind: "VerifyRun", outcome: "equal", different: 0, unsettled: 0, samples: [], next: [] });
  expect(shapeOf(equal)).toEqual({
    apiVersion: "string",
    kind: "string",
    pipeline: "string",
    run: "number",
    outcome: "string",
    position: "string",
    rows: "number",
    rowsPerSecond: "number",
    different: "number",
    unsettled: "number",
    ms: "number",
    tables: [
      {
        table: "string",
        state: "string",
        outcome: "string",
        rows: "number",
        chunks: "number",
        equalChunks: "number",
        missing: "number",
        extra: "number",
        changed: "number",
        unsettled: "number",
        ms: "number",
      },
    ],
    offsets: {
      source: "string",
      log: "string",
      target: "string",
      tables: [
        {
          table: "string",
          waiting: { inserts: "number", updates: "number", deletes: "number" },
          taken: "number",
          folded: "number",
          applied: "number",
          filtered: "number",
          quarantined: "number",
          replayed: "number",
        },
      ],
      findings: [],
    },
    samples: [],
    next: [],
  });

  await operator.database.query("UPDATE archive SET total = total + 0.01 WHERE id = 1999");
  await operator.database.query("UPDATE archive SET note = 'secret' WHERE id = 1998");
  await operator.database.query("DELETE FROM archive WHERE id = 1997");
  await operator.database.query("INSERT INTO archive VALUES (-1, 0, 'nobody')");
  const ended = await operator.tailrace("verify", "run", "--json");
  expect(ended.code).toBe(4);
  const different = answerOf(ended) as { samples: { key: string[]; kind: string; columns: string[]; values: unknown[] }[] };
  expect(different).toMatchObject({ outcome: "different", different: 4, next: ["tailrace verify show", "tailrace verify repair"] });
  expect(different.samples.map(({ key, kind, columns }) => `${key.join()} ${kind} ${columns.join()}`).toSorted()).toEqual([
    "-1 extra ",
    "1997 missing ",
    "1998 changed note",
    "1999 changed total",
  ]);
  expect(shapeOf(different.samples.find(({ kind }) => kind === "changed"))).toEqual({
    table: "string",
    key: ["string"],
    kind: "string",
    columns: ["string"],
    why: "null",
    state: "string",
    values: [{ column: "string", source: "string", target: "string" }],
  });
  expect(JSON.stringify(different)).not.toContain("secret");

  const shown = await operator.tailrace("verify", "show", "--table", "archive");
  expect(shown.code).toBe(4);
  expect(shown.stdout).toMatch(/differs +archive \[1998\] in note\n +note: source •••  target •••/);
  const bare = await operator.tailrace("verify", "show", "--show-values");
  expect(bare.stdout).toMatch(/note: source note 1998  target secret/);
  const status = await operator.tailrace("verify", "status", "--json");
  expect([status.code, shapeOf(answerOf(status))]).toEqual([
    4,
    expect.objectContaining({ newest: expect.anything() as unknown, proof: expect.anything() as unknown, openMismatches: "number" }),
  ]);

  expect(await operator.answer("verify", "repair")).toMatchObject({
    kind: "VerifyRepair",
    asked: 4,
    equal: 4,
    different: 0,
    waiting: 0,
    why: null,
    tables: [{ table: "archive", asked: 4, equal: 4, different: 0, waiting: 0 }],
    next: ["tailrace verify run"],
  });
  expect(await operator.answer("verify", "repair")).toMatchObject({ asked: 0 });
  expect((await operator.tailrace("verify", "show")).code).toBe(0);
  expect(await operator.answer("verify", "run")).toMatchObject({ outcome: "equal" });
  await application.stop();
  await operator.caughtUp();
  expect(await operator.different()).toEqual([]);
});

it("refuses what it cannot mean", async () => {
  await using operator = await Operator.make();
  expect(await operator.refusal("verify", "nothing")).toMatchObject({ exit: 2, code: "usage.refused" });
  expect(await operator.refusal("verify", "run")).toMatchObject({ exit: 7, code: "plan.missing" });
  await operator.answer("apply");
  expect(await operator.refusal("verify", "run", "--table", "order")).toMatchObject({
    exit: 2,
    message: expect.stringMatching(/did you mean 'orders'/) as string,
  });
});

it("compares in the background, finds by itself, and goes on after it was killed", async () => {
  await using operator = await Operator.make({ ddl: `${shopSchema}${archive}` });
  operator.settings({ verify: { rowsPerSecond: 100_000 } });
  await operator.answer("apply");
  operator.run();
  await operator.caughtUp();
  const application = await operator.application(100);
  expect(await operator.answer("wait", "verified", "--timeout", "120s")).toMatchObject({ condition: "verified", held: true });
  const status = (await operator.answer("status")) as {
    verification?: { provenAt: string; mismatches: number };
    services: { service: string }[];
  };
  expect(status.verification).toMatchObject({ mismatches: 0, provenAt: expect.stringMatching(/^1:\d+:\d+$/) as string });
  expect(status.services.map(({ service }) => service)).toEqual(["source", "sink", "verify", "reverse"]);
  // What a sweep has proven is on record before it is counted.
  await expect.poll(() => operator.metric("verify", "tailrace_verify_sweeps_total"), { timeout: 120_000 }).toBeGreaterThan(0);
  await expect
    .poll(() => operator.metric("verify", "tailrace_verify_oldest_range_seconds"), { timeout: 120_000 })
    .toBeGreaterThanOrEqual(0);

  // A row that the application changes is compared as it changes: what happened to it at the target is found without a sweep.
  const listed = await operator.answer("status");
  expect(listed["needsPerson"]).toEqual([]);
  const killed = await fetch(`http://127.0.0.1:${operator.port}/status`).then(
    (answer) => answer.json() as Promise<{ processes: { role: string; pid: number }[] }>,
  );
  const kill = (role: string): boolean =>
    process.kill(killed.processes.find((one) => one.role === role)?.pid ?? expect.fail(`${role} does not run`), "SIGKILL");
  kill("verify");
  await operator.database.query("UPDATE archive SET note = 'wrong' WHERE id = 77");
  // The sink dies while ranges are read: rows that it had not applied are waited for, none is called different.
  const run = operator.answer("verify", "run", "--table", "orders");
  kill("sink");
  expect(await run).toMatchObject({ outcome: "equal" });
  await until(
    async () => ((await operator.answer("status"))["needsPerson"] as string[]).some((line) => line.startsWith("1 rows differ")),
    120_000,
    () => "the difference was not found",
  );
  await until(
    async () => {
      const late = await operator.tailrace("wait", "verified", "--timeout", "3s");
      expect(late.code).toBe(5);
      return late.stdout.includes("1 rows differ");
    },
    60_000,
    () => "wait does not say what it waits for",
  );
  await operator.answer("verify", "repair");
  await application.stop();
  expect(await operator.answer("wait", "verified", "--timeout", "120s")).toMatchObject({ held: true });
}, 480_000);
