/**
 * Whether the file at the source's path still is the one that is open. After a restore by rename an open connection goes on with a file that
 * nobody else sees: reads would be stale and writes lost. Only stat() is used: opening and closing the file would drop SQLite's locks.
 */
import { statSync } from "node:fs";
import { type FSWatcher, watch } from "chokidar";
import { TailraceError } from "../../core/errors.js";

const watchMs = 250;

export class FileIdentity implements AsyncDisposable {
  readonly #opened: FileId;
  #watcher: FSWatcher | null = null;

  /** Legal right before the file is opened; `check` right after tells whether it was this one. */
  constructor(private readonly path: string) {
    const now = fileId(path);
    if (now === null) throw replaced(path, "The source's file is gone");
    this.#opened = now;
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
    if (now.inode !== this.#opened.inode || now.device !== this.#opened.device) {
      throw replaced(this.path, "The source's file was replaced by another one");
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

function fileId(path: string): FileId | null {
  const stat = statSync(path, { throwIfNoEntry: false, bigint: true });
  return stat === undefined ? null : { inode: stat.ino, device: stat.dev };
}

const replaced = (path: string, what: string): TailraceError => new TailraceError("source.replaced", { what, where: { path } });
