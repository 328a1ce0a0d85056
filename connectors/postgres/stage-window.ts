/**
 * What of a window needs no server: folding and mapping. Done ahead, it costs the server's time nothing.
 *
 * Promises: the statements are those that the window would have been written by in any case; nothing was sent. A window that does not go in one round
 * trip, and one that cannot be applied, is not staged: it comes to the light of day when it is applied.
 */
import { breathe } from "../../core/clock.js";
import type { Window } from "../../core/contracts/log.js";
import type { ApplyContext, Counts } from "./apply-context.js";
import type { Query } from "./connection.js";
import { Tally } from "../../core/apply/conservation.js";
import { isPlanned } from "./controls.js";
import { WindowBuffer } from "../../core/apply/window-buffer.js";
import { liveQueries } from "./write-segments.js";

export interface StagedWindow {
  readonly window: Window;
  readonly live: readonly Query[];
  readonly counts: Counts;
}

export async function stageWindow(context: ApplyContext, window: Window, signal: AbortSignal): Promise<StagedWindow | null> {
  const buffer = new WindowBuffer(window.before?.position ?? null);
  try {
    for await (const part of window.parts(signal)) {
      if (part.kind === "chunk") return null;
      if (!isPlanned(context, part.table.table)) continue;
      buffer.add(part);
      if (buffer.isFull) return null;
      // The server's answer to the window before this one must not wait.
      await breathe();
    }
    return { window, ...stagedLive(context, buffer) };
  } catch {
    // `apply` meets the same, and can say it.
    return null;
  }
}

/** The statements of a window that is all here. */
export function stagedLive({ tables }: ApplyContext, buffer: WindowBuffer): { readonly live: readonly Query[]; readonly counts: Counts } {
  const tally = new Tally();
  const live = liveQueries(tables, buffer.take(), tally);
  return { live, counts: tally.checked() };
}
