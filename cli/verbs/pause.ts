import { exits } from "../exit-codes.js";
import type { Invocation, Verb } from "../invocation.js";

export const verb: Verb = (invocation) => setPaused(invocation, true);

/** The wish is kept at the target and survives restarts; asking for what is so already is success. */
export async function setPaused(invocation: Invocation, paused: boolean): Promise<typeof exits.done> {
  const { settings } = await invocation.settings();
  const { signal, options } = invocation;
  const { withTarget } = await import("../pipeline/target.js");
  const { chosenGroups } = await import("../pipeline/chosen-group.js");
  const changed = await withTarget(settings, signal, async (target) => {
    const plan = await target.plan(signal);
    let changes = false;
    for (const { id } of chosenGroups(plan, options)) {
      if ((await target.paused(id, signal)) === paused) continue;
      await target.setPaused(id, paused, signal);
      changes = true;
    }
    return changes;
  });
  const group = options.text("group");
  const name = group === null ? settings.pipeline : `${settings.pipeline}, group ${group},`;
  invocation.out.answer({
    kind: "Paused",
    data: { pipeline: settings.pipeline, ...(group === null ? {} : { group }), paused, changed },
    next: paused ? [group === null ? "tailrace resume" : `tailrace resume --group ${group}`] : ["tailrace status"],
    text: () => `${name} ${changed ? "" : "already "}${paused ? "paused: changes wait in the log" : "running"}`,
  });
  return exits.done;
}
