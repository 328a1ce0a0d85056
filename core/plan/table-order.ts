import type { TablePlan } from "../contracts/plan.js";

/** Parents before children, else in the order given. In a cycle the table that comes first stays first. */
export function parentsFirst(tables: readonly TablePlan[]): readonly TablePlan[] {
  const byTarget = new Map(tables.map((table) => [nameOf(table.target), table]));
  const placed = new Set<TablePlan>();
  const begun = new Set<TablePlan>();
  const ordered: TablePlan[] = [];
  // Its own stack: a chain of parents can be longer than the call stack is deep.
  for (const table of tables) {
    const stack = [table];
    for (let top = stack.at(-1); top !== undefined; top = stack.at(-1)) {
      const parent = begun.has(top) ? undefined : waitingParents(top, byTarget, begun);
      begun.add(top);
      if (parent !== undefined && parent.length > 0) {
        stack.push(...parent);
        continue;
      }
      stack.pop();
      if (!placed.has(top)) ordered.push(top);
      placed.add(top);
    }
  }
  return ordered;
}

/** Last first, so that the first one is on top of the stack. */
function waitingParents(table: TablePlan, byTarget: ReadonlyMap<string, TablePlan>, begun: ReadonlySet<TablePlan>): readonly TablePlan[] {
  const parents = table.foreignKeys.map((key) => byTarget.get(nameOf(key.parent))).filter((parent) => parent !== undefined);
  return parents.filter((parent) => parent !== table && !begun.has(parent)).reverse();
}

const nameOf = (name: { readonly schema: string; readonly name: string }): string => JSON.stringify([name.schema, name.name]);
