/**
 * PostgreSQL as a Target: each question on a connection of its own, closed with the answer; the long-lived ones belong to the session, but for the one
 * that `watch` keeps.
 */
import type { Clock } from "../../core/clock.js";
import type { AppliedCut } from "../../core/contracts/log.js";
import type { TargetPlan } from "../../core/contracts/plan.js";
import type {
  BegunGroup,
  Conservation,
  Direction,
  Passed,
  StaleTable,
  Target,
  TargetSession,
  WhenSwitched,
} from "../../core/contracts/target.js";
import { disposeQuietly } from "../../core/dispose.js";
import { TailraceError } from "../../core/errors.js";
import { type GroupId, type OwnerEpoch, ownerEpoch, type PipelineId, type TableId } from "../../core/vocabulary/ids.js";
import { Connection } from "./connection.js";
import type { ConnectionSettings } from "./connection-url.js";
import { destroyPipeline } from "./destroy.js";
import { sqlState, withTargetErrors } from "./pg-errors.js";
import { preparation, prepare } from "./prepare.js";
import { PostgresSession } from "./session.js";
import { readActiveState, readPassed, readTotals } from "./state.js";
import { stateExists } from "./state-schema.js";
import { readElsewhere, readStoredPlan } from "./stored-plan.js";

/** A few rows of our own state, for which somebody's lock is waited for as well. */
const answerMsMax = 20_000;

export interface PostgresTargetOptions {
  readonly settings: ConnectionSettings;
  readonly pipeline: PipelineId;
  readonly applicationName: string;
  readonly clock: Clock;
}

export class PostgresTarget implements Target {
  /** Of `watch`, which is asked twice a second for weeks: to open one costs the server a process, and both sides a password's hash. */
  #watching: Connection | null = null;

  constructor(private readonly options: PostgresTargetOptions) {}

  async preview(plan: TargetPlan, signal: AbortSignal): Promise<readonly string[]> {
    this.#assertOurs(plan);
    return this.#ask(signal, async (connection) => (await preparation(connection, plan)).statements);
  }

  async prepare(
    plan: TargetPlan,
    announce: (stale: readonly StaleTable[], begun: readonly BegunGroup[]) => Promise<void>,
    signal: AbortSignal,
  ): Promise<void> {
    this.#assertOurs(plan);
    await this.#ask(signal, (connection) => prepare(connection, plan, announce));
  }

  async plan(signal: AbortSignal): Promise<TargetPlan | null> {
    return this.#askState(signal, null, (connection) => readStoredPlan(connection, this.options.pipeline));
  }

