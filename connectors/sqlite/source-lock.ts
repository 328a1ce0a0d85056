/**
 * One source process per file: an exclusive transaction on a small SQLite file of our own, held as long as the source is open. The operating
 * system ends it with the process, whatever way that ends; no cleaning up, no stale locks.
 */
import { createHash } from "node:crypto";
import { mkdirSync, realpathSync } from "node:fs";
import { join } from "node:path";
import BetterSqlite from "better-sqlite3";
import { TailraceError } from "../../core/errors.js";
import { isBusy, withFileErrors, withSqliteErrors } from "./database.js";

export class SourceLock implements Disposable {
  readonly #database: BetterSqlite.Database;

  constructor(path: string, directory: string) {
    withFileErrors(directory, () => mkdirSync(directory, { recursive: true }));
    const real = withFileErrors(path, () => realpathSync(path));
    const name = createHash("sha256").update(real).digest("hex").slice(0, 16);
    const file = join(directory, `source-${name}.lock`);
    this.#database = withSqliteErrors(file, () => new BetterSqlite(file, { timeout: 0 }));
    try {
      this.#database.exec("BEGIN EXCLUSIVE");
    } catch (thrown) {
      this.#database.close();
      if (!isBusy(thrown)) throw thrown;
      throw new TailraceError("source.locked", {
        what: "Another source process holds the file",
        where: { path, lock: file },
        cause: thrown,
      });
    }
  }

  [Symbol.dispose](): void {
    this.#database.close();
  }
}
