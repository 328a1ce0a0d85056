/** What a new plan means for the constraints and indexes of the old one: those that it no longer wants go, those that went come back by finish(). */
import { isDeepStrictEqual } from "node:util";
import type { ForeignKeyPlan, TablePlan } from "../../core/contracts/plan.js";
import type { PipelineId, TableId } from "../../core/vocabulary/ids.js";
import type { Alteration } from "./alter-table.js";
import { qualified, quoteName, quoteText } from "./quote.js";

export interface Replan {
  readonly before: readonly TablePlan[];
  readonly after: readonly TablePlan[];
  /** Of `after`: made now. */
  readonly created: ReadonlySet<TablePlan>;
  /** Of `after`: there already. */
  readonly altered: ReadonlyMap<TablePlan, Alteration>;
}

/** Statements that drop what the new plan does not have, or has otherwise. Before any column changes its type: a foreign key may stand in its way. */
export const disused = (replan: Replan): readonly string[] =>
  pairs(replan).flatMap(({ before, after }) => {
    const on = qualified(before.target);
    const indexes = before.indexes.filter((index) => !after?.indexes.some((kept) => isDeepStrictEqual(kept, index)));
    const keys = before.foreignKeys.filter((key) => !isKept(replan, after, key));
    return [
      ...keys.map(({ name }) => `ALTER TABLE ${on} DROP CONSTRAINT IF EXISTS ${quoteName(name)}`),
      ...indexes.map(({ name, unique }) =>
        unique
          ? `ALTER TABLE ${on} DROP CONSTRAINT IF EXISTS ${quoteName(name)}`
          : `DROP INDEX IF EXISTS ${qualified({ schema: before.target.schema, name })}`,
      ),
    ];
  });

/** Tables whose plan may be as before and that lack something all the same. */
export function unfinished(replan: Replan, pipeline: PipelineId): readonly string[] {
  const lacking = pairs(replan).flatMap(({ before, after }): readonly TableId[] => {
    if (after === undefined) return [];
    return before.foreignKeys.some((key) => !isKept(replan, after, key)) ? [after.source] : [];
  });
  const fresh = [...replan.created].filter(({ source }) => replan.before.some((table) => table.source === source));
  const referring = replan.after.filter(({ foreignKeys }) =>
    foreignKeys.some(({ parent }) => fresh.some(({ target }) => qualified(target) === qualified(parent))),
  );
  const sources = [...new Set([...lacking, ...[...fresh, ...referring].map(({ source }) => source)])];
  if (sources.length === 0) return [];
  return [
    `UPDATE tailrace.pipeline_table SET finished = false, left_out = '[]' WHERE pipeline = ${quoteText(pipeline)} AND direction = 'forward'
  AND source = ANY (ARRAY[${sources.map(quoteText).join(", ")}])`,
  ];
}

interface Pair {
  readonly before: TablePlan;
  /** Absent: the table is not in the new plan, or is another one at the target. */
  readonly after: TablePlan | undefined;
}

/** Tables that are still there. */
function pairs({ before, after, created }: Replan): readonly Pair[] {
  const gone = new Set([...created].map(({ target }) => qualified(target)));
  return before
    .filter(({ target }) => !gone.has(qualified(target)))
    .map((table) => ({
      before: table,
      after: after.find(({ source, target }) => source === table.source && qualified(target) === qualified(table.target)),
    }))
    .filter(({ before: old, after: now }) => now !== undefined || old.foreignKeys.length > 0)
    .map(({ before: old, after: now }) => ({ before: now === undefined ? { ...old, indexes: [] } : old, after: now }));
}

function isKept(replan: Replan, after: TablePlan | undefined, key: ForeignKeyPlan): boolean {
  if (after === undefined || !after.foreignKeys.some((kept) => isDeepStrictEqual(kept, key))) return false;
  const retyped = (table: TablePlan | undefined): readonly string[] =>
    table === undefined ? [] : (replan.altered.get(table)?.retyped ?? []);
  const parent = replan.after.find(({ target }) => qualified(target) === qualified(key.parent));
  return (
    !key.columns.some((column) => retyped(after).includes(column)) && !key.parentColumns.some((column) => retyped(parent).includes(column))
  );
}
