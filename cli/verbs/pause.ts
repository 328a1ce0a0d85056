import { exits } from "../exit-codes.js";
import type { Invocation, Verb } from "../invocation.js";
import { theGroup } from "../../core/vocabulary/ids.js";

export const verb: Verb = (invocation) => setPaused(invocation, true);

/** The wish is kept at the target and survives restarts; asking for what is so already is success. */
export async function setPaused(invocation: Invocation, paused: boolean): Promise<typeof exits.done> {
  const { settings } = await invocation.settings();
  const { withTarget } = await import("../pipeline/target.js");
  const was = await withTarget(settings, invocation.signal, async (target) => {
    const before = await target.paused(theGroup, invocation.signal);
    if (before !== paused) await target.setPaused(theGroup, paused, invocation.signal);
    return before;
  });
  invocation.out.answer({
    kind: "Paused",
    data: { pipeline: settings.pipeline, paused, changed: was !== paused },
    next: paused ? ["tailrace resume"] : ["tailrace status"],
    text: () => `${settings.pipeline} ${was === paused ? "already " : ""}${paused ? "paused: changes wait in the log" : "running"}`,
  });
  return exits.done;
}