  async applied(group: GroupId, signal: AbortSignal): Promise<AppliedCut | null> {
    return this.#askState(signal, null, async (connection) => {
      return (await readActiveState(connection, this.options.pipeline, group))?.applied ?? null;
    });
  }

  async passed(group: GroupId, signal: AbortSignal): Promise<Passed | null> {
    return this.#askState(signal, null, (connection) => readPassed(connection, this.options.pipeline, group));
  }

  async totals(group: GroupId, signal: AbortSignal): Promise<ReadonlyMap<TableId, Conservation>> {
    const place = { pipeline: this.options.pipeline, group, direction: "forward" as const };
    return this.#askState(signal, new Map(), (connection) => readTotals(connection, place));
  }

  async elsewhere(group: GroupId, signal: AbortSignal): Promise<readonly TableId[]> {
    return this.#askState(signal, [], (connection) => readElsewhere(connection, this.options.pipeline, group));
  }

  async setPaused(group: GroupId, paused: boolean, signal: AbortSignal): Promise<void> {
    const { pipeline } = this.options;
    const text = `UPDATE tailrace.consistency_group SET paused = $3, paused_at = CASE WHEN $3 THEN coalesce(paused_at, now()) END
                  WHERE pipeline = $1 AND group_id = $2`;
    const changed = await this.#askState(signal, 0, async (connection) => {
      return (await connection.query({ text, values: [pipeline, group, paused] })).rowCount ?? 0;
    });
    if (changed === 0) throw new TailraceError("plan.missing", { what: "The target holds no plan of this pipeline", where: { pipeline } });
  }

  async paused(group: GroupId, signal: AbortSignal): Promise<boolean> {
    return (await this.#ask(signal, (connection) => readWatched(connection, this.options.pipeline, group), { answerMsMax })).paused;
  }

  async watch(group: GroupId, signal: AbortSignal): Promise<Watched> {
    signal.throwIfAborted();
    const { settings, applicationName, pipeline } = this.options;
    const connection = (this.#watching ??= await Connection.open(settings, { applicationName, pipelined: false, answerMsMax }));
    try {
      return await withTargetErrors(() => readWatched(connection, pipeline, group));
    } catch (thrown) {
      // Whatever was wrong with it, the next question begins with a new one.
      this.#watching = null;
      await disposeQuietly(connection);
      throw thrown;
    }
  }

  async own(
    claim: { readonly group: GroupId; readonly direction: Direction; readonly takeoverMs: number; readonly whenSwitched?: WhenSwitched },
    signal: AbortSignal,
  ): Promise<TargetSession> {
    const { settings, applicationName, clock, pipeline } = this.options;
    const prepared = await this.#ask(signal, stateExists, { answerMsMax });
    if (!prepared) throw new TailraceError("plan.missing", { what: "The target holds no plan of this pipeline", where: { pipeline } });
    const place = { pipeline, group: claim.group, direction: claim.direction };
    const { takeoverMs, whenSwitched = "reject" } = claim;
    return withTargetErrors(() => PostgresSession.open({ settings, applicationName, clock, place, takeoverMs, whenSwitched }, signal));
  }

  async destroy(options: { readonly tables: boolean }, signal: AbortSignal): Promise<readonly string[]> {
    return this.#ask(signal, (connection) => destroyPipeline(connection, this.options.pipeline, options));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const watching = this.#watching;
    this.#watching = null;
    await disposeQuietly(watching);
  }

  /** `work` may take long: tables are made and dropped. */
  async #ask<T>(
    signal: AbortSignal,
    work: (connection: Connection) => Promise<T>,
    answer: { readonly answerMsMax?: number } = {},
  ): Promise<T> {
    signal.throwIfAborted();
    const { settings, applicationName } = this.options;
    await using connection = await Connection.open(settings, { applicationName, pipelined: false, ...answer });
    return await withTargetErrors(() => work(connection));
  }

  async #askState<T>(signal: AbortSignal, whenMissing: T, work: (connection: Connection) => Promise<T>): Promise<T> {
    return this.#ask(signal, async (connection) => ((await stateExists(connection)) ? work(connection) : whenMissing), { answerMsMax });
  }

  #assertOurs(plan: TargetPlan): void {
    if (plan.pipeline === this.options.pipeline) return;
    throw new TailraceError("internal", { what: `a plan of pipeline ${plan.pipeline} for a target of ${this.options.pipeline}` });
  }
}

interface Watched {
  readonly paused: boolean;
  readonly owner: OwnerEpoch | null;
}
const undefinedTable = "42P01";
const unplanned: Watched = { paused: false, owner: null };

async function readWatched(connection: Connection, pipeline: PipelineId, group: GroupId): Promise<Watched> {
  try {
    const [row] = await connection.rows<{ paused: boolean; owner_epoch: string | null }>(
      `SELECT g.paused, p.owner_epoch FROM tailrace.consistency_group AS g
       LEFT JOIN tailrace.pipeline AS p ON p.pipeline = g.pipeline AND p.group_id = g.group_id AND p.active
       WHERE g.pipeline = $1 AND g.group_id = $2`,
      [pipeline, group],
    );
    const epoch = row?.owner_epoch ?? null;
    return { paused: row?.paused === true, owner: epoch === null ? null : ownerEpoch(Number(epoch)) };
  } catch (thrown) {
    // Nothing was prepared, or all of it was destroyed. One question, not two.
    if (sqlState(thrown) === undefinedTable) return unplanned;
    throw thrown;
  }
}
