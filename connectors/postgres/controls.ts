/** What a window's controls do at the target, as statements of its transaction: before its rows, or after them. */
import type { Control } from "../../core/contracts/change.js";
import { TailraceError } from "../../core/errors.js";
import type { TableId } from "../../core/vocabulary/ids.js";
import type { Query } from "./connection.js";
import { qualified, quoteName } from "./quote.js";
import { type Place, placeValues } from "./state.js";
import type { TargetTable } from "./target-table.js";

export type TargetTables = ReadonlyMap<TableId, TargetTable>;

interface Planned {
  readonly tables: TargetTables;
  /** Tables of an earlier plan: what the log still says of them is nobody's any more. */
  readonly former: ReadonlySet<TableId>;
}

/** Throws `plan.changed` for a table that no plan ever had. */
export function isPlanned({ tables, former }: Planned, table: TableId): boolean {
  if (tables.has(table)) return true;
  if (former.has(table)) return false;
  throw new TailraceError("plan.changed", { what: "The log has changes of a table that the applied plan lacks", where: { table } });
}

/** Throws `plan.changed` when a schema comes with another key. */
export const queriesBeforeRows = (place: Place, tables: TargetTables, controls: readonly Control[]): readonly Query[] =>
  controls.flatMap((control): readonly Query[] => {
    switch (control.kind) {
      case "schema":
        tables.get(control.table.table)?.mappingOf(control.table);
        return [];
      case "dropped":
        return [setTable(place, control.table, "dropped_at = now()")];
      case "repair":
        return control.step === "begins" ? repairBegins(place, tables, control.table, control.reread) : [];
      default:
        return [];
    }
  });

export const queriesAfterRows = (place: Place, tables: TargetTables, controls: readonly Control[]): readonly Query[] =>
  controls.flatMap((control): readonly Query[] => {
    if (control.kind === "marker") return [passMarker(place, control.marker)];
    return control.kind === "repair" && control.step === "ends" ? repairEnds(place, tables, control.table) : [];
  });

/** Tables of the plan with a foreign key to this one. */
export function childrenOf(tables: TargetTables, parent: TargetTable): readonly TargetTable[] {
  const name = qualified(parent.plan.target);
  return [...tables.values()].filter((table) => table.plan.foreignKeys.some((key) => qualified(key.parent) === name));
}

/**
 * The rows that come are right, and those that are there are not yet: UNIQUE (other than the key) and foreign keys in both directions would
 * refuse what is right. finish() builds them again.
 */
function repairBegins(place: Place, tables: TargetTables, id: TableId, reread: string): readonly Query[] {
  const table = tables.get(id);
  if (table === undefined) return [];
  const own = [...table.plan.foreignKeys, ...table.plan.indexes.filter(({ unique }) => unique)].map(({ name }) =>
    dropConstraint(table, name),
  );
  const others = childrenOf(tables, table).flatMap((child) =>
    child.plan.foreignKeys
      .filter((key) => qualified(key.parent) === qualified(table.plan.target))
      .map(({ name }) => dropConstraint(child, name)),
  );
  return [...others, ...own, setTable(place, id, "repair = $5", reread)];
}

function repairEnds(place: Place, tables: TargetTables, id: TableId): readonly Query[] {
  const table = tables.get(id);
  if (table === undefined) return [];
  return [
    setTable(place, id, "repair = NULL, finished = false, left_out = '[]'"),
    ...childrenOf(tables, table).map((child) => setTable(place, child.plan.source, "finished = false, left_out = '[]'")),
  ];
}

const dropConstraint = (table: TargetTable, name: string): Query => ({
  text: `ALTER TABLE ${qualified(table.plan.target)} DROP CONSTRAINT IF EXISTS ${quoteName(name)}`,
});

const setTable = (place: Place, table: TableId, set: string, ...more: readonly unknown[]): Query => ({
  text: `UPDATE tailrace.pipeline_table SET ${set} WHERE pipeline = $1 AND group_id = $2 AND direction = $3 AND source = $4`,
  values: [...placeValues(place), table, ...more],
});

const passMarker = (place: Place, marker: string): Query => ({
  text: "UPDATE tailrace.pipeline SET marker = $4 WHERE pipeline = $1 AND group_id = $2 AND direction = $3",
  values: [...placeValues(place), marker],
});
