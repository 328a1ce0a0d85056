/** Everything that preflight judges, looked at now. */
import { statfsSync } from "node:fs";
import { dirname } from "node:path";
import type { GroupId } from "../../core/vocabulary/ids.js";
import type { Known } from "../../core/contracts/source.js";
import { asTailraceError } from "../../core/errors.js";
import type { CutoverParts } from "../../services/cutover/parts.js";
import { predictPause } from "../../services/cutover/predict.js";
import type { PreflightFacts } from "../../services/cutover/preflight.js";
import { newestProof } from "../../services/verify/proof.js";
import type { Verifier } from "../../services/verify/verifier.js";
import type { Invocation } from "../invocation.js";
import type { CutoverWork } from "./open.js";
import { observe } from "../pipeline/observe.js";
import type { PipelineView } from "../watch/pipeline-view.js";

const lagMsDefault = 2_000;
const proofMs = 24 * 3_600_000;

export async function look(invocation: Invocation, open: CutoverWork): Promise<PreflightFacts> {
  const { settings, parts, verifier } = open;
  const { signal, options } = invocation;
  const { desk, group } = parts;
  const view = await observe(settings, signal);
  const numbers = parts.numbers.given();
  const facts = await desk.facts(group, signal);
  const ready = await desk.readyPlan(group, numbers, signal);
  const last = await desk.last(group, signal);
  const cost = await parts.check.cost(signal);
  // Others may be far behind, or stand still: the group's own place decides. As the source says it: who reads both ends one after the other counts what came in between.
  const lag = lagOf(open.group === null ? view.behind : view.groups?.find(({ id }) => id === group)?.behind);
  const prediction = predictPause({ facts, lagMs: lag.ms, dirtyRows: cost.dirtyRows, statements: ready.behind.length, last });
  const { bavail, bsize } = statfsSync(dirname(settings.source.path));
  return {
    facts,
    fence: await fenceOf(parts),
    services: { source: stateOf(view, "source", group), sink: stateOf(view, "sink", group) },
    lag,
    cost,
    different: await knownDifferences(verifier, signal),
    ready,
    numbers,
    last,
    prediction,
    freeBytes: bavail * bsize,
    wayBack: await wayBackOf(parts, stateOf(view, "reverse", group), signal),
    limits: { pauseMs: parts.limits.pauseMs, lagMs: options.durationMs("maxLag") ?? lagMsDefault, proofMs },
  };
}

async function knownDifferences({ store, plan }: Verifier, signal: AbortSignal): Promise<number | null> {
  const proof = await newestProof({ store, tables: plan.tables.map(({ source }) => source) }, signal);
  const ours = new Set(plan.tables.map(({ source }) => source));
  return proof === null
    ? null
    : proof.tables.filter(({ table }) => ours.has(table)).reduce((sum, { missing, extra, changed }) => sum + missing + extra + changed, 0);
}

function stateOf(view: PipelineView, name: string, group: GroupId): string {
  const found = view.services.find(({ service }) => service === name);
  return found?.groups?.find(({ id }) => id === group)?.state ?? found?.state ?? "unknown";
}

function lagOf(behind: PipelineView["behind"] | undefined): { readonly changes: Known<number>; readonly ms: Known<number> } {
  const known = (value: number | null): Known<number> =>
    value === null ? { kind: "unknown", why: behind?.why ?? "nobody answers" } : { kind: "known", value };
  return { changes: known(behind?.changes ?? null), ms: known(behind?.ms ?? null) };
}

async function wayBackOf({ wayBack, group }: CutoverParts, service: string, signal: AbortSignal): Promise<PreflightFacts["wayBack"]> {
  return wayBack === null ? null : { service, obstacles: await wayBack.obstacles(group, signal) };
}

async function fenceOf({ fence, group }: CutoverParts): Promise<PreflightFacts["fence"]> {
  try {
    await fence.prove(group);
    return { state: await fence.state(group), why: null };
  } catch (thrown) {
    return { state: null, why: asTailraceError(thrown).message };
  }
}
