/**
 * A window of a group that was switched over: its applied cut moves on, and what the window holds of its tables is passed over, since they belong to the
 * application. One statement, which an active direction refuses: whoever was switched back is fenced off, and takes over with rows.
 */
import type { Window } from "../../core/contracts/log.js";
import type { ApplyContext } from "./apply-context.js";
import { fenceError } from "./fence.js";
import { followQuery } from "./state.js";

export async function followWindow(context: ApplyContext, window: Window, signal: AbortSignal): Promise<void> {
  // A window too large to hold knows its end when its parts were read.
  for await (const _ of window.parts(signal));
  const { plain, place, epoch } = context;
  const after = window.after();
  const { rowCount } = await plain.query(followQuery({ place, epoch, before: window.before }, after));
  if (rowCount !== 1) throw await fenceError(context, null);
}
