/** The owner's session: three connections (lock, pipelined, plain), the plan as it was when it took over, and what is not built yet. */
import type { Control } from "../../core/contracts/change.js";
import type { AppliedCut, Window } from "../../core/contracts/log.js";
import type { Conservation, LeftOut, TargetSession, WhenSwitched } from "../../core/contracts/target.js";
import { passing } from "../../core/crash-points.js";
import { TailraceError } from "../../core/errors.js";
import type { OwnerEpoch, TableId } from "../../core/vocabulary/ids.js";
import type { ApplyContext } from "./apply-context.js";
import { applyWindow } from "./apply-window.js";
import { followWindow } from "./follow-window.js";
import { type StagedWindow, stageWindow } from "./stage-window.js";
import { Connection } from "./connection.js";
import { childrenOf, type TargetTables } from "./controls.js";
import { finishTables } from "./finish.js";
import { Ownership, type OwnershipOptions } from "./ownership.js";
import { withTargetErrors } from "./pg-errors.js";
import { raiseEpoch, readState } from "./state.js";
import { readFormerTables, readStoredTables, type StoredTable } from "./stored-plan.js";
import { loadTables, type TargetTable } from "./target-table.js";

export interface SessionOptions extends OwnershipOptions {
  readonly whenSwitched: WhenSwitched;
}

export class PostgresSession implements TargetSession {
  #applied: AppliedCut | null;
  #busy = false;
  #staged: StagedWindow | null = null;
  /** Tables whose UNIQUE and foreign keys are off. */
  readonly #underRepair: Set<TableId>;
  readonly #finished: Set<TableId>;

  constructor(
    private readonly ownership: Ownership,
    private readonly context: ApplyContext,
    applied: AppliedCut | null,
    stored: readonly StoredTable[],
  ) {
    this.#applied = applied;
    this.#underRepair = new Set(stored.filter(({ repair }) => repair !== null).map(({ plan }) => plan.source));
    this.#finished = new Set(stored.filter(({ finished }) => finished).map(({ plan }) => plan.source));
  }

  static async open(options: SessionOptions, signal: AbortSignal): Promise<PostgresSession> {
    const { settings, applicationName } = options;
    const held: AsyncDisposable[] = [];
    try {
      const ownership = await Ownership.take(options, signal);
      held.push(ownership);
      const pipelined = await Connection.open(settings, { applicationName, pipelined: true });
      held.push(pipelined);
      ownership.accompany(pipelined);
      const plain = await Connection.open(settings, { applicationName, pipelined: false });
      held.push(plain);
      ownership.accompany(plain);
      return await takeOver(options, { ownership, pipelined, plain }, signal);
    } catch (thrown) {
      for (const resource of held.reverse()) await resource[Symbol.asyncDispose]();
      throw thrown;
    }
  }

  get epoch(): OwnerEpoch {
    return this.context.epoch;
  }

  get follows(): boolean {
    return this.context.follows;
  }

  get applied(): AppliedCut | null {
    return this.#applied;
  }

  assertOwned(): void {
    this.ownership.assertHeld();
  }

  async stage(window: Window, signal: AbortSignal): Promise<void> {
    this.#staged = null;
    if (this.follows) return;
    this.#staged = await stageWindow(this.context, window, signal);
  }

  async apply(window: Window, signal: AbortSignal): Promise<ReadonlyMap<TableId, Conservation>> {
    const staged = this.#staged?.window === window ? this.#staged : null;
    if (staged !== null) this.#staged = null;
    try {
      return await this.#alone(() => this.#apply(window, staged, signal));
    } catch (thrown) {
      // What was to follow is joined to this one, or never comes.
      this.#staged = null;
      throw thrown;
    }
  }

  async finish(signal: AbortSignal): Promise<readonly LeftOut[]> {
    return this.#alone(async () => {
      const leftOut = await finishTables(
        {
          ...this.context,
          underRepair: (table) => this.#underRepair.has(table.plan.source),
          isFinished: (table) => this.#finished.has(table.plan.source),
        },
        signal,
      );
      for (const id of this.context.tables.keys()) if (!this.#underRepair.has(id)) this.#finished.add(id);
      return leftOut;
    });
  }

  unfinished(): boolean {
    if (this.follows) return false;
    return [...this.context.tables.keys()].some((id) => !this.#finished.has(id) && !this.#underRepair.has(id));
  }

  /** Idempotent. The lock goes last: nobody takes over while a transaction of ours is open. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.context.plain[Symbol.asyncDispose]();
    await this.context.pipelined[Symbol.asyncDispose]();
    await this.ownership[Symbol.asyncDispose]();
  }

  async #alone<T>(work: () => Promise<T>): Promise<T> {
    if (this.#busy) throw new TailraceError("internal", { what: "a target session was asked for two things at once" });
    this.#busy = true;
    try {
      this.ownership.assertHeld();
      return await withTargetErrors(work);
    } finally {
      this.#busy = false;
    }
  }

  async #apply(window: Window, staged: StagedWindow | null, signal: AbortSignal): Promise<ReadonlyMap<TableId, Conservation>> {
    if (this.follows) {
      await followWindow(this.context, window, signal);
      this.#applied = window.after();
      return new Map();
    }
    const counts = await applyWindow(this.context, { window, staged }, signal);
    this.#applied = window.after();
    for (const control of window.controls) this.#remember(control);
    return counts;
  }

  #remember(control: Control): void {
    if (control.kind !== "repair") return;
    const table = this.context.tables.get(control.table);
    if (table === undefined) return;
    if (control.step === "begins") {
      this.#underRepair.add(control.table);
      return;
    }
    this.#underRepair.delete(control.table);
    for (const affected of [table, ...childrenOf(this.context.tables, table)]) this.#finished.delete(affected.plan.source);
  }
}

interface Connections {
  readonly ownership: Ownership;
  readonly pipelined: Connection;
  readonly plain: Connection;
}

/** With the lock in hand: nothing of the last owner may hold the row, then our epoch is the newest, then the plan is read. */
async function takeOver(
  { applicationName, place, whenSwitched }: SessionOptions,
  { ownership, pipelined, plain }: Connections,
  signal: AbortSignal,
): Promise<PostgresSession> {
  const own = [ownership.pid, pipelined.pid, plain.pid];
  const last = await readState(plain, place);
  if (last === null) throw missing(place.pipeline);
  await ownership.endSessions(
    last.backendPids.filter((pid) => !own.includes(pid)),
    applicationName,
  );
  signal.throwIfAborted();
  passing("sink.own-before");
  const active = await raiseEpoch(plain, place, { pids: own, active: true });
  const state = active ?? (whenSwitched === "follow" ? await raiseEpoch(plain, place, { pids: own, active: false }) : null);
  passing("sink.owned");
  if (state === null) throw new TailraceError("cutover.switched", { what: "This direction is no longer active", where: { ...place } });
  const stored = await readStoredTables(plain, place);
  const loaded = await loadTables(
    plain,
    stored.map(({ plan }) => plan),
  );
  const tables: TargetTables = new Map(loaded.map((table): [TableId, TargetTable] => [table.plan.source, table]));
  const former = await readFormerTables(plain, place);
  return new PostgresSession(
    ownership,
    { place, epoch: state.epoch, follows: active === null, tables, former, pipelined, plain },
    state.applied,
    stored,
  );
}

const missing = (pipeline: string): TailraceError =>
  new TailraceError("plan.missing", { what: "The target holds no plan of this pipeline", where: { pipeline } });
