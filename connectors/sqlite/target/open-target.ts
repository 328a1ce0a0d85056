/**
 * A SQLite file as a Target: the way back from PostgreSQL. Its tables are the application's and stay as they are; what is ours is `_cdc_applied` and
 * `_cdc_plan`. Each question opens the file and closes it again; the long-lived connection is the session's.
 */
import { type Clock, systemClock } from "../../../core/clock.js";
import type { AppliedCut } from "../../../core/contracts/log.js";
import type { TargetPlan } from "../../../core/contracts/plan.js";
import type { Conservation, Direction, Passed, Target, TargetSession } from "../../../core/contracts/target.js";
import { TailraceError } from "../../../core/errors.js";
import { type GroupId, type OwnerEpoch, type PipelineId, type TableId, theGroup } from "../../../core/vocabulary/ids.js";
import { type Database, openDatabase, withSqliteErrors } from "../database.js";
import { immediately } from "../write.js";
import { SqliteSession } from "./session.js";
import * as state from "./state.js";
import { takeTargetLock } from "./target-lock.js";
import { refuseFaults, wayBackFaults } from "./way-back-faults.js";

export interface SqliteTargetOptions {
  readonly path: string;
  readonly pipeline: PipelineId;
  /** Where the lock lies; all processes that may open this target must name the same. */
  readonly lockDirectory: string;
  /** Whose tables; default: `main`. Each group has its own owner and its own place in the log that it takes from. */
  readonly group?: GroupId;
  /** Whose changes it takes; default: those that come back. */
  readonly direction?: Direction;
  readonly clock?: Clock;
}

export const openSqliteTarget = (options: SqliteTargetOptions): Target => new SqliteTarget(options);

const busyTimeoutMs = 5_000;

class SqliteTarget implements Target {
  readonly #direction: Direction;
  readonly #group: GroupId;

  constructor(private readonly options: SqliteTargetOptions) {
    this.#direction = options.direction ?? "reverse";
    this.#group = options.group ?? theGroup;
  }

  async preview(plan: TargetPlan, signal: AbortSignal): Promise<readonly string[]> {
    signal.throwIfAborted();
    return this.#ask((database) => {
      const missing = this.#refuse(database, plan);
      return missing.length > 0 || !state.holdsPlan(database, this.#place(), plan) ? [...missing, "-- the plan, into _cdc_plan"] : [];
    });
  }

  /** The rows of the file are the application's own: none is ever stale. */
  async prepare(plan: TargetPlan, _announce: Parameters<Target["prepare"]>[1], signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    this.#ask((database) =>
      immediately(database, () => {
        for (const statement of this.#refuse(database, plan)) database.exec(statement);
        state.storePlan(database, this.#place(), plan);
      }),
    );
  }

  async plan(signal: AbortSignal): Promise<TargetPlan | null> {
    signal.throwIfAborted();
    return this.#ask((database) => state.readPlan(database, this.#place()));
  }

  async applied(group: GroupId, signal: AbortSignal): Promise<AppliedCut | null> {
    signal.throwIfAborted();
    return this.#ask((database) => state.readState(database, group)?.applied ?? null);
  }

  async passed(group: GroupId, signal: AbortSignal): Promise<Passed | null> {
    signal.throwIfAborted();
    return this.#ask((database) => state.readPassed(database, group));
  }

  async totals(group: GroupId, signal: AbortSignal): Promise<ReadonlyMap<TableId, Conservation>> {
    signal.throwIfAborted();
    return this.#ask((database) => (state.isPrepared(database) ? state.readTotals(database, group) : new Map()));
  }

  /** Its log holds the changes of its own tables alone. */
  elsewhere(): Promise<readonly TableId[]> {
    return Promise.resolve([]);
  }

  async setPaused(group: GroupId, paused: boolean, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    if (!this.#ask((database) => state.setPaused(database, group, paused))) throw this.#missing();
  }

  async paused(group: GroupId, signal: AbortSignal): Promise<boolean> {
    return (await this.watch(group, signal)).paused;
  }

  async watch(group: GroupId, signal: AbortSignal): Promise<{ readonly paused: boolean; readonly owner: OwnerEpoch | null }> {
    signal.throwIfAborted();
    const now = this.#ask((database) => state.readState(database, group));
    return { paused: now?.paused ?? false, owner: now?.active === true ? now.epoch : null };
  }

  async own(
    claim: { readonly group: GroupId; readonly direction: Direction; readonly takeoverMs: number },
    signal: AbortSignal,
  ): Promise<TargetSession> {
    const { path, pipeline, lockDirectory, clock = systemClock } = this.options;
    if (this.#ask((database) => state.readState(database, claim.group)) === null) throw this.#missing();
    const lock = await takeTargetLock({ path, group: claim.group, directory: lockDirectory, clock, waitMs: claim.takeoverMs }, signal);
    try {
      return SqliteSession.open({ path, place: { pipeline, group: claim.group, direction: claim.direction }, clock }, lock);
    } catch (thrown) {
      lock[Symbol.dispose]();
      throw thrown;
    }
  }

  async destroy(_options: { readonly tables: boolean }, signal: AbortSignal): Promise<readonly string[]> {
    signal.throwIfAborted();
    return this.#ask((database) => immediately(database, () => state.destroyState(database, this.#group)));
  }

  /** Nothing to release: every question has closed its connection. */
  async [Symbol.asyncDispose](): Promise<void> {}

  /** Answers what is to be created. */
  #refuse(database: Database, plan: TargetPlan): readonly string[] {
    const { path, pipeline } = this.options;
    if (plan.pipeline !== pipeline)
      throw new TailraceError("internal", { what: `a plan of pipeline ${plan.pipeline} for a target of ${pipeline}` });
    const other = state.otherPipeline(database, pipeline);
    if (other !== null) {
      throw new TailraceError("source.other-pipeline", {
        what: `Pipeline '${other}' already writes back to this file`,
        where: { path, pipeline: other },
      });
    }
    refuseFaults(wayBackFaults(database, plan));
    return state.missingTables(database);
  }

  #place(): state.Place {
    return { pipeline: this.options.pipeline, group: this.#group, direction: this.#direction };
  }

  #ask<T>(work: (database: Database) => T): T {
    const { path } = this.options;
    const database = openDatabase(path, { readonly: false, busyTimeoutMs });
    try {
      return withSqliteErrors(path, () => work(database));
    } finally {
      database.close();
    }
  }

  #missing(): TailraceError {
    return new TailraceError("plan.missing", {
      what: "The file holds no plan of this pipeline",
      where: { pipeline: this.options.pipeline },
    });
  }
}
