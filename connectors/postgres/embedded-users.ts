/**
 * Who uses the embedded server, and who may start or stop it.
 *
 * Promises: one process at a time holds the lock, and a holder or user that was killed is noticed by pid and birth, so nobody waits for the
 * dead. Relies on link(2) and rename(2) being atomic. A SIGKILL leaves a lock or an entry of a dead process behind; the next one in removes it.
 */
import { randomBytes } from "node:crypto";
import { linkSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { systemClock } from "../../core/clock.js";
import { TailraceError } from "../../core/errors.js";
import { isAlive, ownIdentity } from "./embedded-process.js";

const lockPatienceMs = 180_000;
/** Breaking a lock takes microseconds; a breaker that is this old was killed in between. */
const breakerAgeMs = 5_000;
const uninterrupted = new AbortController().signal;

export async function withLock<T>(directory: string, work: () => Promise<T>): Promise<T> {
  const lock = join(directory, "lock");
  const deadline = performance.now() + lockPatienceMs;
  while (!tryLink(lock)) {
    if (!breakDeadLock(lock)) await systemClock.delay(50, uninterrupted);
    if (performance.now() > deadline) {
      throw new TailraceError("embedded.postgres-failed", { what: "Another process holds the embedded server's lock", where: { lock } });
    }
  }
  try {
    return await work();
  } finally {
    rmSync(lock, { force: true });
  }
}

/** Adds this process to the users; the answer is the entry's name, for `leave`. */
export function enter(directory: string): string {
  const users = join(directory, "users");
  mkdirSync(users, { recursive: true });
  const name = `${process.pid}-${randomBytes(6).toString("hex")}`;
  writeFileSync(join(users, name), ownIdentity());
  return name;
}

/** Removes the entry, and those of dead processes. True: nobody is left. Legal under the lock only. */
export function leave(directory: string, name: string): boolean {
  const users = join(directory, "users");
  rmSync(join(users, name), { force: true });
  const living = readdirSync(users).filter((entry) => {
    if (isAlive(read(join(users, entry)) ?? "")) return true;
    rmSync(join(users, entry), { force: true });
    return false;
  });
  return living.length === 0;
}

/** A lock file appears with its content or not at all: written aside, then linked into place. */
function tryLink(lock: string): boolean {
  const aside = `${lock}.${process.pid}.${randomBytes(4).toString("hex")}`;
  try {
    mkdirSync(dirname(lock), { recursive: true });
    writeFileSync(aside, ownIdentity());
    linkSync(aside, lock);
    return true;
  } catch (thrown) {
    // Missing: the last user has just removed the directory, and we come again.
    const { code } = thrown as NodeJS.ErrnoException;
    if (code === "EEXIST" || code === "ENOENT") return false;
    throw thrown;
  } finally {
    rmSync(aside, { force: true });
  }
}

// Looking and removing are two steps; the second lock keeps a slow breaker from removing the lock of somebody who came in meanwhile.
function breakDeadLock(lock: string): boolean {
  const holder = read(lock);
  if (holder === null || isAlive(holder)) return holder === null;
  const breaker = `${lock}.break`;
  if (!tryLink(breaker)) {
    const age = ageMs(breaker);
    if (age !== null && age > breakerAgeMs) rmSync(breaker, { force: true });
    return false;
  }
  try {
    const still = read(lock);
    if (still !== null && !isAlive(still)) rmSync(lock, { force: true });
    return true;
  } finally {
    rmSync(breaker, { force: true });
  }
}

function read(path: string): string | null {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return null;
  }
}

function ageMs(path: string): number | null {
  const found = statSync(path, { throwIfNoEntry: false });
  return found === undefined ? null : Date.now() - found.mtimeMs;
}
