import { exits } from "../exit-codes.js";
import type { Invocation, Verb } from "../invocation.js";

export const verb: Verb = (invocation) => setPaused(invocation, true);

/** The wish is kept at the target, whichever side that is, and survives restarts; asking for what is so already is success. */
export async function setPaused(invocation: Invocation, paused: boolean): Promise<typeof exits.done> {
  const { settings } = await invocation.settings();
  const { signal, options } = invocation;
  const { withTarget } = await import("../pipeline/target.js");
  const { chosenGroups } = await import("../pipeline/chosen-group.js");
  const { directionOf, openWayHome } = await import("../pipeline/way-back.js");
  const changed = await withTarget(settings, signal, async (target, { url }) => {
    const plan = await target.plan(signal);
    let changes = false;
    for (const group of chosenGroups(plan, options)) {
      const { id } = group;
      // Of a group that was switched over, what comes back is what can rest: the file is the target by then.
      const isForward = (await directionOf(settings, { url, groups: [group] }, signal)) === "forward";
      const resting = isForward ? target : (await openWayHome(settings, { url, group: id }, signal)).home;
      if ((await resting.paused(id, signal)) === paused) continue;
      await resting.setPaused(id, paused, signal);
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
