/**
 * Which group each table is in, and what keeps groups apart: no foreign key may lead from one into another, no table moves between two that are there, and
 * one that is there keeps its name.
 */
import type { TablePlan, TargetPlan } from "../contracts/plan.js";
import type { SourceTable } from "../contracts/source.js";
import type { Settings } from "../settings.js";
import { type GroupId, type TableId, tableId, theGroup } from "../vocabulary/ids.js";
import { groupsOf, mainGroup, numberGroups } from "./groups.js";
import { nearestName } from "./nearest.js";
import type { Report } from "./plan-columns.js";

type ReportFor = (table: TableId) => Report;
export type DeclaredGroups = Settings["groups"];

/** `named` is absent for tables of `main`: the plan of a pipeline without groups says nothing of them. */
export interface GroupOf {
  readonly group: GroupId;
  readonly groupName?: string;
}

export function groupTables(declared: DeclaredGroups, applied: TargetPlan | null): (table: TableId) => GroupOf {
  const numbers = numberGroups(declared.keys(), applied);
  const groups = new Map<string, GroupOf>();
  for (const [groupName, tables] of declared) {
    const group = numbers.get(groupName) ?? theGroup;
    for (const table of tables) groups.set(table, { group, groupName });
  }
  return (table) => groups.get(table) ?? { group: theGroup };
}

export function reportUnknownMembers(
  reportFor: ReportFor,
  declared: DeclaredGroups,
  chosen: readonly TableId[],
  refused: ReadonlySet<TableId>,
): void {
  for (const [group, tables] of declared) {
    for (const name of tables) {
      if (chosen.some((table) => table === name) || refused.has(tableId(name))) continue;
      const near = nearestName(name, chosen);
      reportFor(tableId(name))({
        severity: "error",
        code: "plan.refused",
        what: `Group '${group}' names a table '${name}' that is not captured`,
        remedy: near === null ? "Take it out of `groups:`" : `Did you mean '${near}'?`,
      });
    }
  }
}

/** Of keys that are not carried over too: what cascades at one side would change rows that belong to the other. */
export function reportOpenGroups(reportFor: ReportFor, sources: readonly SourceTable[], plans: ReadonlyMap<TableId, TablePlan>): void {
  for (const { description, foreignKeys } of sources) {
    const child = plans.get(description.table);
    for (const { columns, parent: name } of foreignKeys) {
      const parent = plans.get(name);
      if (child === undefined || parent === undefined || child.group === parent.group) continue;
      reportFor(child.source)({
        severity: "error",
        code: "plan.group-open",
        what: `The foreign key (${columns.join(", ")}) of '${child.source}', in group '${nameOf(child)}', refers to '${parent.source}', in group '${nameOf(parent)}'`,
        remedy: "Put both tables into one group in `groups:`",
      });
    }
  }
}

/**
 * A DuckDB file cannot refuse writes to some of its tables: its fence is that nobody can open it. A group that was switched alone would take the file away
 * from an application that goes on writing the others.
 */
export function reportSharedFile(reportFor: ReportFor, tables: readonly TablePlan[], kind: Settings["source"]["kind"] | undefined): void {
  if (kind !== "duckdb") return;
  const [first, ...others] = groupsOf({ tables });
  if (first === undefined) return;
  for (const {
    name,
    tables: [table],
  } of others) {
    if (table === undefined) continue;
    reportFor(table.source)({
      severity: "error",
      code: "plan.group-file",
      what: `Group '${name}' would be switched over without group '${first.name}', and both are in one DuckDB file, which is fenced off as a whole`,
      remedy: "Take `groups:` out of the settings; tables that move in steps need a file and a pipeline for each step",
    });
  }
}

/** Tables that no group named may be divided as one likes: `main` has no name that anybody gave it. */
export function reportRenames(reportFor: ReportFor, plans: readonly TablePlan[], applied: TargetPlan | null): void {
  const known = groupsOf(applied);
  const there = new Set(known.map(({ id }) => id));
  for (const { id, name, tables } of known) {
    if (name === mainGroup || plans.some(({ group }) => group === id)) continue;
    const taken = plans.find(({ source, group }) => !there.has(group) && tables.some((table) => table.source === source));
    if (taken === undefined) continue;
    reportFor(taken.source)({
      severity: "error",
      code: "plan.group-renamed",
      what: `Group '${name}' is applied and settings do not name it any more: its table '${taken.source}' is in '${nameOf(taken)}' there`,
      remedy: `Name it '${name}' again`,
    });
  }
}

/** A group that is new begins where one other is; every other one is at a place of its own. */
export function reportMoves(reportFor: ReportFor, plans: Iterable<TablePlan>, applied: TargetPlan | null): void {
  const before = new Map((applied?.tables ?? []).map((table) => [table.source, table]));
  const there = new Set(groupsOf(applied).map(({ id }) => id));
  const origin = new Map<GroupId, TablePlan>();
  for (const plan of plans) {
    const old = before.get(plan.source);
    if (old === undefined) continue;
    const first = origin.get(plan.group) ?? old;
    origin.set(plan.group, first);
    const isThere = there.has(plan.group) && old.group !== plan.group;
    if (!isThere && first.group === old.group) continue;
    reportFor(plan.source)({
      severity: "error",
      code: "plan.group-moved",
      what: isThere
        ? `Table '${plan.source}' is in group '${nameOf(old)}' and cannot move into '${nameOf(plan)}', which stands at another place of the log`
        : `The new group '${nameOf(plan)}' would take tables out of '${nameOf(first)}' and '${nameOf(old)}', which stand at different places of the log`,
      remedy: "A group that is new may take its tables out of one group that is there; otherwise leave them where they are",
    });
  }
}

const nameOf = ({ groupName }: TablePlan): string => groupName ?? mainGroup;
