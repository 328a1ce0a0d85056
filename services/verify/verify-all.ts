/** Every row of every table once, under writes and as fast as it goes: a run for those who only want to know how it ends. */
import type { HoldName } from "../../core/contracts/source.js";
import { defaultRowsPerScope } from "./defaults.js";
import { type RunResult, runVerification } from "./run.js";
import type { Verifier } from "./verifier.js";

/** `holdName`: under which the log is kept from being pruned meanwhile. Rejects as `runVerification` does. */
export async function verifyAll(
  { sides, store, requests, plan }: Pick<Verifier, "sides" | "store" | "requests" | "plan">,
  holdName: HoldName,
  signal: AbortSignal,
): Promise<RunResult> {
  return await runVerification(
    {
      sides,
      store,
      requests,
      tables: plan.tables.map(({ source }) => source),
      whole: true,
      kind: "demand",
      holdName,
      rowsPerScope: defaultRowsPerScope,
      resume: null,
      since: null,
      pace: () => Promise.resolve(),
      onChunk: () => {},
      onProgress: () => {},
    },
    signal,
  );
}
