/**
 * A DuckDB file as a Target: the way back from PostgreSQL. Its tables are the application's and stay as they are; what is ours in it is `_cdc_applied` and
 * `_cdc_plan`. Only an owner opens the file, and only while it writes; every other question is answered by what the last owner has left (board.ts).
 */
import { mkdirSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { isDeepStrictEqual } from "node:util";
import { type Clock, systemClock } from "../../../core/clock.js";
import type { AppliedCut } from "../../../core/contracts/log.js";
import type { TargetPlan } from "../../../core/contracts/plan.js";
import type { Conservation, Direction, Passed, Target, TargetSession } from "../../../core/contracts/target.js";
import { disposeQuietly } from "../../../core/dispose.js";
import { TailraceError } from "../../../core/errors.js";
import { appliedCutFromJson } from "../../../core/log/applied-cut-json.js";
import {
  type GroupId,
  markerId,
  type OwnerEpoch,
  ownerEpoch,
  type PipelineId,
  type TableId,
  tableId,
} from "../../../core/vocabulary/ids.js";
import { CaptureDirectory } from "../capture-directory.js";
import { EngineProcess } from "../engine/engine-process.js";
import type { Apply } from "./apply.js";
import { TargetBoard } from "./board.js";
import { stateTables } from "./file-state.js";
import { DuckDbSession, type SessionOptions } from "./session.js";
import { refuseFaults, wayBackFaults } from "./way-back-faults.js";

export interface DuckDbTargetOptions {
  readonly path: string;
  readonly pipeline: PipelineId;
  readonly stateDirectory: string;
  /** Where the file may be opened; rejects while it is the application's. */
  readonly home: () => string;
  /** Whose changes it takes; default: those that come back. */
  readonly direction?: Direction;
  readonly memoryMb?: number;
  readonly clock?: Clock;
  /** The engine's built program. */
  readonly program?: string;
}

export const openDuckDbTarget = (options: DuckDbTargetOptions): Target => new DuckDbTarget(options);

const defaultMemoryMb = 512;
const askOwnerMs = 50;
const ownerGoesMs = 15_000;

class DuckDbTarget implements Target {
  readonly #directory: CaptureDirectory;
  readonly #board: TargetBoard;
  readonly #clock: Clock;

  constructor(private readonly options: DuckDbTargetOptions) {
    this.#directory = new CaptureDirectory(options);
    this.#board = new TargetBoard(join(this.#directory.path, "back"));
    this.#clock = options.clock ?? systemClock;
  }

  preview(plan: TargetPlan): Promise<readonly string[]> {
    this.#refuse(plan);
    if (isDeepStrictEqual(this.#board.plan()?.plan ?? null, plain(plan))) return Promise.resolve([]);
    return Promise.resolve([...Object.values(stateTables), `-- the plan, into ${this.#board.path}`]);
  }

  /** The rows of the file are the application's own: none is ever stale. What is to be in the file itself is made by the first owner. */
  prepare(plan: TargetPlan, _announce: Parameters<Target["prepare"]>[1]): Promise<void> {
    this.#refuse(plan);
    const before = this.#board.plan();
    if (before !== null && isDeepStrictEqual(before.plan, plain(plan))) return Promise.resolve();
    const known = [...(before?.plan.tables.map(({ source }) => source) ?? []), ...(before?.former ?? [])];
    const former = [...new Set<string>(known)].filter((table) => plan.tables.every(({ source }) => source !== table));
    this.#board.storePlan({ version: (before?.version ?? 0) + 1, plan, former });
    return Promise.resolve();
  }

  /** Its log holds the changes of its own tables alone. */
  elsewhere(): Promise<readonly TableId[]> {
    return Promise.resolve([]);
  }

  plan(): Promise<TargetPlan | null> {
    const plan = this.#board.plan()?.plan ?? null;
    return Promise.resolve(plan?.pipeline === this.options.pipeline ? plan : null);
  }

  applied(): Promise<AppliedCut | null> {
    const cut = this.#board.state()?.cut ?? null;
    return Promise.resolve(cut === null ? null : appliedCutFromJson(cut));
  }

  passed(): Promise<Passed | null> {
    const state = this.#board.state();
    if (state === null || state.cut === null) return Promise.resolve(null);
    const { position, phase } = appliedCutFromJson(state.cut);
    const marker = state.marker === null ? null : markerId(state.marker);
    return Promise.resolve({ position, marker, settled: phase === "streaming" && state.repairs.length === 0 });
  }

  totals(): Promise<ReadonlyMap<TableId, Conservation>> {
    const counted = new Map((this.#board.state()?.counts ?? []).map(({ table, counts }) => [table, counts]));
    const stored = this.#board.plan();
    const tables = [...(stored?.plan.tables.map(({ source }) => source) ?? []), ...(stored?.former ?? [])];
    return Promise.resolve(new Map(tables.map((table) => [tableId(table), conservation(counted.get(table) ?? [])])));
  }

  setPaused(_group: GroupId, paused: boolean): Promise<void> {
    if (this.#board.plan() === null) throw this.#missing();
    this.#board.pause(paused);
    return Promise.resolve();
  }

  paused(): Promise<boolean> {
    return Promise.resolve(this.#board.isPaused);
  }

  watch(): Promise<{ readonly paused: boolean; readonly owner: OwnerEpoch | null }> {
    const state = this.#board.state();
    const isNewest = state !== null && state.planVersion === this.#board.plan()?.version;
    return Promise.resolve({ paused: this.#board.isPaused, owner: isNewest ? ownerEpoch(state.epoch) : null });
  }

  async own(
    { group, direction, takeoverMs }: { readonly group: GroupId; readonly direction: Direction; readonly takeoverMs: number },
    signal: AbortSignal,
  ): Promise<TargetSession> {
    const { pipeline, home } = this.options;
    const stored = this.#board.plan();
    if (stored === null || stored.plan.pipeline !== pipeline) throw this.#missing();
    home();
    const engine = this.#engine();
    try {
      await this.#takeOwner(engine, takeoverMs, signal);
      const options: SessionOptions = {
        pipeline,
        group,
        direction,
        clock: this.#clock,
        directory: this.#directory,
        board: this.#board,
        home,
        engine,
      };
      return await DuckDbSession.open(options, stored, signal);
    } catch (thrown) {
      await disposeQuietly(engine);
      throw thrown;
    }
  }

  async destroy(_options: { readonly tables: boolean }, signal: AbortSignal): Promise<readonly string[]> {
    const isOwned = this.#board.state() !== null;
    const statements = this.#board.plan() === null ? [] : [`-- removed ${this.#board.path}`];
    // An owner that is at work finds that there is no plan any more, and goes.
    this.#board.forgetPlan();
    if (isOwned) {
      await using engine = this.#engine();
      await this.#takeOwner(engine, ownerGoesMs, signal);
      statements.push(...(await engine.call("destroy", [{ path: this.options.home() }], signal)));
    }
    this.#board.destroy();
    return statements;
  }

  /** Nothing to release: no question keeps anything open. */
  async [Symbol.asyncDispose](): Promise<void> {}

  #engine(): EngineProcess<Apply> {
    const { memoryMb = defaultMemoryMb, program } = this.options;
    return new EngineProcess<Apply>({ kind: "apply", clock: this.#clock, memoryMb, ...(program === undefined ? {} : { program }) });
  }

  /** A holder that ends meanwhile is succeeded; one that does not, though it may be stopped, keeps us waiting and then standing by. */
  async #takeOwner(engine: EngineProcess<Apply>, waitMs: number, signal: AbortSignal): Promise<void> {
    const directory = this.#board.made();
    const owner = join(directory, "owner.duckdb");
    const spill = join(directory, `work-${process.pid}`);
    mkdirSync(spill, { recursive: true });
    const { memoryMb = defaultMemoryMb } = this.options;
    await engine.call("open", [{ directory: spill, memoryMb, threads: 2 }], signal);
    const deadline = this.#clock.monotonicMs() + waitMs;
    for (;;) {
      try {
        await engine.call("hold", [{ owner }], signal);
        for (const name of readdirSync(directory)) {
          if (name.startsWith("work-") && join(directory, name) !== spill) rmSync(join(directory, name), { recursive: true, force: true });
        }
        return;
      } catch (thrown) {
        if (!(thrown instanceof TailraceError) || thrown.code !== "source.locked") throw thrown;
        if (this.#clock.monotonicMs() >= deadline) {
          throw new TailraceError("target.standing-by", {
            what: "Another sink holds the file",
            where: { path: this.options.path },
            cause: thrown,
          });
        }
      }
      await this.#clock.delay(askOwnerMs, signal);
    }
  }

  #refuse(plan: TargetPlan): void {
    const { pipeline } = this.options;
    if (plan.pipeline !== pipeline)
      throw new TailraceError("internal", { what: `a plan of pipeline ${plan.pipeline} for a target of ${pipeline}` });
    refuseFaults(wayBackFaults(plan, this.#directory.installedFor(pipeline).tables));
  }

  #missing(): TailraceError {
    return new TailraceError("plan.missing", {
      what: "The file holds no plan of this pipeline",
      where: { pipeline: this.options.pipeline },
    });
  }
}

const plain = (plan: TargetPlan): unknown => JSON.parse(JSON.stringify(plan));

function conservation(counts: readonly number[]): Conservation {
  const [taken = 0, folded = 0, applied = 0, filtered = 0, quarantined = 0, replayed = 0] = counts;
  return { taken, folded, applied, filtered, quarantined, replayed };
}
