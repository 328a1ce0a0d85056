/** Wires verification: which connector stands behind which contract. */
import { placeOfFile } from "../../connectors/duckdb/fence/tombstone.js";
import { openDuckDbRequests } from "../../connectors/duckdb/requests.js";
import { openDuckDbRowReader } from "../../connectors/duckdb/row-reader.js";
import { readDirection } from "../../connectors/postgres/direction.js";
import { openPostgresRowReader } from "../../connectors/postgres/row-reader.js";
import { openPostgresLeading } from "../../connectors/postgres/source/leading.js";
import { openTargetText } from "../../connectors/postgres/target-text.js";
import { forwardGroups } from "../../connectors/postgres/cutover/forward-groups.js";
import { connectTarget } from "../../connectors/postgres/connect.js";
import { openVerificationStore } from "../../connectors/postgres/verification-store.js";
import { openSqliteRequests } from "../../connectors/sqlite/requests.js";
import { openSqliteRowReader } from "../../connectors/sqlite/row-reader.js";
import { openSqliteFollowing, type SqliteFollowing } from "../../connectors/sqlite/target/follower.js";
import type { Clock } from "../../core/clock.js";
import type { TargetPlan } from "../../core/contracts/plan.js";
import type { ChangedKeys, RowReader } from "../../core/contracts/row-reader.js";
import type { SourceRequests } from "../../core/contracts/source.js";
import type { VerificationStore } from "../../core/contracts/verification.js";
import { disposeQuietly } from "../../core/dispose.js";
import { TailraceError } from "../../core/errors.js";
import type { TargetText } from "../../core/mapping/hashed-row.js";
import { groupsOf, planOfGroup } from "../../core/plan/groups.js";
import type { Secret } from "../../core/secret.js";
import type { Settings } from "../../core/settings.js";
import { type GroupId, type TableId, theGroup } from "../../core/vocabulary/ids.js";
import { position } from "../../core/vocabulary/position.js";
import type { TableDescription } from "../../core/vocabulary/table.js";
import type { Logger } from "../../core/logger.js";
import type { Metrics } from "../../core/metrics.js";
import { backCheck } from "./back-check.js";
import { backSides } from "./back-sides.js";
import { finalCheck } from "./final-check.js";
import type { Sides } from "./sides.js";
import type { Verifier } from "./verifier.js";
import { VerifyService } from "./verify-service.js";

export interface VerifierHost {
  readonly clock: Clock;
  /** How long a target that does not move is waited for. */
  readonly stallMs: number;
  /** Only this group's tables; absent: all. */
  readonly group?: GroupId;
}

/** A DuckDB file that lies aside is compared by the rollback alone; whoever else would compare it hears so. */
export function refuseAside({ source: { kind, path } }: Settings): void {
  if (kind === "duckdb" && placeOfFile(path).kind === "aside")
    throw new TailraceError("verify.file-aside", { what: "The file lies aside since a cutover", where: { path } });
}

/** `url`: of the target, or of the embedded PostgreSQL that the caller holds. Rejects with `plan.missing` before `apply`. */
export async function openVerifier(settings: Settings, url: Secret, host: VerifierHost, signal: AbortSignal): Promise<Verifier> {
  const { pipeline } = settings;
  const held: AsyncDisposable[] = [];
  const hold = <T extends AsyncDisposable>(it: T): T => {
    held.unshift(it);
    return it;
  };
  try {
    const { plan, group } = await scopeOf({ url, pipeline }, { whole: await planOf(settings, url, signal), group: host.group }, signal);
    const text = hold(openTargetText(url));
    const store = hold(await openVerificationStore({ url, pipeline, group: theGroup }, signal));
    const opening = { settings, url, plan, group: group ?? theGroup, targetText: text.ask, host, store, hold };
    const direction = group === null ? "forward" : await readDirection({ url, pipeline, group }, signal);
    const { source } = settings;
    // A DuckDB file that lies aside is compared by the rollback alone, row by row: its reader answers nothing until then.
    const compared =
      direction === "reverse" && source.kind === "sqlite"
        ? await openReverse({ ...opening, path: source.path }, signal)
        : await openForward(opening, signal);
    return { plan, store, ...compared, [Symbol.asyncDispose]: () => disposeAll(held) };
  } catch (thrown) {
    await disposeAll(held);
    throw thrown;
  }
}

