/** Tables that one sink applies together, as the plan has them. A group's number is its identity in every state; its name is for people. */
import type { TablePlan, TargetPlan } from "../contracts/plan.js";
import { type GroupId, groupId, type TableId, theGroup } from "../vocabulary/ids.js";
import type { TableDescription } from "../vocabulary/table.js";

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

/** Groups as a source's capture has them, which knows numbers alone. */
export function byGroup(tables: readonly Pick<TableDescription, "table" | "group">[]): ReadonlyMap<GroupId, readonly TableId[]> {
  const groups = new Map<GroupId, TableId[]>();
  for (const { table, group } of tables.toSorted((a, b) => a.group - b.group)) groups.set(group, [...(groups.get(group) ?? []), table]);
  return groups;
}

/** By what settings call their tables. A number stays a number where they do not say, or say one name of two: they may be newer than what is applied. */
export function nameGroups(
  groups: ReadonlyMap<GroupId, readonly TableId[]>,
  declared: ReadonlyMap<string, readonly string[]>,
): readonly { readonly id: GroupId; readonly name: string }[] {
  const owners = new Map([...declared].flatMap(([name, tables]) => tables.map((table): [string, string] => [table, name])));
  const named = [...groups].map(([id, tables]) => {
    const names = new Set(tables.map((table) => owners.get(table) ?? mainGroup));
    const [name = mainGroup] = names;
    return { id, name: names.size > 1 ? String(id) : name };
  });
  return named.map(({ id, name }) => ({ id, name: named.filter((one) => one.name === name).length > 1 ? String(id) : name }));
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
