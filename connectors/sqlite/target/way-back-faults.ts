/** What keeps rows of PostgreSQL from being stored in the file at all: said when the way back is planned, not when the first row comes. */
import type { TablePlan, TargetPlan } from "../../../core/contracts/plan.js";
import { TailraceError } from "../../../core/errors.js";
import type { Database } from "../database.js";
import { listColumns } from "../inspect/schema.js";

export interface WayBackFault {
  readonly table: string;
  readonly column: string | null;
  readonly why: string;
}

export function wayBackFaults(database: Database, plan: TargetPlan): readonly WayBackFault[] {
  return plan.tables.flatMap((table) => faultsOf(database, table));
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

function faultsOf(database: Database, plan: TablePlan): readonly WayBackFault[] {
  const columns = listColumns(database, plan.source);
  if (columns.length === 0) return [{ table: plan.source, column: null, why: "The file has no such table any more" }];
  const mapped = new Set(plan.columns.map(({ source }) => source));
  const missing = plan.columns.flatMap(({ source }) => (source !== null && !columns.some(({ name }) => name === source) ? [source] : []));
  const unfillable = columns.filter(
    ({ name, notNull, hasDefault, generated, keyPlace }) => !mapped.has(name) && !generated && (notNull || keyPlace > 0) && !hasDefault,
  );
  return [
    ...missing.map((column) => ({ table: plan.source, column, why: "The file has no such column any more" })),
    ...unfillable.map(({ name }) => ({
      table: plan.source,
      column: name,
      why: "A column is not carried over, may not be NULL in the file and has no default: new rows could not be stored",
    })),
  ];
}
