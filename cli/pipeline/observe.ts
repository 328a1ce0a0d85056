/** Asks services and target what they say of themselves, each for a short time and none of them needed. */
import type { TargetPlan } from "../../core/contracts/plan.js";
import { sidesOf } from "../../connectors/postgres/cutover/forward-groups.js";
import type { AppliedCut } from "../../core/contracts/log.js";
import type { Conservation, Target } from "../../core/contracts/target.js";
import { asTailraceError } from "../../core/errors.js";
import { groupsOf, mainGroup, type TableGroup } from "../../core/plan/groups.js";
import type { Secret } from "../../core/secret.js";
import type { Settings } from "../../core/settings.js";
import type { ServiceName, ServiceStatus } from "../../core/status.js";
import { timeLimit } from "../../core/time-limit.js";
import { type GroupId, type TableId, theGroup } from "../../core/vocabulary/ids.js";
import { comparePositions, formatPosition, parsePosition } from "../../core/vocabulary/position.js";
import {
  type FileFacts,
  type Heard,
  type Observed,
  type PipelineView,
  type TargetFacts,
  type VerificationView,
  viewOf,
} from "../watch/pipeline-view.js";
import type { GroupFactsView } from "../watch/group-view.js";
import { type HttpPlace, httpBase } from "./places.js";
import { measuredFile } from "./source.js";
import { provenNow } from "./proven.js";
import { withTarget } from "./target.js";
import { directionOf, openWayHome } from "./way-back.js";

const servicePatienceMs = 5_000;
/** A dozen questions one after the other, each over the network; who refuses connections is not waited for. */
const targetPatienceMs = 10_000;

/** From the end of the path to its beginning, so that nothing seems to be ahead of what it comes from. */
export async function observe(settings: Settings, signal: AbortSignal): Promise<PipelineView> {
  const sink = await askService(settings, "sink", signal);
  const target = await askTarget(settings, sink, signal);
  const source = await askService(settings, "source", signal);
  const file = source.kind === "heard" ? null : measureFile(settings, target);
  const verify = settings.verify.rowsPerSecond > 0 ? await askService(settings, "verify", signal) : null;
  const reverse = await askService(settings, "reverse", signal);
  const [ofSource, ofSink, ofVerify, ofReverse] = await Promise.all([
    orSupervisor(settings, "source", source, signal),
    orSupervisor(settings, "sink", sink, signal),
    verify === null ? null : orSupervisor(settings, "verify", verify, signal),
    orSupervisor(settings, "reverse", reverse, signal),
  ]);
  const verification = target.kind === "heard" ? target.value.verification : null;
  return viewOf({
    pipeline: settings.pipeline,
    source: ofSource,
    sink: ofSink,
    verify: ofVerify,
    reverse: ofReverse,
    verification,
    target,
    file,
  } satisfies Observed);
}

/** The supervisor of a service that has ended remembers why. */
async function orSupervisor(
  settings: Settings,
  service: ServiceName,
  heard: Heard<ServiceStatus>,
  signal: AbortSignal,
): Promise<Heard<ServiceStatus>> {
  if (heard.kind === "heard") return heard;
  const all = await askStatus<Partial<PipelineView>>(settings, "all", signal);
  const said = all.kind === "heard" ? all.value.services?.find((one) => one.service === service) : undefined;
  if (said === undefined) return heard;
  if (said.state === "unreachable") return { kind: "silent", why: said.why ?? heard.why };
  const { state, why, code, attempt, sinceMs } = said;
  return {
    kind: "heard",
    value: { service, pipeline: settings.pipeline, state, why, code, attempt, sinceMs: sinceMs ?? 0, position: null, details: {} },
  };
}

/** Nobody answers for the source, but its file can still be read. */
function measureFile(settings: Settings, target: Heard<TargetFacts>): Heard<FileFacts> {
  try {
    const applied = target.kind === "heard" && target.value.applied !== null ? parsePosition(target.value.applied) : null;
    const file = measuredFile(settings, applied);
    if (target.kind === "heard") return { kind: "heard", value: { ...file, ...measuredGroups(settings, target.value.groups) } };
    // What the target has is not known, so neither is the distance.
    const unknown = { kind: "unknown", why: target.why } as const;
    return { kind: "heard", value: { ...file, changes: unknown, ms: unknown } };
  } catch (thrown) {
    return { kind: "silent", why: asTailraceError(thrown).message };
  }
}

function measuredGroups(settings: Settings, groups: TargetFacts["groups"]): Pick<FileFacts, "groups"> {
  if (groups === undefined) return {};
  const lagOf = (applied: string | null): FileFacts => measuredFile(settings, applied === null ? null : parsePosition(applied));
  return { groups: new Map(groups.map(({ id, applied }) => [id, lagOf(applied)])) };
}

const askService = (settings: Settings, service: ServiceName, signal: AbortSignal): Promise<Heard<ServiceStatus>> =>
  askStatus<ServiceStatus>(settings, service, signal);

async function askStatus<T extends { readonly pipeline?: string }>(
  settings: Settings,
  place: HttpPlace,
  signal: AbortSignal,
): Promise<Heard<T>> {
  const base = httpBase(settings, place);
  using limit = timeLimit(signal, servicePatienceMs);
  try {
    const response = await fetch(`${base}/status`, { signal: limit.signal });
    const status = (await response.json()) as T;
    if (status.pipeline !== settings.pipeline) return { kind: "silent", why: `${base} belongs to another pipeline` };
    return { kind: "heard", value: status };
  } catch {
    signal.throwIfAborted();
    return { kind: "silent", why: `nothing answers at ${base}` };
  }
}

