/** Which groups stream forward: those whose application does not write to PostgreSQL, as their routes say. */
import type { RouteState } from "../../../core/contracts/cutover.js";
import type { TableGroup } from "../../../core/plan/groups.js";
import type { Secret } from "../../../core/secret.js";
import type { GroupId, PipelineId } from "../../../core/vocabulary/ids.js";
import { openCutoverDesk } from "./desk.js";

interface Place {
  readonly url: Secret;
  readonly pipeline: PipelineId;
}

export async function sidesOf(
  place: Place,
  groups: readonly TableGroup[],
  signal: AbortSignal,
): Promise<ReadonlyMap<GroupId, RouteState["side"]>> {
  await using desk = openCutoverDesk(place);
  const sides = new Map<GroupId, RouteState["side"]>();
  for (const { id } of groups) sides.set(id, (await desk.route(id, signal)).side);
  return sides;
}

/** A pipeline's only group is always among them: nothing else could be asked about it. */
export async function forwardGroups(place: Place, groups: readonly TableGroup[], signal: AbortSignal): Promise<readonly TableGroup[]> {
  if (groups.length === 1) return groups;
  const sides = await sidesOf(place, groups, signal);
  return groups.filter(({ id }) => sides.get(id) !== "target");
}
