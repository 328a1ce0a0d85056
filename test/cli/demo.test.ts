/** The demo ends by itself, with figures that were measured, and leaves nothing behind. */
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { answerOf, start, tailrace } from "./command.js";

/** Of the demos of these tests alone: nobody else's comes and goes here. */
let folder = "";
const env = () => ({ TMPDIR: folder });
const leftovers = (): string[] => readdirSync(folder).filter((name) => name.startsWith("tailrace-demo-"));

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "tailrace-demos-"));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe("the demo", () => {
  it("prints its figures as one JSON object and exits 0 when all is equal", { timeout: 240_000 }, async () => {
    const ended = await tailrace(["demo", "--seconds", "3", "--rows", "1000", "--json"], { env: env() });
    expect([ended.code, ended.stderr.includes("error")]).toEqual([0, false]);
    const answer = answerOf(ended);
    expect(answer).toMatchObject({
      apiVersion: "tailrace/v1",
      kind: "Demo",
      ok: true,
      halfTransactionsSeen: 0,
      tamperedRowsFound: 1,
      tamperedRowsRepaired: 1,
      tablesEqual: 5,
      tablesCompared: 5,
      directory: null,
    });
    expect(answer["cutover"]).toMatchObject({ ok: true, pauseMs: expect.any(Number), toolPauseMs: expect.any(Number) });
    expect(answer["rollback"]).toMatchObject({ ok: true, pauseMs: expect.any(Number), toolPauseMs: expect.any(Number) });
    expect(answer["transactionsAtSource"]).toBe(answer["transactionsAtTarget"]);
    for (const figure of [
      "snapshotRows",
      "snapshotRowsPerSecond",
      "commitsStreamed",
      "commitToVisibleP50Ms",
      "commitToVisibleP99Ms",
      "looks",
      "verifiedRows",
      "durationMs",
    ]) {
      expect([figure, Number(answer[figure]) > 0]).toEqual([figure, true]);
    }
    expect(leftovers()).toEqual([]);
  });

  // skipped unless TAILRACE_TEST_LONG=1: its parts are tested with DuckDB on their own; all of it takes a minute on a busy machine.
  it.runIf(process.env.TAILRACE_TEST_LONG === "1")(
    "shows a DuckDB inventory as well, up to the cutover",
    { timeout: 240_000 },
    async () => {
      const ended = await tailrace(["demo", "--source", "duckdb", "--seconds", "2", "--rows", "1000", "--json"], { env: env() });
      expect([ended.code, ended.stderr.includes("error")]).toEqual([0, false]);
      const answer = answerOf(ended);
      expect(answer).toMatchObject({
        ok: true,
        halfTransactionsSeen: 0,
        tamperedRowsFound: 1,
        tamperedRowsRepaired: 1,
        tablesEqual: 5,
        tablesCompared: 5,
        cutover: null,
        directory: null,
      });
      expect(answer["transactionsAtSource"]).toBe(answer["transactionsAtTarget"]);
      for (const figure of ["snapshotRows", "commitsStreamed", "looks", "verifiedRows"])
        expect([figure, Number(answer[figure]) > 0]).toEqual([figure, true]);
      expect(leftovers()).toEqual([]);
    },
  );

  it("takes everything away when it is interrupted", async () => {
    const { child, ended, says } = start(["demo", "--rows", "1000"], { env: env() });
    await says("tailrace apply");
    child.kill("SIGINT");
    expect((await ended).code).toBe(130);
    expect(leftovers()).toEqual([]);
  });
});
