/** What the groups of a target have applied, seen together. Nothing may be forgotten above the least of them. */
import type { AppliedCut, AppliedView, Ends } from "../contracts/log.js";
import { type GroupId, offset, type Offset, type Topic } from "../vocabulary/ids.js";
import { comparePositions } from "../vocabulary/position.js";

export const nothingApplied: AppliedView = { least: null, all: [], byGroup: new Map() };

/** `missing`: a group is known of which nothing was heard; it may stand anywhere. */
export function appliedView(
  all: readonly AppliedCut[],
  missing: boolean,
  byGroup: AppliedView["byGroup"] = new Map<GroupId, AppliedCut>(),
): AppliedView {
  const [first, ...others] = all;
  if (missing || first === undefined) return { least: null, all, byGroup };
  return { byGroup, least: others.reduce((least, one) => (comparePositions(one.position, least.position) < 0 ? one : least), first), all };
}

/** Up to here every group has read every partition that its reader follows. All are of one log. */
export function leastEnds(all: readonly AppliedCut[]): Ends {
  const least = new Map<Topic, readonly Offset[]>();
  for (const { ends } of all) {
    for (const [topic, offsets] of ends) {
      const known = least.get(topic);
      least.set(topic, known === undefined ? offsets : offsets.map((at, i) => offset(Math.min(at, known[i] ?? at))));
    }
  }
  return least;
}
