/** What keeps rows of PostgreSQL from being stored in the file at all: said when the way back is planned, not when the first row comes. */
import type { TablePlan, TargetPlan } from "../../../core/contracts/plan.js";
import { TailraceError } from "../../../core/errors.js";
import type { InstalledTable } from "../capture-directory.js";

export interface WayBackFault {
  readonly table: string;
  readonly column: string | null;
  readonly why: string;
}

export function wayBackFaults(plan: TargetPlan, installed: readonly InstalledTable[]): readonly WayBackFault[] {
  const captured = new Map(installed.filter(({ state }) => state === "captured").map((table) => [table.description.table, table]));
  return plan.tables.flatMap((table) => faultsOf(table, captured.get(table.source)));
}

export function refuseFaults(faults: readonly WayBackFault[]): void {
  const [first, ...others] = faults;
  if (first === undefined) return;
  const more =
    others.length === 0 ? "" : ` (and ${others.length} more: ${others.map(({ table, column }) => `${table}.${column ?? ""}`).join(", ")})`;
  throw new TailraceError("plan.no-way-back", {
    what: `${first.why}${more}`,
    where: { table: first.table, ...(first.column === null ? {} : { column: first.column }) },
  });
}

function faultsOf(plan: TablePlan, installed: InstalledTable | undefined): readonly WayBackFault[] {
  const table = plan.source;
  if (installed === undefined) return [{ table, column: null, why: "The table is not captured any more" }];
  if (installed.mode === "rows") {
    return [{ table, column: null, why: "The table has no key: a row that PostgreSQL changes cannot be found in the file" }];
  }
  const { columns } = installed.description;
  return plan.columns.flatMap(({ source }): readonly WayBackFault[] => {
    if (source === null) return [];
    const column = columns.find(({ name }) => name === source);
    if (column === undefined) return [{ table, column: source, why: "The file has no such column any more" }];
    if (!column.declaredType.startsWith("UNION(")) return [];
    return [{ table, column: source, why: "A UNION cannot be carried back: its JSON does not say which member it is" }];
  });
}