async function askTarget(settings: Settings, sink: Heard<ServiceStatus>, signal: AbortSignal): Promise<Heard<TargetFacts>> {
  // Asking must not start a server.
  if (settings.target.url === null && sink.kind === "silent") return { kind: "silent", why: "the embedded PostgreSQL is not running" };
  using limit = timeLimit(signal, targetPatienceMs);
  const short = limit.signal;
  try {
    return { kind: "heard", value: await withTarget(settings, short, (target, place) => factsOf(settings, target, place.url, short)) };
  } catch (thrown) {
    signal.throwIfAborted();
    return { kind: "silent", why: short.aborted ? `no answer within ${targetPatienceMs / 1000} s` : asTailraceError(thrown).message };
  }
}

async function factsOf(settings: Settings, target: Target, url: Secret, signal: AbortSignal): Promise<TargetFacts> {
  const plan = await target.plan(signal);
  const groups = await groupFacts(settings, { target, url, plan }, signal);
  const forward = groups.some(({ view }) => view.side !== "target") ? groups.filter(({ view }) => view.side !== "target") : groups;
  const least = forward.reduce((a, b) => (isBehind(b, a) ? b : a));
  const direction = await directionOf(settings, { url, groups: groupsOf(plan) }, signal);
  // What follows is the file by then, and what it has is what came back.
  const follower = direction === "forward" ? null : await followerOf(settings, { url, group: least.id }, signal);
  const cut = direction === "forward" ? least.applied : ((await follower?.applied(least.id, signal)) ?? null);
  const totals =
    direction === "forward"
      ? new Map(groups.flatMap((group) => [...group.totals]))
      : ((await follower?.totals(least.id, signal)) ?? new Map<TableId, Conservation>());
  const streaming =
    plan === null ? null : { ...plan, tables: plan.tables.filter((table) => forward.some(({ view }) => view.id === table.group)) };
  return {
    direction,
    applied: cut === null ? null : formatPosition(cut.position),
    phase: cut?.phase ?? null,
    paused: groups.some(({ view }) => view.paused),
    verification: streaming === null ? null : await provenOf(settings, url, streaming, signal),
    tables: (plan?.tables ?? []).map(({ source, target: { schema, name } }) => {
      const counts = totals.get(source);
      return {
        table: source,
        target: `${schema}.${name}`,
        taken: counts?.taken ?? 0,
        applied: (counts?.applied ?? 0) + (counts?.replayed ?? 0),
      };
    }),
    ...(groups.length > 1 ? { groups: groups.map(({ view }) => view) } : {}),
  };
}

/** Null: nothing comes back. */
async function followerOf(
  settings: Settings,
  place: { readonly url: Secret; readonly group: GroupId },
  signal: AbortSignal,
): Promise<Target | null> {
  try {
    return (await openWayHome(settings, place, signal)).home;
  } catch (thrown) {
    if (asTailraceError(thrown).code === "verify.no-way-back") return null;
    throw thrown;
  }
}

interface GroupFacts {
  readonly id: GroupId;
  readonly view: GroupFactsView;
  readonly applied: AppliedCut | null;
  readonly totals: ReadonlyMap<TableId, Conservation>;
}

async function groupFacts(
  { pipeline }: Settings,
  { target, url, plan }: { readonly target: Target; readonly url: Secret; readonly plan: TargetPlan | null },
  signal: AbortSignal,
): Promise<readonly [GroupFacts, ...GroupFacts[]]> {
  const groups = groupsOf(plan);
  const sides = groups.length === 1 ? new Map<GroupId, GroupFactsView["side"]>() : await sidesOf({ url, pipeline }, groups, signal);
  const factsOfOne = async ({ id, name, tables }: TableGroup): Promise<GroupFacts> => {
    const applied = await target.applied(id, signal);
    const position = applied === null ? null : formatPosition(applied.position);
    const paused = await target.paused(id, signal);
    const names = tables.map(({ source }) => source);
    const view = {
      group: name,
      id,
      side: sides.get(id) ?? "source",
      paused,
      phase: applied?.phase ?? null,
      applied: position,
      tables: names,
    };
    return { id, view, applied, totals: await target.totals(id, signal) };
  };
  const [first = { id: theGroup, name: mainGroup, tables: [] }, ...others] = groups;
  const facts: [GroupFacts, ...GroupFacts[]] = [await factsOfOne(first)];
  for (const group of others) facts.push(await factsOfOne(group));
  return facts;
}

/** A group that has applied nothing is behind all others. */
const isBehind = (a: GroupFacts, b: GroupFacts): boolean =>
  b.applied !== null && (a.applied === null || comparePositions(a.applied.position, b.applied.position) < 0);

/** Null: this target does not know verification yet. */
async function provenOf(settings: Settings, url: Secret, plan: TargetPlan, signal: AbortSignal): Promise<VerificationView | null> {
  try {
    return await provenNow(settings, url, plan, signal);
  } catch (thrown) {
    if (asTailraceError(thrown).code === "plan.changed") return null;
    throw thrown;
  }
}
