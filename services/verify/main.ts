/** Wires verification: which connector stands behind which contract. */
import { openDuckDbRequests } from "../../connectors/duckdb/requests.js";
import { openDuckDbRowReader } from "../../connectors/duckdb/row-reader.js";
import { openPostgresRowReader } from "../../connectors/postgres/row-reader.js";
import { openTargetText } from "../../connectors/postgres/target-text.js";
import { forwardGroups } from "../../connectors/postgres/cutover/forward-groups.js";
import { connectTarget } from "../../connectors/postgres/connect.js";
import { openVerificationStore } from "../../connectors/postgres/verification-store.js";
import { openSqliteRequests } from "../../connectors/sqlite/requests.js";
import { openSqliteRowReader } from "../../connectors/sqlite/row-reader.js";
import type { Clock } from "../../core/clock.js";
import type { TargetPlan } from "../../core/contracts/plan.js";
import type { ChangedKeys, RowReader } from "../../core/contracts/row-reader.js";
import type { SourceRequests } from "../../core/contracts/source.js";
import { disposeQuietly } from "../../core/dispose.js";
import { TailraceError } from "../../core/errors.js";
import type { TargetText } from "../../core/mapping/hashed-row.js";
import { groupsOf, planOfGroup } from "../../core/plan/groups.js";
import type { Secret } from "../../core/secret.js";
import type { Settings } from "../../core/settings.js";
import { type GroupId, type TableId, theGroup } from "../../core/vocabulary/ids.js";
import type { TableDescription } from "../../core/vocabulary/table.js";
import type { Logger } from "../../core/logger.js";
import type { Metrics } from "../../core/metrics.js";
import { finalCheck } from "./final-check.js";
import type { Verifier } from "./verifier.js";
import { VerifyService } from "./verify-service.js";

export interface VerifierHost {
  readonly clock: Clock;
  /** How long a target that does not move is waited for. */
  readonly stallMs: number;
  /** Only this group's tables; absent: all. */
  readonly group?: GroupId;
}

/** `url`: of the target, or of the embedded PostgreSQL that the caller holds. Rejects with `plan.missing` before `apply`. */
export async function openVerifier(settings: Settings, url: Secret, host: VerifierHost, signal: AbortSignal): Promise<Verifier> {
  const { pipeline } = settings;
  const group = theGroup;
  const held: AsyncDisposable[] = [];
  const hold = <T extends AsyncDisposable>(it: T): T => {
    held.unshift(it);
    return it;
  };
  try {
    const whole = await planOf(settings, url, signal);
    const plan = host.group === undefined ? await forwardPlan({ url, pipeline }, whole, signal) : planOfGroup(whole, host.group);
    const text = hold(openTargetText(url));
    const reader = hold(openSourceReader(settings, { plan, targetText: text.ask }, host));
    const describe: Parameters<typeof openPostgresRowReader>[0]["describe"] = (table) => reader.describe(table);
    const target = hold(await openPostgresRowReader({ url, pipeline, group, plan, describe }, signal));
    const store = hold(await openVerificationStore({ url, pipeline, group }, signal));
    const requests = openSourceRequests(settings, host);
    hold({ [Symbol.asyncDispose]: async () => requests[Symbol.dispose]() });
    const plans = new Map(plan.tables.map((table) => [table.source, table]));
    const sides = { source: reader, target, changes: reader, plans, clock: host.clock, stallMs: host.stallMs };
    return {
      plan,
      sides,
      store,
      requests,
      finalCheck: finalCheck({ sides, store, tables: [...plans.keys()] }),
      [Symbol.asyncDispose]: () => disposeAll(held),
    };
  } catch (thrown) {
    await disposeAll(held);
    throw thrown;
  }
}

type SourceReader = RowReader & ChangedKeys & { describe(table: TableId): TableDescription };

function openSourceReader(
  { source, pipeline, stateDirectory }: Settings,
  what: { readonly plan: TargetPlan; readonly targetText: TargetText },
  { clock }: VerifierHost,
): SourceReader {
  const group = theGroup;
  if (source.kind === "sqlite") return openSqliteRowReader({ path: source.path, pipeline, group, ...what });
  // It reads beside the process that compares, which has the memory of the settings.
  const memoryMb = Math.max(leastMemoryMb, Math.floor(source.memoryMb / 2));
  return openDuckDbRowReader({ path: source.path, pipeline, group, stateDirectory, clock, memoryMb, ...what });
}

const leastMemoryMb = 200;

function openSourceRequests({ source, pipeline, stateDirectory }: Settings, { stallMs }: VerifierHost): SourceRequests {
  if (source.kind === "sqlite") return openSqliteRequests({ path: source.path, pipeline, group: theGroup });
  return openDuckDbRequests({ path: source.path, pipeline, stateDirectory, answerMs: stallMs });
}

export interface ServiceHost {
  readonly metrics: Metrics;
  readonly log: Logger;
  readonly clock: Clock;
}

/** Opens both sides when it runs, again for each session. */
export function openVerifyService(settings: Settings, url: Secret, host: ServiceHost): VerifyService {
  return new VerifyService({
    ...host,
    pipeline: settings.pipeline,
    rowsPerSecond: settings.verify.rowsPerSecond,
    open: (signal) => openVerifier(settings, url, { clock: host.clock, stallMs: serviceStallMs }, signal),
  });
}

const serviceStallMs = 60_000;

/** What the application has taken over streams the other way: its rows are ahead of the file's, and no applied cut speaks of them. */
async function forwardPlan(place: Parameters<typeof forwardGroups>[0], plan: TargetPlan, signal: AbortSignal): Promise<TargetPlan> {
  const groups = await forwardGroups(place, groupsOf(plan), signal);
  const forward = new Set(groups.map(({ id }) => id));
  return forward.size === 0 ? plan : { ...plan, tables: plan.tables.filter(({ group }) => forward.has(group)) };
}

async function planOf({ pipeline }: Settings, url: Secret, signal: AbortSignal): Promise<TargetPlan> {
  await using target = await connectTarget({ url, pipeline }, signal);
  const plan = await target.plan(signal);
  if (plan === null) throw new TailraceError("plan.missing", { what: "The target holds no plan of this pipeline", where: { pipeline } });
  return plan;
}

async function disposeAll(held: AsyncDisposable[]): Promise<void> {
  for (const it of held.splice(0)) await disposeQuietly(it);
}
