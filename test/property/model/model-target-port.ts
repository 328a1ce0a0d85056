/** The model's target as the contract that a sink service opens: one holder at a time, who is thrown out only when it is dead. */
import type { AppliedCut, Window, WindowPart } from "../../../core/contracts/log.js";
import type { TargetPlan } from "../../../core/contracts/plan.js";
import type { Conservation, Target, TargetSession } from "../../../core/contracts/target.js";
import { TailraceError } from "../../../core/errors.js";
import { ownerEpoch, pipelineId, tableId } from "../../../core/vocabulary/ids.js";
import { prefix } from "./codec.js";
import type { ModelTarget } from "./target.js";

export interface Holder {
  /** Its process is gone: its lock goes with it. */
  readonly isDead: boolean;
}
export interface TargetPlace {
  readonly target: ModelTarget;
  holder: Holder | null;
  paused: boolean;
  /** Indexes and foreign keys are there. */
  finished: boolean;
  committed(applied: AppliedCut): void;
  fail(why: string): void;
}

const plan: TargetPlan = { version: 1, pipeline: pipelineId(prefix), prefix, tables: [] };
const nothing: Conservation = { taken: 0, folded: 0, applied: 0, filtered: 0, quarantined: 0, replayed: 0 };

export class ModelTargetPort implements Target {
  constructor(
    private readonly place: TargetPlace,
    private readonly me: Holder,
  ) {}

  async preview(): Promise<readonly string[]> {
    return [];
  }
  async prepare(): Promise<void> {}
  async plan(): Promise<TargetPlan> {
    return plan;
  }
  async applied(): Promise<AppliedCut | null> {
    return this.place.target.applied;
  }
  async passed(): Promise<null> {
    return null;
  }
  async totals(): Promise<ReadonlyMap<ReturnType<typeof tableId>, Conservation>> {
    return new Map(["A", "B"].map((table) => [tableId(table), nothing]));
  }
  async elsewhere(): Promise<readonly never[]> {
    return [];
  }
  async setPaused(_group: unknown, paused: boolean): Promise<void> {
    this.place.paused = paused;
  }
  async paused(): Promise<boolean> {
    return this.place.paused;
  }
  async watch(): Promise<{ readonly paused: boolean; readonly owner: ReturnType<typeof ownerEpoch> }> {
    return { paused: this.place.paused, owner: ownerEpoch(this.place.target.owner) };
  }
  async destroy(): Promise<readonly string[]> {
    return [];
  }

  async own(): Promise<TargetSession> {
    const { place, me } = this;
    if (place.holder !== null && !place.holder.isDead)
      throw new TailraceError("target.standing-by", { what: "another sink holds the target" });
    place.holder = me;
    place.target.owner += 1;
    return new ModelTargetSession(place, me, place.target.owner);
  }

  async [Symbol.asyncDispose](): Promise<void> {}
}

class ModelTargetSession implements TargetSession {
  readonly applied: AppliedCut | null;
  readonly epoch: ReturnType<typeof ownerEpoch>;
  readonly follows = false;

  constructor(
    private readonly place: TargetPlace,
    private readonly me: Holder,
    private readonly owner: number,
  ) {
    this.applied = place.target.applied;
    this.epoch = ownerEpoch(owner);
  }

  assertOwned(): void {}
  async stage(): Promise<void> {}

  async apply(window: Window, signal: AbortSignal): Promise<ReadonlyMap<ReturnType<typeof tableId>, Conservation>> {
    const parts = await collect(window.parts(signal));
    const inOrder = await collect(window.inSourceOrder(signal));
    const outcome = this.place.target.commit(window, this.owner, { parts, inOrder });
    if (outcome.kind === "fenced") throw new TailraceError("target.fenced", { what: "another sink has taken over" });
    if (outcome.kind === "refused") {
      this.place.fail(`the target refuses: ${outcome.why}`);
      throw new TailraceError("target.constraint", { what: outcome.why });
    }
    if (window.controls.some((control) => control.kind === "repair" && control.step === "ends")) this.place.finished = false;
    this.place.committed(window.after());
    return new Map();
  }

  async finish(): Promise<readonly []> {
    this.place.finished = true;
    return [];
  }
  unfinished(): boolean {
    return !this.place.finished;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.place.holder === this.me) this.place.holder = null;
  }
}

async function collect(parts: AsyncIterable<WindowPart>): Promise<readonly WindowPart[]> {
  const all: WindowPart[] = [];
  for await (const part of parts) all.push(part);
  return all;
}
