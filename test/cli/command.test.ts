/** The command line itself: words, exit codes, streams. No database is needed. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { laterVerbs } from "../../cli/later-verbs.js";
import { answerOf, start, tailrace } from "./command.js";

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "tailrace-command-"));
});
afterEach(() => {
  rmSync(directory, { recursive: true, force: true });
});

describe("the command", () => {
  it("explains itself and exits 0", async () => {
    const { code, stdout } = await tailrace(["--help"]);
    expect(code).toBe(0);
    for (const verb of [
      "demo",
      "init",
      "doctor",
      "plan",
      "apply",
      "destroy",
      "run",
      "status",
      "wait",
      "snapshot",
      "pause",
      "resume",
      "config",
      "explain",
    ]) {
      expect(stdout).toMatch(new RegExp(`^  ${verb}\\b`, "m"));
    }
    const nothing = await tailrace([]);
    expect([nothing.code, nothing.stdout]).toEqual([2, ""]);
    expect(nothing.stderr).toContain("Usage: tailrace");
  });

  it("answers version as one JSON object with a pinned shape", async () => {
    const ended = await tailrace(["version", "--json"]);
    expect(ended.code).toBe(0);
    expect(ended.stderr).toBe("");
    expect(answerOf(ended)).toEqual({
      apiVersion: "tailrace/v1",
      kind: "Version",
      version: expect.stringMatching(/^\d+\.\d+\.\d+/) as unknown,
      node: process.versions.node,
      platform: `${process.platform}-${process.arch}`,
      next: [],
    });
  });

  it("takes global flags anywhere", async () => {
    const [before, after, short] = await Promise.all([
      tailrace(["--json", "explain", "log.gap"]),
      tailrace(["explain", "log.gap", "-o", "json"]),
      tailrace(["explain", "-o", "json", "log.gap"]),
    ]);
    expect(before.stdout).toBe(after.stdout);
    expect(short.stdout).toBe(after.stdout);
    expect(answerOf(after)).toMatchObject({ kind: "ErrorCode", code: "log.gap", verdict: "stop", retryable: false });
  });

  it("refuses what it does not know with exit 2, on stderr, with what comes nearest", async () => {
    for (const [words, hint] of [
      [["plann"], /Did you mean plan\?/],
      [["status", "--wach"], /--wach/],
      [["explain", "log.gip"], /did you mean 'log.gap'\?/],
      [["run", "console"], /comes with a later version/],
      [["run", "sorce"], /source, sink, verify, reverse and all/],
      [["wait", "verifed"], /knows caught-up, verified and/],
      [["wait", "state=happy"], /caught-up, verified and state=/],
      [["wait", "caught-up", "--timeout", "soon"], /duration such as/],
      [["demo", "--seconds", "0"], /--seconds must be a whole number from 1/],
      [["status", "-o", "xml"], /Allowed choices are table, json/],
      [["snapshot"], /does not exist|table names, or --all/],
      [["completion", "tcsh"], /bash, zsh and fish/],
    ] as const) {
      const { code, stdout, stderr } = await tailrace(words, { cwd: directory });
      expect([words, code, stdout]).toEqual([words, 2, ""]);
      expect(stderr).toMatch(hint);
      expect(stderr).toMatch(/code: +\w/);
    }
  });

  it("says what comes later, and does nothing", async () => {
    for (const [verb] of laterVerbs) {
      const { code, stderr } = await tailrace([verb, "run", "--whatever", "--json"]);
      expect([verb, code]).toEqual([verb, 2]);
      expect(JSON.parse(stderr)).toMatchObject({
        code: "not-yet",
        retryable: false,
        message: expect.stringContaining("comes with a later version") as unknown,
      });
    }
  });

  it("prints errors as one JSON object on stderr when JSON is asked for, whatever went wrong", async () => {
    writeFileSync(join(directory, "tailrace.yaml"), "pipeline: shop\nsource: { kind: sqlite, path: a.db }\nnope: 1\n");
    const settings = await tailrace(["status", "--json"], { cwd: directory });
    expect([settings.code, settings.stdout]).toEqual([2, ""]);
    expect(JSON.parse(settings.stderr)).toEqual({
      code: "settings.refused",
      message: "nope is not a setting; known here: pipeline, source, log, target, tables, groups, errors, snapshot, verify, http, routes",
      where: { file: join(directory, "tailrace.yaml"), line: 3 },
      remedy: "Mend the lines named and run the command again",
      retryable: false,
      faults: [{ path: "nope", line: 3, what: expect.any(String) as unknown }],
    });
    const usage = await tailrace(["plann", "-o", "json"]);
    expect(JSON.parse(usage.stderr)).toMatchObject({ code: "usage.refused" });
  });

  it("names the missing settings file and the way to make one", async () => {
    const { code, stderr } = await tailrace(["doctor"], { cwd: directory });
    expect(code).toBe(2);
    expect(stderr).toContain(join(directory, "tailrace.yaml"));
    expect(stderr).toContain("tailrace init --source FILE");
  });

  it("ends quietly when the reader of stdout goes away", async () => {
    const { child, ended } = start(["explain"]);
    child.stdout?.destroy();
    const { stderr } = await ended.catch(() => ({ stderr: "" }));
    expect(stderr).toBe("");
    expect(child.signalCode).toBeNull();
  });

  it("writes completion that the shell accepts", async () => {
    const { stdout } = await tailrace(["completion", "bash"]);
    expect(stdout).toContain("complete -o default -F _tailrace tailrace");
    expect(stdout).toContain("snapshot)");
    expect(stdout).toContain("rollback)");
    expect(stdout).not.toContain("console");
    expect((await tailrace(["completion", "zsh"])).stdout).toContain("#compdef tailrace");
    expect((await tailrace(["completion", "fish"])).stdout).toContain("complete -c tailrace");
  });
});
