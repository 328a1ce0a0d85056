/**
 * A copy that the source shows, held by links of our own for as long as it is read: the source may go on and remove its names. A process that dies
 * leaves its directory, which the next start of the source removes.
 */
import { randomUUID } from "node:crypto";
import { linkSync, mkdirSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { TailraceError } from "../../core/errors.js";
import { type Position, position } from "../../core/vocabulary/position.js";
import { readTombstone } from "./fence/tombstone.js";
import type { CaptureDirectory, Shown } from "./capture-directory.js";

export interface ShownView {
  readonly path: string;
  readonly at: Position;
}

/** Copies for a reader, each as of a position. */
export interface CopyViews extends Disposable {
  /** A directory of the reader's own. */
  readonly path: string;
  position(): Position;
  /** Held until the next one is taken, and `before` is let go. */
  take(before: ShownView | null): ShownView;
}

const turnsMost = 20;
const parts = [".wal", ".wal.checkpoint"] as const;

export class ShownViews implements CopyViews {
  readonly path: string;
  #made = 0;

  constructor(private readonly directory: CaptureDirectory) {
    this.path = join(directory.views, `${process.pid}-${randomUUID()}`);
    mkdirSync(this.path, { mode: 0o700 });
  }

  /** What is shown now. Rejects with `verify.not-settled` before anything is. */
  position(): Position {
    const { history, order } = this.#shown();
    return position(history, order);
  }

  /** Holds what is shown now; `before` is let go. */
  take(before: ShownView | null): ShownView {
    for (let turn = 1; ; turn++) {
      const shown = this.#shown();
      const path = join(this.path, `${++this.#made}.duckdb`);
      if (this.#linked(shown.path, path)) {
        if (before !== null) this.#remove(before.path);
        return { path, at: position(shown.history, shown.order) };
      }
      this.#remove(path);
      if (turn < turnsMost) continue;
      throw new TailraceError("verify.not-settled", {
        what: "The copy that the source shows is gone",
        where: { path: this.directory.source },
      });
    }
  }

  [Symbol.dispose](): void {
    rmSync(this.path, { recursive: true, force: true });
  }

  #shown(): Shown {
    // What was shown last is what the file was before the application went to the target.
    if (readTombstone(this.directory.source) !== null) {
      throw new TailraceError("verify.file-aside", {
        what: "The file lies aside since a cutover",
        where: { path: this.directory.source },
      });
    }
    const shown = this.directory.shown();
    if (shown !== null) return shown;
    throw new TailraceError("verify.not-settled", {
      what: "The source service has not looked at the file yet",
      where: { path: this.directory.source },
    });
  }

  /** The main file first: the source removes it first, so that what is linked behind it belongs to it. */
  #linked(from: string, to: string): boolean {
    if (!linkIfThere(from, to)) return false;
    for (const end of parts) linkIfThere(`${from}${end}`, `${to}${end}`);
    // Still shown: then nothing was removed in between.
    return this.directory.shown()?.path === from;
  }

  #remove(path: string): void {
    for (const end of ["", ...parts]) rmSync(`${path}${end}`, { force: true });
  }
}

function linkIfThere(from: string, to: string): boolean {
  try {
    linkSync(from, to);
    return true;
  } catch (thrown) {
    if ((thrown as { code?: unknown }).code === "ENOENT") return false;
    throw thrown;
  }
}

export function removeDeadViews(directory: CaptureDirectory): void {
  for (const name of readdirSync(directory.views)) {
    if (!isAlive(Number(name.split("-", 1)[0]))) rmSync(join(directory.views, name), { recursive: true, force: true });
  }
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch (thrown) {
    return (thrown as { code?: unknown }).code === "EPERM";
  }
}
