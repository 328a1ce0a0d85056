/** How long-running processes end: asked, pressed, crashed, orphaned. The source role needs nothing but a file. */
import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import Database from "better-sqlite3";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { openSqliteInspector } from "../../connectors/sqlite/inspect/inspector.js";
import { openSqliteInstaller } from "../../connectors/sqlite/installer.js";
import { openEmbeddedLog } from "../../connectors/embedded-log/embedded-log.js";
import { topicSpecs } from "../../core/topics.js";
import { pipelineId, theGroup } from "../../core/vocabulary/ids.js";
import { Child, type ChildView } from "../../cli/supervisor/child.js";
import { systemClock } from "../../core/clock.js";
import { listenTo, program, start } from "./command.js";

let directory: string;
const settingsFile = (): string => join(directory, "tailrace.yaml");

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), "tailrace-run-"));
  const path = join(directory, "shop.db");
  const database = new Database(path);
  database.exec("PRAGMA journal_mode = WAL; CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT); INSERT INTO t VALUES (1, 'x')");
  database.close();
  writeFileSync(settingsFile(), "pipeline: shop\nsource: { kind: sqlite, path: ./shop.db }\nhttp: { listen: 127.0.0.1:0 }\n");
  using inspector = openSqliteInspector(path, { group: theGroup });
  const { tables } = inspector.catalog();
  using installer = openSqliteInstaller({ path, pipeline: pipelineId("shop"), group: theGroup });
  await installer.apply(tables, { setWal: false });
  await using log = await openEmbeddedLog({ path: join(directory, ".tailrace", "log.db") });
  await log.ensure(
    topicSpecs(
      "shop",
      tables.map(({ description }) => description.table),
    ),
    AbortSignal.timeout(10_000),
  );
});
afterEach(() => {
  rmSync(directory, { recursive: true, force: true });
});

describe("run source", () => {
  it("logs JSON lines on stderr, finishes at SIGTERM and exits 0", async () => {
    const { child, ended, says } = start(["run", "source", "-c", settingsFile()]);
    const text = await says("source.session");
    for (const line of text.trim().split("\n").slice(0, -1))
      expect(JSON.parse(line)).toMatchObject({ service: "source", pipeline: "shop" });
    child.kill("SIGTERM");
    expect(await ended).toMatchObject({ code: 0, signal: null, stdout: "" });
  });

  it("answers /status and /ready from its own port", async () => {
    const { child, ended, says } = start(["run", "source", "-c", settingsFile()]);
    const text = await says("source.session");
    const port = /"port":(\d+)/.exec(text)?.[1] ?? "";
    expect(await (await fetch(`http://127.0.0.1:${port}/status`)).json()).toMatchObject({
      service: "source",
      pipeline: "shop",
      state: "running",
    });
    expect((await fetch(`http://127.0.0.1:${port}/ready`)).status).toBe(200);
    expect(await (await fetch(`http://127.0.0.1:${port}/metrics`)).text()).toContain("tailrace_source_records_total");
    child.kill("SIGINT");
    expect((await ended).code).toBe(0);
  });

  it("stays with exit 6 and the reason when a person is needed", async () => {
    const other = join(directory, "other.yaml");
    writeFileSync(other, "pipeline: other\nsource: { kind: sqlite, path: ./shop.db }\nhttp: { listen: 127.0.0.1:0 }\n");
    const { ended } = start(["run", "source", "-c", other]);
    const { code, stderr } = await ended;
    expect([code, stderr]).toEqual([6, expect.stringContaining("source.other-pipeline")]);
  });
});

describe("a supervised role", () => {
  const clock = systemClock;
  const command: [string, ...string[]] = [process.execPath, program, "run"];

  /** The view once it is as wanted. */
  function watched(words: readonly string[]): {
    readonly child: Child;
    readonly seen: (wanted: (view: ChildView) => boolean) => Promise<ChildView>;
  } {
    const waiting: { readonly wanted: (view: ChildView) => boolean; readonly resolve: (view: ChildView) => void }[] = [];
    const child = new Child({
      role: "source",
      command: [...command, ...words] as [string, ...string[]],
      clock,
      onLine: () => {},
      onChange: (view) => {
        for (const one of waiting.filter(({ wanted }) => wanted(view))) one.resolve(view);
      },
    });
    return { child, seen: (wanted) => new Promise((resolve) => waiting.push({ wanted, resolve })) };
  }

  it("reports, is started again after SIGKILL, and ends when it is asked", async () => {
    const stop = new AbortController();
    const { child, seen } = watched(["-c", settingsFile()]);
    const first = seen(({ report }) => report?.status.state === "running");
    const running = child.run(stop.signal);
    const { pid } = await first;
    const second = seen(({ report, restarts }) => restarts === 1 && report?.status.state === "running");
    if (pid === null) expect.fail("a process that reports has a pid");
    process.kill(pid, "SIGKILL");
    const again = await second;
    expect(again).toMatchObject({ restarts: 1, lastExit: "killed by SIGKILL", state: "running" });
    stop.abort();
    expect(await running).toBe(0);
    expect(child.view()).toMatchObject({ state: "ended", pid: null });
  });

  it("is not started again when it needs a person, and its last report says why and where", async () => {
    const other = join(directory, "other.yaml");
    writeFileSync(other, "pipeline: other\nsource: { kind: sqlite, path: ./shop.db }\nhttp: { listen: 127.0.0.1:0 }\n");
    const { child } = watched(["-c", other]);
    expect(await child.run(new AbortController().signal)).toBe(6);
    expect(child.view()).toMatchObject({
      state: "stopped",
      restarts: 0,
      lastExit: "exit 6",
      report: { status: { state: "stopped", code: "source.other-pipeline", why: expect.stringMatching(/ \(.+=.+\)\. /) } },
    });
  });

  it("ends when its supervisor is killed", async () => {
    const script = `
      import { Child } from ${JSON.stringify(new URL("../../dist/cli/supervisor/child.js", import.meta.url).href)};
      import { systemClock } from ${JSON.stringify(new URL("../../dist/core/clock.js", import.meta.url).href)};
      const child = new Child({ role: "source", command: ${JSON.stringify([...command, "-c", settingsFile()])}, clock: systemClock,
        onLine: () => {}, onChange: ({ pid, report }) => { if (report?.status.state === "running") process.stderr.write("pid=" + pid + "\\n"); } });
      await child.run(new AbortController().signal);`;
    const file = join(directory, "supervisor.mjs");
    writeFileSync(file, script);
    const supervisor = spawn(process.execPath, [file], { stdio: ["ignore", "ignore", "pipe"] });
    const pid = Number(/pid=(\d+)/.exec(await listenTo(supervisor).says("pid="))?.[1]);
    supervisor.kill("SIGKILL");
    while (!hasEnded(pid)) await systemClock.delay(20, AbortSignal.timeout(30_000));
  });
});

/** Whether or not anybody has asked yet how: not every system's first process does so for orphans. */
function hasEnded(pid: number): boolean {
  try {
    return /\) [ZX] /.test(readFileSync(`/proc/${pid}/stat`, "utf8"));
  } catch {
    return true;
  }
}
