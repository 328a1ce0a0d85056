/** `--group NAME`: which group a verb means. */
import type { TargetPlan } from "../../core/contracts/plan.js";
import { groupsOf, type TableGroup } from "../../core/plan/groups.js";
import { TailraceError } from "../../core/errors.js";
import { usage, type VerbOptions } from "../invocation.js";
import { nearest } from "../settings/nearest.js";

/** The one that is named, or the only one there is. */
export function chosenGroup(plan: TargetPlan, options: VerbOptions): TableGroup {
  const chosen = chosenGroups(plan, options);
  const [only, ...others] = chosen;
  if (only !== undefined && others.length === 0) return only;
  throw usage(`this wants --group: the pipeline has the groups ${chosen.map(({ name }) => name).join(", ")}`);
}

/** Without a name: all of them. */
export function chosenGroups(plan: TargetPlan | null, options: VerbOptions): readonly TableGroup[] {
  const groups = groupsOf(plan);
  const name = options.text("group");
  if (name === null) return groups;
  const named = groups.find((group) => group.name === name);
  if (named !== undefined) return [named];
  const names = groups.map((group) => group.name);
  const meant = nearest(name, names);
  throw new TailraceError("usage.refused", {
    what: `The plan has no group '${name}'${meant === null ? `; it has ${names.join(", ")}` : `; did you mean '${meant}'?`}`,
  });
}
