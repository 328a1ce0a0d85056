/** A copy of a file that stands still, made for one reader: the place of what the source shows, where the file lies aside and nothing is shown. */
import { randomUUID } from "node:crypto";
import { mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import type { Clock } from "../../core/clock.js";
import { origin, type Position } from "../../core/vocabulary/position.js";
import type { CaptureDirectory } from "./capture-directory.js";
import { LiveCopier } from "./copy/live-copy.js";
import type { CopyViews, ShownView } from "./shown-view.js";

export class StandingViews implements CopyViews {
  private constructor(
    readonly path: string,
    private readonly view: ShownView,
  ) {}

  /** `file`: wherever it lies. */
  static async of(directory: CaptureDirectory, file: string, clock: Clock, signal: AbortSignal): Promise<StandingViews> {
    const path = join(directory.views, `${process.pid}-${randomUUID()}`);
    mkdirSync(path, { mode: 0o700 });
    try {
      const copy = await new LiveCopier({ path: file, directory: path, clock, bytesPerSecond: null }).take(null, signal);
      if (copy === null) throw new Error("a first copy is always one");
      return new StandingViews(path, { path: copy.path, at: origin });
    } catch (thrown) {
      rmSync(path, { recursive: true, force: true });
      throw thrown;
    }
  }

  position(): Position {
    return this.view.at;
  }

  take(): ShownView {
    return this.view;
  }

  [Symbol.dispose](): void {
    rmSync(this.path, { recursive: true, force: true });
  }
}
