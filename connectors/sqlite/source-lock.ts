/**
 * One source process per file, and one that writes back to it: an exclusive transaction on a small SQLite file of our own, held as long as the process
 * has it open. The operating system ends it with the process, whatever way that ends; no cleaning up, no stale locks.
 */
import { createHash } from "node:crypto";
import { mkdirSync, realpathSync } from "node:fs";
import { join } from "node:path";
import BetterSqlite from "better-sqlite3";
import { TailraceError } from "../../core/errors.js";
import { isBusy, withFileErrors, withSqliteErrors } from "./database.js";

type Taken = { readonly kind: "ours"; readonly lock: FileLock } | { readonly kind: "held"; readonly file: string; readonly cause: unknown };

export class FileLock implements Disposable {
  private constructor(private readonly database: BetterSqlite.Database) {}

  static take(path: string, directory: string, as: "source" | "target" | `target-${number}`): Taken {
    withFileErrors(directory, () => mkdirSync(directory, { recursive: true, mode: 0o700 }));
    const real = withFileErrors(path, () => realpathSync(path));
    const name = createHash("sha256").update(real).digest("hex").slice(0, 16);
    const file = join(directory, `${as}-${name}.lock`);
    const database = withSqliteErrors(file, () => new BetterSqlite(file, { timeout: 0 }));
    try {
      database.exec("BEGIN EXCLUSIVE");
      return { kind: "ours", lock: new FileLock(database) };
    } catch (thrown) {
      database.close();
      if (!isBusy(thrown)) throw thrown;
      return { kind: "held", file, cause: thrown };
    }
  }

  [Symbol.dispose](): void {
    this.database.close();
  }
}

/** Throws `source.locked`. */
export function takeSourceLock(path: string, directory: string): FileLock {
  const taken = FileLock.take(path, directory, "source");
  if (taken.kind === "ours") return taken.lock;
  throw new TailraceError("source.locked", {
    what: "Another source process holds the file",
    where: { path, lock: taken.file },
    cause: taken.cause,
  });
}
