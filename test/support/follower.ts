/**
 * Drives a Source as the relay does, into a replica, and remembers every cut: a restart may begin at any of them, as if the later ones had
 * never become whole.
 */
import type { BatchPart } from "../../core/contracts/change.js";
import type { Batch, BatchEnd, Beginning, Source } from "../../core/contracts/source.js";
import { writerEpoch } from "../../core/vocabulary/ids.js";
import type { Position } from "../../core/vocabulary/position.js";
import { Replica } from "./replica.js";

export interface FollowedCut {
  readonly position: Position;
  readonly end: BatchEnd;
  /** As it was when this cut had been applied. */
  readonly replica: Replica;
}

export const freshBeginning: Beginning = { resume: null, later: [], historySeen: 0 };

export class Follower implements AsyncDisposable {
  replica: Replica;
  cuts: FollowedCut[] = [];
  lastParts: readonly BatchPart[] = [];
  #batches: AsyncIterator<Batch> | null = null;
  #abort = new AbortController();
  #historySeen = 0;
  #epoch = 0;

  constructor(
    public source: Source,
    private readonly beginsEqual = false,
  ) {
    this.replica = new Replica(beginsEqual);
  }

  get position(): Position | null {
    return this.cuts.at(-1)?.position ?? null;
  }

  /** The next batch, applied and acknowledged. Waits for one. */
  async next(): Promise<FollowedCut> {
    const batch = await this.take();
    const parts: BatchPart[] = [];
    for await (const part of batch.parts(this.#abort.signal)) parts.push(part);
    const end = batch.end();
    this.replica.apply(parts, this.position, batch.position);
    this.lastParts = parts;
    this.#historySeen = Math.max(this.#historySeen, batch.position.history);
    const cut = { position: batch.position, end, replica: this.replica.clone() };
    this.cuts.push(cut);
    await this.source.acknowledged(batch.position, writerEpoch(this.#epoch));
    return cut;
  }

  /** The next batch, untouched. */
  async take(): Promise<Batch> {
    if (this.#batches === null) {
      this.#epoch++;
      this.#batches = this.source.batches(this.beginning(), this.#abort.signal)[Symbol.asyncIterator]();
    }
    const { value, done } = await this.#batches.next();
    if (done === true) throw new Error("batches are endless");
    return value;
  }

  /** Until everything up to `order` is here and nothing is being read again. */
  async catchUp(order: number): Promise<void> {
    const done = (): boolean => (this.position?.order ?? -1) >= order && this.source.progress().every((table) => table.state === "done");
    while (!done()) await this.next();
  }

  beginning(): Beginning {
    const cut = this.cuts.at(-1);
    if (cut === undefined) return { ...freshBeginning, historySeen: this.#historySeen };
    const resume = { position: cut.position, token: cut.end.resume, anchor: cut.end.anchor };
    return { resume, later: this.#later, historySeen: this.#historySeen };
  }
  #later: Beginning["later"] = [];

  /** Leaves the iteration and goes back to the state after `cuts` cuts (default: all); what came later is in the log, but not whole. */
  async restart(cuts = this.cuts.length, source?: Source): Promise<void> {
    this.#abort.abort();
    await this.#batches?.return?.().catch(() => {});
    this.#abort = new AbortController();
    this.#batches = null;
    this.#later = [...this.#later, ...this.cuts.slice(cuts).map((cut) => ({ position: cut.position, anchor: cut.end.anchor }))];
    this.cuts = this.cuts.slice(0, cuts);
    this.replica = this.cuts.at(-1)?.replica.clone() ?? new Replica(this.beginsEqual);
    if (source !== undefined) this.source = source;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#abort.abort();
    await this.#batches?.return?.().catch(() => {});
  }
}
