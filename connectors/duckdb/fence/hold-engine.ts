/**
 * Holds the file, and moves it. Each move is one rename of a name that names something before and after it: a crash in between leaves the file in its place,
 * or the tombstone in it and the file aside. The file has no log beside it while it is held, so there is one thing to move.
 */
import { closeSync, existsSync, fsyncSync, linkSync, openSync, renameSync, rmSync, statSync, writeSync } from "node:fs";
import { randomUUID } from "node:crypto";
import { dirname } from "node:path";
import { TailraceError } from "../../../core/errors.js";
import { quoteText } from "../duck-table.js";
import { Database } from "../engine/database.js";
import type { Hold } from "./hold.js";
import { asideName } from "./tombstone.js";

export class HoldEngine implements Hold {
  #database: Database | null = null;
  #held: string | null = null;
  #lease: NodeJS.Timeout | null = null;

  async open({ memoryMb }: { readonly memoryMb: number }): Promise<void> {
    this.#database = await Database.open(":memory:", { memoryMb, threads: 2, spillDirectory: "" });
  }

  async take({ path, leaseMs }: { readonly path: string; readonly leaseMs: number }): Promise<void> {
    if (this.#held === path) return this.#extend(leaseMs);
    await this.letGo();
    if (!existsSync(path)) throw new TailraceError("source.missing", { what: "The file is not where it lay", where: { path } });
    await this.#opened().run(`ATTACH ${quoteText(path)} AS held`);
    this.#held = path;
    this.#extend(leaseMs);
    await this.#opened().run("CHECKPOINT held");
    if (statSync(`${path}.wal`, { throwIfNoEntry: false }) === undefined) return;
    await this.letGo();
    throw new TailraceError("source.busy", { what: "DuckDB's log beside the file does not go away", where: { path } });
  }

  renew({ leaseMs }: { readonly leaseMs: number }): Promise<boolean> {
    if (this.#held === null) return Promise.resolve(false);
    this.#extend(leaseMs);
    return Promise.resolve(true);
  }

  async putAside({ real, tombstone }: { readonly real: string; readonly tombstone: string }): Promise<boolean> {
    if (this.#held === null) return false;
    const aside = asideName(real);
    makeWay(aside, real);
    linkSync(real, aside);
    const early = `${aside}.new`;
    rmSync(early, { force: true });
    writeWhole(early, tombstone, statSync(real).mode & 0o777);
    renameSync(early, real);
    sync(dirname(real));
    await this.letGo();
    return true;
  }

  async bringBack({ real }: { readonly real: string }): Promise<boolean> {
    if (this.#held !== asideName(real)) return false;
    renameSync(this.#held, real);
    sync(dirname(real));
    await this.letGo();
    return true;
  }

  async letGo(): Promise<void> {
    if (this.#lease !== null) clearTimeout(this.#lease);
    this.#lease = null;
    if (this.#held === null) return;
    this.#held = null;
    await this.#opened().run("DETACH held");
  }

  /** Whoever held the lease is silent: the process ends, and the system lets go of the file with it. */
  #extend(leaseMs: number): void {
    if (this.#lease !== null) clearTimeout(this.#lease);
    this.#lease = setTimeout(() => process.exit(0), leaseMs);
  }

  #opened(): Database {
    if (this.#database === null) throw new Error("the engine is not open");
    return this.#database;
  }
}

/** While the path names the database, what lies aside is a second name of it, which a crash has left, or something that is somebody's all the same. */
function makeWay(aside: string, real: string): void {
  const found = statSync(aside, { bigint: true, throwIfNoEntry: false });
  if (found === undefined) return;
  if (found.ino === statSync(real, { bigint: true }).ino) rmSync(aside);
  else renameSync(aside, `${aside}.${randomUUID()}.left`);
}

function writeWhole(path: string, text: string, mode: number): void {
  const fd = openSync(path, "wx", mode);
  try {
    writeSync(fd, text);
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}

function sync(directory: string): void {
  const fd = openSync(directory, "r");
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}