interface Opening {
  readonly settings: Settings;
  readonly url: Secret;
  readonly plan: TargetPlan;
  readonly group: GroupId;
  readonly targetText: TargetText;
  readonly host: VerifierHost;
  readonly store: VerificationStore;
  readonly hold: <T extends AsyncDisposable>(it: T) => T;
}
type Compared = Pick<Verifier, "sides" | "requests" | "repairs" | "finalCheck">;

async function openForward({ settings, url, plan, group, targetText, host, store, hold }: Opening, signal: AbortSignal): Promise<Compared> {
  const { pipeline } = settings;
  const reader = hold(openSourceReader(settings, { plan, targetText }, host));
  const describe: Parameters<typeof openPostgresRowReader>[0]["describe"] = (table) => reader.describe(table);
  const target = hold(await openPostgresRowReader({ url, pipeline, group, plan, describe }, signal));
  const requests = openSourceRequests(settings, host);
  hold({ [Symbol.asyncDispose]: async () => requests[Symbol.dispose]() });
  const sides: Sides = { direction: "forward", source: reader, target, changes: reader, ...common(plan, host) };
  return { sides, requests, repairs: requests, finalCheck: finalCheck({ sides, store, tables: plan.tables.map(({ source }) => source) }) };
}

/** While applications write to PostgreSQL. `path`: of the SQLite file that follows. */
async function openReverse(
  { settings: { pipeline }, url, plan, group, path, targetText, host, hold }: Opening & { readonly path: string },
  signal: AbortSignal,
): Promise<Compared> {
  const following = hold(openSqliteFollowing({ path, pipeline, group, plan, targetText }));
  const describe: SqliteFollowing["describe"] = (table) => following.describe(table);
  const leading = hold(await openPostgresLeading({ url, pipeline, group, plan, describe, clock: host.clock }, signal));
  const parts = { leading, following, ...common(plan, host) };
  const sides = backSides({ ...parts, standing: false });
  return {
    sides,
    requests: following,
    repairs: {
      touch: (table, keys) => leading.touch([{ table, keys }], signal),
      marker: async () => position((await following.rows.position(signal)).history, await leading.mark(signal)),
    },
    finalCheck: backCheck({ sides, standing: backSides({ ...parts, standing: true }), following }),
  };
}

const common = ({ tables }: TargetPlan, { clock, stallMs }: VerifierHost): Pick<Sides, "plans" | "clock" | "stallMs"> => ({
  plans: new Map(tables.map((table) => [table.source, table])),
  clock,
  stallMs,
});

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
    open: async (signal) => {
      refuseAside(settings);
      return await openVerifier(settings, url, { clock: host.clock, stallMs: serviceStallMs }, signal);
    },
  });
}

const serviceStallMs = 60_000;

interface Scope {
  readonly plan: TargetPlan;
  /** The only one of the plan's tables; null: they are of several, which stream forward. */
  readonly group: GroupId | null;
}

/**
 * The group that is asked for; else all that stream forward. What the application has taken over streams the other way: its rows are ahead of the file's, and
 * no applied cut speaks of them. Where all have been taken over, the first.
 */
async function scopeOf(
  place: Parameters<typeof forwardGroups>[0],
  { whole, group }: { readonly whole: TargetPlan; readonly group: GroupId | undefined },
  signal: AbortSignal,
): Promise<Scope> {
  const groups = groupsOf(whole);
  const forward = group === undefined ? await forwardGroups(place, groups, signal) : groups.filter(({ id }) => id === group);
  const [first = groups[0], ...others] = forward;
  if (others.length === 0)
    return first === undefined ? { plan: whole, group: theGroup } : { plan: planOfGroup(whole, first.id), group: first.id };
  const ids = new Set(forward.map(({ id }) => id));
  return { plan: { ...whole, tables: whole.tables.filter((table) => ids.has(table.group)) }, group: null };
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
