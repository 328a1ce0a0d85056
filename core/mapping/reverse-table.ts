/**
 * A target table as the way back tells it: the rows that `TableMapping.map` answers, in the same text forms, under the same table id. Whoever
 * takes them back maps by this description, so that both directions agree by construction. Constants of the plan are no part of it: the source
 * never had them.
 */
import type { TablePlan } from "../contracts/plan.js";
import { schemaVersion } from "../vocabulary/ids.js";
import type { TableDescription } from "../vocabulary/table.js";

export function reverseTable(plan: TablePlan): TableDescription {
  const carried = plan.columns.filter(({ source }) => source !== null);
  const [first, ...others] = plan.key.map((name) => carried.findIndex(({ target }) => target === name));
  if (first === undefined) throw new RangeError("a table without a key");
  return {
    table: plan.source,
    group: plan.group,
    schema: schemaVersion(1),
    // What PostgreSQL's log says of a column does not tell whether it may be NULL: the key alone never is.
    columns: carried.map(({ target, type }) => ({
      name: target,
      declaredType: type,
      nullable: !plan.key.includes(target),
      generated: false,
      classes: ["text"],
    })),
    key: [first, ...others],
  };
}
