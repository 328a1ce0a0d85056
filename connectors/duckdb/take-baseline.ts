/**
 * The file has come home from the target: what it held then was compared with the target, so it counts as told, though nobody has told it. What the
 * application has written since differs from it. Nothing else is told until the directory says that it was taken, so it may be taken again after a crash.
 */
import { asTailraceError } from "../../core/errors.js";
import type { CaptureDirectory, InstalledTable } from "./capture-directory.js";
import type { AskEngine } from "./cycle-batch.js";

export interface BaselineOptions {
  readonly directory: CaptureDirectory;
  readonly tables: readonly InstalledTable[];
  readonly ask: AskEngine;
  readonly changesMax: number;
}

/** null: none waits to be taken. */
export async function takeBaseline(
  { directory, tables, ask, changesMax }: BaselineOptions,
  firstOrder: number,
  signal: AbortSignal,
): Promise<{ readonly path: string; readonly lastOrder: number } | null> {
  const path = directory.baseline();
  if (path === null) return null;
  try {
    await ask("attach", [{ path }], signal);
  } catch (thrown) {
    if (asTailraceError(thrown).code !== "source.schema-changed") throw thrown;
    // Tables were altered before anybody looked. Without it what came back is told once more, which says nothing new to the target.
    directory.baselineTaken();
    return null;
  }
  const establish = tables.filter(({ state }) => state === "captured").map(({ number }) => number);
  const { lastOrder } = await ask("cycle", [{ compare: [], establish, doubtAbove: null, firstOrder, changesMax, frozen: null }], signal);
  return { path, lastOrder };
}
