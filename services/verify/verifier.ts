import type { FinalCheck } from "../../core/contracts/cutover.js";
import type { TargetPlan } from "../../core/contracts/plan.js";
import type { VerificationStore } from "../../core/contracts/verification.js";
import type { RepairRequests } from "./repair.js";
import type { RunRequests } from "./run.js";
import type { Sides } from "./sides.js";

/** Both sides open for comparison, with the memory of what was found. */
export interface Verifier extends AsyncDisposable {
  readonly plan: TargetPlan;
  readonly sides: Sides;
  readonly store: VerificationStore;
  readonly requests: RunRequests;
  readonly repairs: RepairRequests;
  /** For the cutover behind its fence, in reverse for the rollback. */
  readonly finalCheck: FinalCheck;
}
