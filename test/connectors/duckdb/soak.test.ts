/**
 * Copies of a file that a hostile application writes to. TAILRACE_DUCKDB_COPIES says how many; the long run takes 300.
 */
import { type ChildProcess, fork, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { LiveCopier, type PrivateCopy } from "../../../connectors/duckdb/copy/live-copy.js";
import { removeDatabase } from "../../../connectors/duckdb/copy/private-file.js";
import { scanWal } from "../../../connectors/duckdb/copy/wal-scan.js";
import { systemClock } from "../../../core/clock.js";

const copies = Number(process.env.TAILRACE_DUCKDB_COPIES ?? 30);
const never = new AbortController().signal;

let folder = "";
let children: ChildProcess[] = [];
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "tailrace-soak-"));
  mkdirSync(join(folder, "copies"));
});
afterEach(async () => {
  for (const child of children) {
    if (child.exitCode !== null || child.signalCode !== null) continue;
    child.kill("SIGKILL");
    await once(child, "exit");
  }
  children = [];
  rmSync(folder, { recursive: true });
});

async function application(checkpointDelayMs = 0): Promise<ChildProcess> {
  const words = ["test/support/duckdb-application.mjs", join(folder, "app.duckdb"), "100000", String(checkpointDelayMs)];
  const child = spawn(process.execPath, words, { stdio: ["ignore", "pipe", "inherit"] });
  children.push(child);
  await once(child.stdout, "data");
  return child;
}

interface Seen {
  readonly done: readonly number[];
  readonly wrong: readonly string[];
}
function looker(): (path: string) => Promise<Seen> {
  const child = fork("test/support/duckdb-look.mjs");
  children.push(child);
  return async (path) => {
    const answer = once(child, "message");
    child.send(path);
    return ((await answer) as [Seen])[0];
  };
}

/** What the application had committed, read before a copy begins: no copy may be older. */
function committed(): readonly number[] {
  const bytes = readFileSync(join(folder, "app.duckdb.seq"));
  return [0, 8, 16].map((at) => Number(bytes.readBigInt64LE(at)));
}

function checkpointBegun(log: string): boolean {
  if (!existsSync(log)) return false;
  try {
    return scanWal(readFileSync(log), 0, log).checkpointBegun;
  } catch {
    // Being written or just removed.
    return false;
  }
}

const copier = (bytesPerSecond: number | null = null): LiveCopier =>
  new LiveCopier({ path: join(folder, "app.duckdb"), directory: join(folder, "copies"), clock: systemClock, bytesPerSecond });

test(`${copies} copies of a file under a hostile writer: none inconsistent, none older than what was committed`, {
  timeout: 1_200_000,
}, async () => {
  await application();
  const look = looker();
  // A throttled copy is what a much larger file would be like.
  const [quick, slow] = [copier(), copier(60 << 20)];
  const tiers: Record<string, number> = {};
  let last: readonly number[] = [0, 0, 0];
  let before: PrivateCopy | null = null;
  let attempts = 0;
  for (let n = 0; n < copies; ) {
    const floor = committed();
    const copy: PrivateCopy | null = await (n % 4 === 3 ? slow : quick).take(n % 10 === 9 ? null : before, never);
    if (copy === null) continue;
    n++;
    tiers[copy.tier] = (tiers[copy.tier] ?? 0) + 1;
    attempts += copy.attempts;
    const seen = await look(copy.path);
    expect(seen.wrong, `copy ${n} (${copy.tier})`).toEqual([]);
    seen.done.forEach((count, i) =>
      expect(count, `sequence ${i} of copy ${n}`).toBeGreaterThanOrEqual(Math.max(floor[i] ?? 0, last[i] ?? 0)),
    );
    last = seen.done;
    if (before !== null) removeDatabase(before.path);
    before = copy;
  }
  console.log(`${copies} copies: ${JSON.stringify(tiers)}, ${attempts} attempts`);
});

test("a writer killed in the middle of checkpoints leaves a file whose copy is what DuckDB itself recovers", {
  timeout: 300_000,
}, async () => {
  const kills = copies >= 300 ? 10 : 3;
  for (let n = 0; n < kills; n++) {
    const child = await application(400);
    const path = join(folder, "app.duckdb");
    await expect.poll(() => committed()[0] ?? 0, { timeout: 30_000 }).toBeGreaterThan(20);
    // Half of them at the moment when a checkpoint has begun.
    if (n % 2 === 0) await expect.poll(() => checkpointBegun(`${path}.wal`), { timeout: 60_000, interval: 5 }).toBe(true);
    child.kill("SIGKILL");
    await once(child, "exit");
    const floor = committed();
    const copy = await copier().take(null, never);
    if (copy === null) expect.fail("a first copy is always one");
    const look = looker();
    const ofCopy = await look(copy.path);
    expect(ofCopy.wrong).toEqual([]);
    ofCopy.done.forEach((count, i) => expect(count).toBeGreaterThanOrEqual(floor[i] ?? 0));
    expect(await look(path)).toEqual(ofCopy);
  }
});

test("nothing but ours is ever written beside the source", async () => {
  await application();
  const allowed = new Set(["app.duckdb", "app.duckdb.wal", "app.duckdb.wal.checkpoint", "app.duckdb.seq", "copies"]);
  for (let n = 0; n < 3; n++) await copier().take(null, never);
  expect(readdirSync(folder).filter((name) => !allowed.has(name))).toEqual([]);
});
