import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { holdersOf } from "../../../connectors/duckdb/holders.js";
import { DuckDbApplication } from "../../support/duckdb.js";

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "tailrace-holders-"));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

test("a process that has the file open is named, and nobody once it is gone", async (context) => {
  if (process.platform !== "linux") return context.skip("this system does not list locks");
  const path = join(directory, "app.duckdb");
  expect(holdersOf(path)).toEqual([]);
  {
    await using application = await DuckDbApplication.start(path);
    expect(holdersOf(path)).toEqual([{ pid: application.child.pid, program: expect.stringMatching(/node/), writes: true }]);
    expect(holdersOf(join(directory, "other.duckdb"))).toEqual([]);
  }
  expect(holdersOf(path)).toEqual([]);
});
