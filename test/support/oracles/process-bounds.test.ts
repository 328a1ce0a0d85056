/** What a process holds is told apart from what it has open for a moment, however busy the machine. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it } from "vitest";
import { descriptors } from "./process-bounds.js";

/** Opens a hundred modules and closes them, again and again, as a loader does. */
const loader = `
  const { openSync, closeSync } = require("node:fs");
  process.stdout.write("ready");
  for (;;) {
    const open = Array.from({ length: 100 }, () => openSync(process.argv[1], "r"));
    for (const fd of open) closeSync(fd);
  }
`;

it("does not count modules that a loader opens and closes while it counts", async () => {
  const folder = mkdtempSync(join(tmpdir(), "tailrace-bounds-"));
  const module = join(folder, "module.js");
  writeFileSync(module, "");
  const child = spawn(process.execPath, ["-e", loader, module], { stdio: ["ignore", "pipe", "ignore"] });
  try {
    await once(child.stdout, "data");
    const counted = Array.from({ length: 300 }, () => descriptors(child.pid ?? 0) ?? 0);
    expect(Math.max(...counted)).toBeLessThan(50);
    expect(Math.min(...counted)).toBeGreaterThan(0);
  } finally {
    child.kill("SIGKILL");
    rmSync(folder, { recursive: true, force: true });
  }
});
