/** A process that goes round in circles is ended; one that waits for its disk is not, since the next one would wait as well. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { expect, it } from "vitest";

const watcher = pathToFileURL(resolve("dist/cli/host/loop-watch.js")).href;

async function watched(deed: string): Promise<{ readonly signal: string | null; readonly stdout: string; readonly stderr: string }> {
  const code = `
    import { watchLoop } from ${JSON.stringify(watcher)};
    const watch = watchLoop("source", 1_000);
    setTimeout(() => { ${deed}; process.stdout.write("goes on"); watch.stop(); }, 200);
  `;
  const child = spawn(process.execPath, ["--input-type=module", "-e", code], { stdio: ["ignore", "pipe", "pipe"] });
  const said = { stdout: "", stderr: "" };
  child.stdout.on("data", (text: Buffer) => (said.stdout += text.toString()));
  child.stderr.on("data", (text: Buffer) => (said.stderr += text.toString()));
  await once(child, "close");
  return { ...said, signal: child.signalCode };
}

it("ends a process whose loop works and does not turn", async () => {
  const { signal, stdout, stderr } = await watched("for (;;) {}");
  expect({ signal, stdout }).toEqual({ signal: "SIGKILL", stdout: "" });
  expect(stderr).toContain("process.stuck");
});

it("lets a process live that only waits, as for a disk that others keep busy", async () => {
  const waiting = "Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 4_000)";
  expect(await watched(waiting)).toEqual({ signal: null, stdout: "goes on", stderr: "" });
});
