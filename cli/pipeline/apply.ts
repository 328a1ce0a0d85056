/**
 * Installs a pipeline: target first, then topics, then the capture in the source. Each step can be repeated and none relies on the next, so a
 * crash in between is mended by running it again. The source comes last, because from then on the application pays for it, and because what
 * its re-installed triggers announce must find the new plan at the target.
 */
import { randomUUID } from "node:crypto";
import type { Settings } from "../../core/settings.js";
import { TailraceError } from "../../core/errors.js";
import type { TargetPlan } from "../../core/contracts/plan.js";
import type { BegunGroup, StaleTable, Target } from "../../core/contracts/target.js";
import { announceGroups } from "../../core/log/applied-board.js";
import { groupsOf } from "../../core/plan/groups.js";
import type { Invocation } from "../invocation.js";
import { type GroupId, rereadId, type TableId } from "../../core/vocabulary/ids.js";
import { capturedTables, installedTables, openInstaller, openRequests, sourceFile } from "./source.js";
import { type Proposal, propose, specsOf, withLog } from "./proposal.js";
import { gates } from "./survey.js";
import { withTarget } from "./target.js";

export interface Applied {
  readonly proposal: Proposal;
  /** SQL that was executed in the source. */
  readonly sourceSql: readonly string[];
}

export async function applyPipeline(invocation: Invocation, settings: Settings, options: { readonly setWal: boolean }): Promise<Applied> {
  const { signal, out } = invocation;
  return await withTarget(settings, signal, async (target) => {
    const proposal = await propose(
      settings,
      target,
      { census: false, now: new Date(), onStep: (what) => out.event("step", { what }) },
      signal,
    );
    refuse(settings, proposal, options);
    invocation.stage("changing");
    const applied = await install(invocation, settings, target, proposal, options);
    invocation.stage("checking");
    return applied;
  });
}

function refuse(settings: Settings, { survey }: Proposal, options: { readonly setWal: boolean }): void {
  const [first, ...others] = gates(survey);
  if (first !== undefined) {
    const more = others.length === 0 ? "" : ` (and ${others.length} more; \`tailrace plan\` lists all)`;
    throw new TailraceError("plan.refused", {
      what: `${first.what}${more}. ${first.remedy}`,
      where: { table: first.table, ...(first.column === undefined ? {} : { column: first.column }), finding: first.code },
    });
  }
  if (survey.plan.tables.length === 0) {
    throw new TailraceError("plan.refused", { what: "There is no table that can be captured", where: { path: settings.source.path } });
  }
  sourceFile(settings).refuseMode(options.setWal);
}

async function install(
  { out, signal }: Invocation,
  settings: Settings,
  target: Target,
  proposal: Proposal,
  options: { readonly setWal: boolean },
): Promise<Applied> {
  const { survey } = proposal;
  out.note("target: tables and state");
  const announced: BegunGroup[] = [];
  const announce = async (stale: readonly StaleTable[], begun: readonly BegunGroup[]): Promise<void> => {
    announced.push(...begun);
    await tell(settings, begun, signal);
    await readAgain(settings, stale);
  };
  const gone = await goneGroups(target, survey.plan, signal);
  try {
    await target.prepare(survey.plan, announce, signal);
  } catch (thrown) {
    // Nothing stands there: the source must not keep its log for it.
    await tell(settings, announced.map(without), signal);
    throw thrown;
  }
  await tell(settings, gone, signal);
  out.note("log: topics");
  await withLog(settings, "apply", (store) => store.ensure(specsOf(settings, survey), signal));
  out.note("source: capture");
  using open = openInstaller(settings);
  return { proposal, sourceSql: await open.apply(survey.captured, options) };
}

async function tell(settings: Settings, groups: Parameters<typeof announceGroups>[2], signal: AbortSignal): Promise<void> {
  if (groups.length > 0) await withLog(settings, "apply", (store) => announceGroups(store, settings.prefix, groups, signal));
}

const without = ({ group }: { readonly group: GroupId }): { readonly group: GroupId; readonly applied: null } => ({ group, applied: null });

/** Groups that the plan of before had and this one has not. */
async function goneGroups(target: Target, plan: TargetPlan, signal: AbortSignal): Promise<readonly ReturnType<typeof without>[]> {
  const before = await target.plan(signal);
  const there = new Set(groupsOf(plan).map(({ id }) => id));
  return before === null ? [] : groupsOf(before).flatMap(({ id }) => (there.has(id) ? [] : [without({ group: id })]));
}

/** Asked of the source before the target changes: a crash in between costs a re-read, not rows. What is not captured yet is read anyway. */
async function readAgain(settings: Settings, stale: readonly StaleTable[]): Promise<void> {
  const captured = installedTables(settings).length === 0 ? [] : capturedTables(settings);
  const of = (kind: StaleTable["rows"]): readonly TableId[] =>
    stale.filter(({ table, rows }) => rows === kind && captured.includes(table)).map(({ table }) => table);
  const [gone, differ] = [of("gone"), of("differ")];
  if (gone.length + differ.length === 0) return;
  using requests = openRequests(settings);
  if (gone.length > 0) await requests.refill(gone, rereadId(randomUUID()));
  if (differ.length > 0) await requests.reread(differ, rereadId(randomUUID()));
}
