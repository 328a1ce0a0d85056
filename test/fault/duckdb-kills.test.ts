/**
 * Source, sink, engine, a verifier that reads and the application killed again and again while money moves: at the target the sum is never off, and at the end both sides hold
 * the same. TAILRACE_DUCKDB_KILLS says how often; the long run takes 100.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, openSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { stringify } from "yaml";
import { program, tailrace } from "../cli/command.js";
import { DuckDbApplication } from "../support/duckdb.js";
import { until } from "../support/oracles/until.js";
import { freePorts, portsOfPipeline } from "../support/ports.js";
import { freshDatabase, type TestDatabase } from "../support/postgres.js";

const kills = Number(process.env.TAILRACE_DUCKDB_KILLS ?? 5);
const accounts = 2_000;
type Name = "source" | "sink" | "verify" | "application";

let folder = "";
let database: TestDatabase;
const running = new Map<Name, ChildProcess>();

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), "tailrace-duckdb-kills-"));
  database = await freshDatabase();
  const [port = 0] = await freePorts(portsOfPipeline);
  writeFileSync(
    join(folder, "tailrace.yaml"),
    stringify({
      pipeline: "bank",
      source: { kind: "duckdb", path: "./bank.duckdb", memoryMb: 300, pollMs: 20 },
      target: { url: database.url },
      http: { listen: `127.0.0.1:${port}` },
    }),
  );
});
afterEach(async () => {
  for (const name of running.keys()) await kill(name);
  await database[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true, maxRetries: 5 });
});

function begin(name: Name): ChildProcess {
  const words =
    name === "application"
      ? ["test/support/duckdb-bank.mjs", join(folder, "bank.duckdb"), String(accounts)]
      : [program, "run", name, "-c", join(folder, "tailrace.yaml")];
  const child = spawn(process.execPath, words, { stdio: ["ignore", "pipe", openSync(join(folder, `${name}.log`), "a")] });
  child.stdout?.resume();
  running.set(name, child);
  return child;
}

async function kill(name: Name, signal: NodeJS.Signals = "SIGKILL"): Promise<void> {
  const child = running.get(name);
  running.delete(name);
  if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
  child.kill(signal);
  await once(child, "exit");
}

/** The process that compares is the only child of the source's. */
function enginePid(): number | null {
  const parent = running.get("source")?.pid ?? 0;
  for (const name of readdirSync("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    try {
      if (readFileSync(`/proc/${name}/stat`, "utf8").split(") ").at(-1)?.split(" ")[1] === String(parent)) return Number(name);
    } catch {
      // It ended while we looked.
    }
  }
  return null;
}

const said = (name: Name): string => readFileSync(join(folder, `${name}.log`), "utf8").slice(-3_000);

const applied = async (): Promise<string> => {
  const rows = await database.query<{ at: string; phase: string | null }>(
    "SELECT history || ':' || ord AS at, phase FROM tailrace.pipeline WHERE direction = 'forward'",
  );
  return rows[0]?.phase === "streaming" ? rows[0].at : "";
};

async function sumAtTarget(): Promise<string> {
  const rows = await database.query<{ total: string }>("SELECT sum(balance)::text AS total FROM account");
  return rows[0]?.total ?? "";
}

test(`${kills} kills of source, engine, sink, verifier and application: the sum is never off and nothing is lost`, {
  timeout: 1_800_000,
}, async () => {
  const [line] = (await once(begin("application").stdout ?? process.stdin, "data")) as [Buffer];
  expect(String(line)).toContain("ready");
  const ended = await tailrace(["apply", "-c", join(folder, "tailrace.yaml")], { cwd: folder });
  expect(ended.code, ended.stderr).toBe(0);
  begin("source");
  begin("sink");
  await expect.poll(applied, { timeout: 120_000 }).not.toBe("");
  begin("verify");
  await expect.poll(viewsHeld, { timeout: 60_000 }).toBeGreaterThan(0);
  const total = `${accounts * 100}.00`;
  const victims = ["verify", "source", "engine", "sink", "application"] as const;
  for (let n = 0; n < kills; n++) {
    const before = await applied();
    const victim = victims[n % victims.length] ?? "source";
    if (victim === "engine") {
      const pid = enginePid();
      if (pid !== null) process.kill(pid, "SIGKILL");
    } else {
      await kill(victim);
      begin(victim);
    }
    // Until something new has come through, every look sees the whole sum.
    const moved = async (): Promise<boolean> => {
      expect(await sumAtTarget()).toBe(total);
      const now = await applied();
      return now !== "" && now !== before;
    };
    await until(moved, 120_000, () => `nothing comes after kill ${n} of ${victim}: ${said("source")}${said("sink")}`);
  }
  await kill("application", "SIGTERM");
  const waited = await tailrace(["wait", "caught-up", "--timeout", "120s", "-c", join(folder, "tailrace.yaml")], { cwd: folder });
  expect(waited.code, waited.stderr).toBe(0);
  await expectEqual();
  expect(await sumAtTarget()).toBe(total);
  const verified = await tailrace(["verify", "run", "-c", join(folder, "tailrace.yaml")], { cwd: folder });
  expect(verified.code, verified.stdout + verified.stderr).toBe(0);
  // What killed verifiers held is let go by the source's next start.
  await kill("verify");
  await kill("source");
  begin("source");
  await expect.poll(viewsHeld, { timeout: 60_000 }).toBe(0);
});

/** Directories of verifiers, dead or alive, that hold a copy. */
function viewsHeld(): number {
  const state = join(folder, ".tailrace");
  return readdirSync(state)
    .filter((name) => name.startsWith("duckdb-"))
    .flatMap((name) => readdirSync(join(state, name, "views"))).length;
}

/** Read on both sides without any code of the product's; texts as both engines print them. */
async function expectEqual(): Promise<void> {
  await using application = await DuckDbApplication.start(join(folder, "bank.duckdb"));
  const tables = {
    account: "id::VARCHAR || ' ' || balance::VARCHAR || ' ' || epoch_us(changed)::VARCHAR",
    entry: "id::VARCHAR || ' ' || debit || ' ' || credit || ' ' || amount::VARCHAR || ' ' || note",
    note: "coalesce(text, '') || ' ' || n",
  };
  for (const [table, line] of Object.entries(tables)) {
    const there = await application.run(
      `SELECT count(*)::VARCHAR || ' ' || md5(string_agg(line, chr(10) ORDER BY line)) AS all_of_it FROM (SELECT ${line} AS line FROM ${table})`,
    );
    const atTarget = line.replace("epoch_us(changed)", "(extract(epoch FROM changed) * 1000000)::bigint");
    const here = await database.query<{ all_of_it: string }>(
      `SELECT count(*)::text || ' ' || md5(string_agg(line, chr(10) ORDER BY line COLLATE "C")) AS all_of_it FROM (SELECT ${atTarget.replaceAll("VARCHAR", "text")} AS line FROM ${table}) AS t`,
    );
    expect(here[0]?.all_of_it, table).toBe(there[0]?.[0]);
  }
}
