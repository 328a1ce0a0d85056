/**
 * The copy that others may read, with the position at which the file was so. It is shown once the log holds everything up to there, and stays until
 * another one is shown: whoever links it in between reads something whole.
 */
import type { Position } from "../../core/vocabulary/position.js";
import type { CaptureDirectory } from "./capture-directory.js";
import { removeDatabase } from "./copy/private-file.js";

export class ShownCopy {
  #shown: { readonly path: string; readonly at: Position } | null = null;
  /** Taken since, oldest first; the last one is what was compared last. */
  #taken: readonly string[];
  /** Of an earlier process. */
  #before: string | null;

  /** `path`: the copy that the engine has; null: none yet. */
  constructor(
    private readonly directory: CaptureDirectory,
    path: string | null,
  ) {
    this.#taken = path === null ? [] : [path];
    this.#before = directory.shown()?.path ?? null;
  }

  taken(path: string): void {
    this.#taken = [...this.#taken, path];
  }

  /** Everything that the newest copy differs in was told up to here, and the log holds it. */
  show(at: Position): void {
    const path = this.#taken.at(-1);
    if (path === undefined || (this.#shown?.path === path && this.#shown.at.order === at.order)) return;
    this.directory.show({ path, history: at.history, order: at.order });
    for (const old of [this.#before, ...this.#taken]) if (old !== null && old !== path) removeDatabase(old);
    this.#taken = [path];
    this.#before = null;
    this.#shown = { path, at };
  }
}
