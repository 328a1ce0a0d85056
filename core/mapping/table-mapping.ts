import type { TablePlan } from "../contracts/plan.js";
import { TailraceError } from "../errors.js";
import type { TableDescription } from "../vocabulary/table.js";
import type { TableMapping } from "./mapped.js";

export type { Mapped, Refusal, TableMapping, TargetRow } from "./mapped.js";

/** Throws `plan.changed` when plan and description do not fit together. */
export function compileMapping(plan: TablePlan, table: TableDescription): TableMapping {
  throw new TailraceError("internal", { what: "not written yet", where: { table: table.table, target: plan.target.name } });
}
