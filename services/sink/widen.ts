/**
 * A window whose state the target refuses, made one with those that follow it.
 *
 * What a transaction has broken, a later one may have mended: then the two together can be applied, and the target skips the state between them
 * without ever showing half of a transaction. That is what "mend it at the source" means. Nothing is waited for here: only what the log holds by
 * now is taken, and the refusal stands when that does not help.
 */
import type { Window, WindowPart } from "../../core/contracts/log.js";
import { isAbove, type Position } from "../../core/vocabulary/position.js";
import { withoutSuperseded } from "./superseded.js";

/** What is collected is held in memory. */
const rowsMax = 50_000;

export interface Following {
  /** The next window of the reader. Asking for it lets go of the last one, hence the copies here. */
  next(): Promise<Window | null>;
  /** Newest cut that is in the log. */
  newest(): Position | null;
}

/** The window and all that follow by now, as one; null when none follows, or when they are too large to be held. */
export async function widened(window: Window, following: Following, signal: AbortSignal): Promise<Window | null> {
  const until = following.newest();
  if (until === null || window.records > rowsMax || !isAbove(until, window.after().position)) return null;
  let wide = await held(window, signal);
  while (isAbove(until, wide.after().position)) {
    if (wide.rows > rowsMax) return null;
    const next = await following.next();
    if (next === null) return null;
    wide = joined(wide, await held(next, signal));
  }
  return wide;
}

interface Held extends Window {
  readonly taken: readonly WindowPart[];
  readonly rows: number;
}

async function held(window: Window, signal: AbortSignal): Promise<Held> {
  const taken: WindowPart[] = [];
  let rows = 0;
  for await (const part of window.inSourceOrder(signal)) {
    // Too much is not collected; `widened` gives up on it.
    if (rows <= rowsMax) taken.push(part);
    rows += part.kind === "chunk" ? part.chunk.rows.length : part.changes.length;
  }
  const after = window.after();
  return { ...heldWindow({ before: window.before, controls: window.controls, records: window.records, after: () => after }, taken), rows };
}

const joined = (first: Held, second: Held): Held => ({
  ...heldWindow(
    {
      before: first.before,
      after: () => second.after(),
      controls: [...first.controls, ...second.controls],
      records: first.records + second.records,
    },
    [...withoutSuperseded(first.taken, second.taken), ...second.taken],
  ),
  rows: first.rows + second.rows,
});

function heldWindow(window: Omit<Window, "parts" | "inSourceOrder">, taken: readonly WindowPart[]): Omit<Held, "rows"> {
  async function* parts(signal: AbortSignal): AsyncIterable<WindowPart> {
    for (const part of taken) {
      signal.throwIfAborted();
      yield part;
    }
  }
  return { ...window, taken, parts, inSourceOrder: parts };
}
