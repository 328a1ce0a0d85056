/** Tables that one sink applies together, as the plan has them. A group's number is its identity in every state; its name is for people. */
import type { TablePlan, TargetPlan } from "../contracts/plan.js";
import { type GroupId, groupId, theGroup } from "../vocabulary/ids.js";

/** Tables that no declared group has. */
export const mainGroup = "main";

export interface TableGroup {
  readonly id: GroupId;
  readonly name: string;
  readonly tables: readonly TablePlan[];
}

/** By number; never empty. */
export function groupsOf(plan: Pick<TargetPlan, "tables"> | null): readonly TableGroup[] {
  const groups = new Map<GroupId, TablePlan[]>();
  for (const table of plan?.tables ?? []) groups.set(table.group, [...(groups.get(table.group) ?? []), table]);
  if (groups.size === 0) return [{ id: theGroup, name: mainGroup, tables: [] }];
  return [...groups].toSorted(([a], [b]) => a - b).map(([id, tables]) => ({ id, name: tables[0]?.groupName ?? mainGroup, tables }));
}

export const planOfGroup = (plan: TargetPlan, group: GroupId): TargetPlan => ({
  ...plan,
  tables: plan.tables.filter((table) => table.group === group),
});

/** Numbers for the groups that settings declare. What is applied keeps its number; what is new gets one that no table has. */
export function numberGroups(names: Iterable<string>, applied: TargetPlan | null): ReadonlyMap<string, GroupId> {
  const known = groupsOf(applied);
  const numbers = new Map(known.map(({ name, id }): [string, GroupId] => [name, id]));
  numbers.set(mainGroup, theGroup);
  let highest = Math.max(...numbers.values());
  for (const name of names) if (!numbers.has(name)) numbers.set(name, groupId(++highest));
  return numbers;
}
