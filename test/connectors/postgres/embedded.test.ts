import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { mkdtemp, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import pg from "pg";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { removeEmbeddedPostgres, startEmbeddedPostgres } from "../../../connectors/postgres/embedded.js";
import { isAlive } from "../../../connectors/postgres/embedded-process.js";

describe("embedded PostgreSQL", () => {
  let directory: string;
  beforeEach(async () => {
    directory = join(await mkdtemp(join(tmpdir(), "tailrace-embedded-")), "pg");
  });
  afterEach(async () => {
    await removeEmbeddedPostgres(directory);
    await rm(join(directory, ".."), { recursive: true, force: true });
  });

  it("is shared by its users, stopped by the last one out, and keeps its data", async () => {
    const [first, second] = await Promise.all([startEmbeddedPostgres({ directory }), startEmbeddedPostgres({ directory })]);
    expect(second.pid).toBe(first.pid);
    await query(first.url.reveal(), "CREATE TABLE kept (n bigint)");
    await first.stop();
    await first.stop();
    expect(await query(second.url.reveal(), "SHOW wal_level")).toEqual([{ wal_level: "logical" }]);
    await second.stop();
    expect(isAlive(`${first.pid}:`)).toBe(false);

    const again = await startEmbeddedPostgres({ directory });
    expect(await query(again.url.reveal(), "SELECT count(*)::int AS n FROM kept")).toEqual([{ n: 0 }]);
    expect(await removeEmbeddedPostgres(directory)).toBe(false);
    await again.stop();
    expect(await removeEmbeddedPostgres(directory)).toBe(true);
    expect(existsSync(directory)).toBe(false);
  });

  it("asks for a password that only its owner can read", async () => {
    await using server = await startEmbeddedPostgres({ directory });
    const url = new URL(server.url.reveal());
    expect((await stat(join(directory, "password"))).mode & 0o777).toBe(0o600);
    url.password = "wrong";
    await expect(query(url.href, "SELECT 1")).rejects.toThrow(/password authentication failed/);
    expect(String(server.url)).toBe("***");
  });

  it("forgets a user and a lock holder that were killed", async () => {
    const dead = spawnSync("true").pid;
    mkdirSync(join(directory, "users"), { recursive: true });
    writeFileSync(join(directory, "users", "dead"), `${dead}:1`);
    writeFileSync(join(directory, "lock"), `${dead}:1`);
    const server = await startEmbeddedPostgres({ directory });
    await server.stop();
    expect(isAlive(`${server.pid}:`)).toBe(false);
    expect(readdirSync(join(directory, "users"))).toEqual([]);
  });

  it("starts again after the server was killed, with everything that was committed", async () => {
    await using server = await startEmbeddedPostgres({ directory });
    await query(server.url.reveal(), "CREATE TABLE kept (n bigint)");
    process.kill(server.pid, "SIGKILL");
    await expect.poll(() => isAlive(`${server.pid}:`)).toBe(false);
    await using again = await startEmbeddedPostgres({ directory });
    expect(again.pid).not.toBe(server.pid);
    expect(await query(again.url.reveal(), "SELECT count(*)::int AS n FROM kept")).toEqual([{ n: 0 }]);
  });

  // Skipped elsewhere: only Linux lists the processes of a server that has died.
  it.skipIf(process.platform !== "linux")("waits for processes of a killed server that take long to end", async () => {
    await using server = await startEmbeddedPostgres({ directory });
    const [checkpointer] = (await query(server.url.reveal(), "SELECT pid FROM pg_stat_activity WHERE backend_type = 'checkpointer'")) as {
      pid: number;
    }[];
    const pid = checkpointer?.pid ?? expect.fail("no checkpointer");
    // It does not notice that the server has died, and holds the server's memory, until it goes on.
    process.kill(pid, "SIGSTOP");
    process.kill(server.pid, "SIGKILL");
    await expect.poll(() => isAlive(`${server.pid}:`)).toBe(false);
    const starting = startEmbeddedPostgres({ directory });
    const log = join(directory, "server.log");
    try {
      // More often than a server is tried that ends for whatever other reason.
      await expect.poll(() => readFileSync(log, "utf8").split("still in use").length - 1, { timeout: 60_000 }).toBeGreaterThan(5);
    } finally {
      process.kill(pid, "SIGCONT");
    }
    await using again = await starting;
    expect(await query(again.url.reveal(), "SELECT 1 AS one")).toEqual([{ one: 1 }]);
  });

  it("outlives the process that started it when that one is killed, and is stopped by the next one out", async () => {
    const script = `import { startEmbeddedPostgres } from ${JSON.stringify(join(process.cwd(), "dist/connectors/postgres/embedded.js"))};
      const server = await startEmbeddedPostgres({ directory: ${JSON.stringify(directory)} });
      process.stdout.write(String(server.pid) + "\\n");
      setInterval(() => {}, 1_000);`;
    const starter = spawn(process.execPath, ["--input-type=module", "-e", script], { stdio: ["ignore", "pipe", "inherit"] });
    const [said] = (await once(starter.stdout, "data")) as [Buffer];
    starter.kill("SIGKILL");
    await once(starter, "exit");
    const server = await startEmbeddedPostgres({ directory });
    expect(server.pid).toBe(Number(said.toString()));
    expect(await query(server.url.reveal(), "SELECT 1 AS one")).toEqual([{ one: 1 }]);
    await server.stop();
    expect(isAlive(`${server.pid}:`)).toBe(false);
  });

  // Skipped unless root runs the tests: everybody else's server runs as themselves and reaches what they reach.
  it.skipIf(process.getuid?.() !== 0)("started by root below a directory that nobody can reach, puts the data where it can", async () => {
    chmodSync(join(directory, ".."), 0o700);
    await using server = await startEmbeddedPostgres({ directory });
    expect(await query(server.url.reveal(), "SELECT 1 AS one")).toEqual([{ one: 1 }]);
    expect(readFileSync(join(directory, "location"), "utf8")).toMatch(/^\/var\/lib\/tailrace\/[0-9a-f]{16}\n$/);

    // The directory is removed by hand while the server runs; whoever begins again there gets a new one.
    await query(server.url.reveal(), "CREATE TABLE old (n bigint)");
    await rm(directory, { recursive: true });
    await using again = await startEmbeddedPostgres({ directory });
    expect(isAlive(`${server.pid}:`)).toBe(false);
    expect(await query(again.url.reveal(), "SELECT to_regclass('old') AS old")).toEqual([{ old: null }]);
  });
});

async function query(url: string, sql: string): Promise<unknown[]> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    return (await client.query(sql)).rows as unknown[];
  } finally {
    await client.end();
  }
}
