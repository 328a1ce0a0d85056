/** A sink process of the model: the real applier over the real reader, and a session at the model's target. */
import type { AppliedCut, Window, WindowPart } from "../../../core/contracts/log.js";
import type { TargetSession } from "../../../core/contracts/target.js";
import { TailraceError } from "../../../core/errors.js";
import { CutLogReader } from "../../../core/log/reader.js";
import type { ProtocolRules } from "../../../core/log/rules.js";
import { cutsTopic } from "../../../core/topics.js";
import { ownerEpoch, theGroup } from "../../../core/vocabulary/ids.js";
import { applier } from "../../../services/sink/applier.js";
import type { MemoryLog } from "../../support/memory-log-store.js";
import { type Codec, counted, prefix } from "./codec.js";
import type { RunOptions } from "./schedule.js";
import { laneName, ModelStore, type Sight } from "./store.js";
import type { ModelTarget, TargetRules } from "./target.js";
import { Task } from "./task.js";

export interface SinkWorld {
  readonly log: MemoryLog;
  readonly codec: Codec;
  readonly target: ModelTarget;
  readonly options: RunOptions;
  readonly rules: { readonly protocol: ProtocolRules; readonly target: TargetRules };
  board: AppliedCut | null;
  committed(applied: AppliedCut): void;
  /** Whoever looks at the target sees rows and applied cut together. */
  takenOver(): void;
  count(what: string): void;
  fail(why: string): void;
  look(task: Ended): void;
}
interface Ended {
  readonly ended: boolean;
  readonly error: unknown;
}
type Crash = "no" | "before" | "after";
const signal = new AbortController().signal;

export class Sink {
  readonly #sight: Sight = new Map();
  #task: Task<Crash> | null = null;
  #owner = 0;
  #reader: CutLogReader | null = null;
  /** Of this reader. */
  #windows = 0;

  constructor(private readonly world: SinkWorld) {}

  get ended(): boolean {
    return this.#task?.ended !== false;
  }

  describe(): string {
    return `${this.#task?.place ?? "gone"} ${JSON.stringify(this.#reader?.state())}`;
  }

  /** Takes the target over, and reads from its applied cut on. */
  own(): void {
    this.world.takenOver();
    this.world.target.owner += 1;
    this.#owner = this.world.target.owner;
    this.#restart();
  }

  see(share: number): void {
    this.#lanes().forEach(({ name, end }, i) => {
      const seen = this.#sight.get(name) ?? 0;
      this.#sight.set(name, seen + Math.ceil((((share >> (4 * (i % 6))) & 15) / 15) * (end - seen)));
    });
  }

  seeAll(): void {
    for (const { name, end } of this.#lanes()) this.#sight.set(name, end);
  }

  /** A reader whose partition lost its tail has lost its connection: it begins again at the applied cut. */
  lost(name: string, end: number): void {
    this.#sight.set(name, Math.min(end, this.#sight.get(name) ?? 0));
    if (this.#task !== null && !this.#task.ended) this.#restart();
  }

  /** Goes on until the next window is committed or nothing more is to be seen. */
  async apply(crash: Crash): Promise<void> {
    const task = this.#task;
    if (task === null || task.ended) return;
    // One step to take in what can be seen now, one to commit what was ready.
    if (task.place !== "commit") await task.step("no");
    if (task.place === "commit") await task.step(crash);
    this.world.look(task);
    if (task.place === "crashed") this.own();
  }

  #restart(): void {
    this.#sight.clear();
    this.#windows = 0;
    const owner = this.#owner;
    this.#task = new Task((task) => this.#run(task, owner));
  }

  async #run(task: Task<Crash>, owner: number): Promise<void> {
    const { world } = this;
    const { options } = world;
    const park = async (place: string) => {
      await task.park(place);
      return { kind: "stored" } as const;
    };
    const clock = { wallMs: () => 0, monotonicMs: () => 0, delay: async () => void (await park("delay")) };
    const reader = new CutLogReader({
      store: new ModelStore(world.log, park, this.#sight),
      decoder: world.codec,
      clock,
      prefix,
      group: theGroup,
      topics: counted,
      limits: { mergeRecords: options.mergeRecords, totalBytes: options.heldBytes, laneBytes: options.heldBytes },
      rules: world.rules.protocol,
    });
    this.#reader = reader;
    const session: TargetSession = {
      epoch: ownerEpoch(owner),
      applied: world.target.applied,
      follows: false,
      assertOwned: () => {},
      stage: async () => {},
      apply: async (window) => {
        await this.#commit(window, owner, task);
        return new Map();
      },
      finish: async () => [],
      unfinished: () => false,
      [Symbol.asyncDispose]: async () => {},
    };
    const publish = (_group: unknown, applied: AppliedCut): void => void (world.board = applied);
    const publisher = { publish, [Symbol.asyncDispose]: async () => {} };
    const nothing = (): void => {};
    await applier(
      { reader, session, group: theGroup, publisher, clock, isPaused: () => false, onOpen: nothing, onApplied: nothing, onFinish: nothing },
      signal,
    );
  }

  async #commit(window: Window, owner: number, task: Task<Crash>): Promise<void> {
    const { world } = this;
    const parts = await collect(window.parts(signal));
    const inOrder = await collect(window.inSourceOrder(signal));
    this.#assertCounted(window, parts, inOrder);
    const crash = await task.park("commit");
    if (crash === "before") await task.park("crashed");
    const outcome = world.target.commit(window, owner, { parts, inOrder });
    if (outcome.kind === "fenced") throw new TailraceError("target.fenced", { what: "another sink has taken over" });
    if (outcome.kind === "refused") {
      world.fail(`the target refuses: ${outcome.why}`);
      await task.park("refused");
    }
    const after = window.after();
    world.committed(after);
    if (crash === "after") await task.park("crashed");
    // A rule broken: the applied cut follows in a transaction of its own.
    if (!world.rules.target.atomic) world.target.applied = after;
  }

  /** Conservation: what a window says it holds is what it hands over, both ways. */
  #assertCounted(window: Window, parts: readonly WindowPart[], inOrder: readonly WindowPart[]): void {
    const [taken, again] = [parts, inOrder].map(countOf);
    if (taken !== again) this.world.fail(`a window hands over ${taken} records by table and ${again} in source order`);
    // The first window of a reader may be counted from its epoch's start.
    const fromBefore = this.#windows > 0 && window.before?.epoch === window.after().epoch;
    this.#windows += 1;
    if (fromBefore ? taken !== window.records : (taken ?? 0) > window.records)
      this.world.fail(`a window of ${window.records} records hands over ${taken}`);
  }

  #lanes(): readonly { readonly name: string; readonly end: number }[] {
    return [cutsTopic(prefix), ...counted].flatMap((topic) =>
      this.world.log.boundsOf(topic).map(({ end }, partition) => ({ name: laneName(topic, partition), end })),
    );
  }
}

async function collect(parts: AsyncIterable<WindowPart>): Promise<readonly WindowPart[]> {
  const all: WindowPart[] = [];
  for await (const part of parts) all.push(part);
  return all;
}

function countOf(parts: readonly WindowPart[]): number {
  return parts.reduce(
    (n, part) => n + (part.kind === "chunk" ? 1 : part.changes.reduce((m, { kind }) => m + (kind === "rekey" ? 2 : 1), 0)),
    0,
  );
}
