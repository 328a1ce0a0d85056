/**
 * Ports for who must know them before anybody listens there: a settings file, a broker's properties, a server that comes back where it was.
 *
 * Promises: in all of our test runs on this machine no port is given twice while its run lives, and the system gives none of them to a connection or to a
 * server that asks for any port, because they lie below those it hands out. A port that is only looked for (`listen(0)`, then closed) promises
 * neither: somebody else has it by the time a broker has started.
 */
import { closeSync, mkdirSync, openSync, readdirSync, readFileSync, rmSync, writeSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { isAlive } from "./is-alive.js";

const first = 10_000;
// Linux hands out ports from 32,768 on.
const end = 32_000;
// Somebody else's claims could not be read or removed; their ports are found to be taken.
const claims = join(tmpdir(), `tailrace-test-ports-${process.getuid?.() ?? "any"}`);

/** In a row: for the supervisor and its roles. */
export const portsOfPipeline = 6;

/** So many, in a row. */
export async function freePorts(count: number): Promise<readonly number[]> {
  mkdirSync(claims, { recursive: true });
  const places = end - first - count;
  const from = Math.floor(Math.random() * places);
  for (let tried = 0; tried < places; tried++) {
    const base = first + ((from + tried) % places);
    const ports = Array.from({ length: count }, (_, i) => base + i);
    if (!claim(ports)) continue;
    if ((await Promise.all(ports.map(isFree))).every(Boolean)) return ports;
  }
  throw new Error(`no ${count} ports in a row are free: see ${claims}`);
}

export async function freePort(): Promise<number> {
  const [port = 0] = await freePorts(1);
  return port;
}

/** Forgets what this run was given, or, at the beginning of one, what runs were given that were killed. */
export function releasePorts(ofWhom: "mine" | "gone"): void {
  mkdirSync(claims, { recursive: true });
  for (const name of readdirSync(claims)) {
    const path = join(claims, name);
    const by = ownerOf(path);
    if (by !== null && (ofWhom === "mine" ? by === owner() : !isAlive(by))) rmSync(path, { force: true });
  }
}

/** Of all or of none. A port that somebody outside listens at stays claimed: nobody need look at it again. */
function claim(ports: readonly number[]): boolean {
  const taken: string[] = [];
  for (const port of ports) {
    const path = join(claims, String(port));
    try {
      const file = openSync(path, "wx");
      writeSync(file, String(owner()));
      closeSync(file);
      taken.push(path);
    } catch (thrown) {
      if ((thrown as NodeJS.ErrnoException).code !== "EEXIST") throw thrown;
      for (const mine of taken) rmSync(mine);
      return false;
    }
  }
  return true;
}

const owner = (): number => Number(process.env["TAILRACE_TEST_OWNER"] ?? process.pid);

/** Null: just being written, or gone. */
function ownerOf(path: string): number | null {
  try {
    return Number(readFileSync(path, "utf8")) || null;
  } catch {
    return null;
  }
}

const isFree = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const server = createServer();
    server.once("error", () => resolve(false));
    server.listen(port, "127.0.0.1", () => server.close(() => resolve(true)));
  });
