/** Everything that the gates of a rollback judge, looked at now. */
import { statfsSync } from "node:fs";
import { dirname } from "node:path";
import { asTailraceError } from "../../core/errors.js";
import type { RollbackFacts } from "../../services/cutover/rollback-preflight.js";
import type { Invocation } from "../invocation.js";
import type { CutoverWork } from "./open.js";

export async function lookBack({ signal }: Invocation, { settings, parts, verifier }: CutoverWork): Promise<RollbackFacts> {
  const { desk, group, back, wayBack } = parts;
  const last = await desk.last(group, signal);
  const { bavail, bsize } = statfsSync(dirname(settings.source.path));
  return {
    facts: await desk.facts(group, signal),
    fence: await provable(() => back.fence.prove(group)),
    obstacles: wayBack !== null && (await wayBack.isOpen(group, signal)) ? await wayBack.obstacles(group, signal) : null,
    last,
    lastBack: last?.kind === "rollback" ? last : null,
    cost: await back.check.cost(signal),
    isKnown: verifier.sides.direction === "reverse" && (await verifier.finalCheck.cost(signal)).oldestProofMs !== null,
    ready: await desk.returnPlan(group, signal),
    freeBytes: bavail * bsize,
  };
}

async function provable(prove: () => Promise<void>): Promise<string | null> {
  try {
    await prove();
    return null;
  } catch (thrown) {
    return asTailraceError(thrown).message;
  }
}
