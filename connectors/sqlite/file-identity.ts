/**
 * Whether the file at the source's path still is the one that is open, and with it its -wal and -shm. After a restore by rename an open connection
 * goes on with a file that nobody else sees: reads would be stale and writes lost. Without its -shm it shares no lock with the application, and
 * without its -wal it tells the application of commits that nobody can read: a write of ours would damage the file. While a connection is open SQLite
 * itself removes neither. Only stat() is used: opening and closing the file would drop SQLite's locks.
 */
import { statSync } from "node:fs";
import { type FSWatcher, watch } from "chokidar";
import { TailraceError } from "../../core/errors.js";
import { withFileErrors } from "./database.js";

const watchMs = 250;

export class FileIdentity implements AsyncDisposable {
  readonly #opened: FileId;
  #sides: readonly { readonly path: string; readonly id: FileId }[] = [];
  #watcher: FSWatcher | null = null;

  /** Legal right before the file is opened; `check` right after tells whether it was this one. */
  constructor(private readonly path: string) {
    const now = fileId(path);
    if (now === null) throw replaced(path, "The source's file is gone");
    this.#opened = now;
  }

  /** Legal once a connection has read and written: then -wal and -shm are there. */
  holdSides(): void {
    this.#sides = ["-wal", "-shm"].flatMap((side) => {
      const path = `${this.path}${side}`;
      const id = fileId(path);
      return id === null ? [] : [{ path, id }];
    });
  }

  /**
   * A hint only, to look at once; every read looks anyway. `atomic` would hide the very replacement that we look for. Polled: the system's own events
   * come with every write of the application, and cost as much as the rest of a commit's way.
   */
  watch(onChange: () => void): void {
    this.#watcher = watch(this.path, { persistent: false, ignoreInitial: true, atomic: false, usePolling: true, interval: watchMs });
    this.#watcher.on("add", onChange).on("unlink", onChange).on("error", onChange);
  }

  check(): void {
    const now = fileId(this.path);
    if (now === null) throw replaced(this.path, "The source's file is gone");
    if (!isSame(now, this.#opened)) throw replaced(this.path, "The source's file was replaced by another one");
    for (const { path, id } of this.#sides) {
      if (!isSame(fileId(path), id)) throw replaced(path, "A file beside the source's file was deleted or replaced while it was in use");
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#watcher?.close();
  }
}

interface FileId {
  readonly inode: bigint;
  readonly device: bigint;
}

const isSame = (a: FileId | null, b: FileId): boolean => a !== null && a.inode === b.inode && a.device === b.device;

function fileId(path: string): FileId | null {
  const stat = withFileErrors(path, () => statSync(path, { throwIfNoEntry: false, bigint: true }));
  return stat === undefined ? null : { inode: stat.ino, device: stat.dev };
}

const replaced = (path: string, what: string): TailraceError => new TailraceError("source.replaced", { what, where: { path } });
