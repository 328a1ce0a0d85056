/** Verification by the command alone, while the application writes: equal, tampered with, found, repaired. The JSON shapes are pinned here. */
import { expect, it } from "vitest";
import { answerOf, shapeOf } from "../cli/command.js";
import { Operator, shopSchema } from "./operator.js";

it("proves equality under writes, finds what somebody changed at the target, and mends it", async () => {
  // The application leaves this table alone: nothing but a repair mends what is wrong in it.
  const archive =
    "CREATE TABLE archive (id INTEGER PRIMARY KEY, total REAL, note TEXT); INSERT INTO archive SELECT id, total, note FROM orders;";
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
