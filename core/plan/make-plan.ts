import type { TargetPlan } from "../contracts/plan.js";
import type { ColumnProfile, SourceCatalog } from "../contracts/source.js";
import { TailraceError } from "../errors.js";
import type { Settings } from "../settings.js";
import type { PipelineId, TableId } from "../vocabulary/ids.js";
import type { Finding } from "./finding.js";

export type { Finding } from "./finding.js";

export interface PlanRequest {
  readonly pipeline: PipelineId;
  readonly prefix: string;
  readonly settings: Pick<Settings, "tables" | "onlyListedTables" | "target">;
  readonly catalog: SourceCatalog;
  /** By table; a table without a profile is planned by its declarations alone. */
  readonly profiles: ReadonlyMap<TableId, readonly ColumnProfile[]>;
  /** The plan that is applied already, if any: a `run-start` that was written once stays as it is. */
  readonly applied?: TargetPlan | null;
  readonly now: Date;
}

export interface PlanResult {
  /** Holds the tables without an error among their findings. Not to be applied while any finding is an error. */
  readonly plan: TargetPlan;
  readonly findings: readonly Finding[];
}

export function makePlan(request: PlanRequest): PlanResult {
  throw new TailraceError("internal", { what: "not written yet", where: { pipeline: request.pipeline } });
}
