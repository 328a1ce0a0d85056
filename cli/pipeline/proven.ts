/** How far equality is proven, as the target has it on record: whoever compares, or nobody, need not run for that. */
import { openVerificationStore } from "../../connectors/postgres/verification-store.js";
import type { TargetPlan } from "../../core/contracts/plan.js";
import type { Secret } from "../../core/secret.js";
import type { Settings } from "../../core/settings.js";
import { theGroup } from "../../core/vocabulary/ids.js";
import { formatPosition } from "../../core/vocabulary/position.js";
import { newestProof } from "../../services/verify/proof.js";
import type { VerificationView } from "../watch/pipeline-view.js";

export async function provenNow({ pipeline }: Settings, url: Secret, plan: TargetPlan, signal: AbortSignal): Promise<VerificationView> {
  await using store = await openVerificationStore({ url, pipeline, group: theGroup }, signal);
  const proof = await newestProof({ store, tables: plan.tables.map(({ source }) => source) }, signal);
  const ages = proof === null ? [] : [...(await store.ages(proof.run, signal)).values()];
  return {
    provenAt: proof === null ? null : formatPosition(proof.proven),
    oldestMs: ages.length === 0 ? null : Math.round(Math.max(...ages)),
    mismatches: await store.openMismatches(signal),
  };
}
