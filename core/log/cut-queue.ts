/**
 * The records of `.cuts` that are read and not yet decided, and the rules that decide them: which start is obeyed, which cut is whole, which is
 * void, which must wait. Pure: it sees lanes as they are and changes nothing but its own place in the queue.
 */
import type { Control, Phase } from "../contracts/change.js";
import type { AppliedCut, Counts, Ends } from "../contracts/log.js";
import { TailraceError } from "../errors.js";
import { type GroupId, type Offset, theGroup, type Topic } from "../vocabulary/ids.js";
import { comparePositions, formatPosition, isAbove, origin, type Position } from "../vocabulary/position.js";
import { Claims } from "./claims.js";
import type { CutRecord, CutsRecord, StartRecord } from "./cut-records.js";
import type { Elsewhere } from "./elsewhere.js";
import type { Lane } from "./lane.js";
import type { ProtocolRules } from "./rules.js";

export interface CutsEvent {
  readonly offset: Offset;
  readonly record: CutsRecord;
}

/** The epoch whose records are taken, and the cut or start from which they are counted. */
export interface ObeyedEpoch {
  readonly epoch: number;
  readonly base: { readonly position: Position; readonly counts: Counts; readonly ends: Ends };
}

export interface PendingCut {
  readonly record: CutRecord;
  readonly offset: Offset;
  readonly controls: readonly Control[];
  /** Records that count between the base and this cut, by topic; topics with none are absent. */
  readonly delta: ReadonlyMap<Topic, number>;
  readonly records: number;
  readonly phase: Phase;
  /** Of topics that other groups read: where they ended, as far as the writer has said. */
  readonly elsewhere: Ends;
}

export type Decision =
  | { readonly kind: "obey"; readonly start: StartRecord }
  | { readonly kind: "window"; readonly cut: PendingCut }
  /** Its records are not all here (yet). `exhausted`: every partition is read to the cut's ends. */
  | { readonly kind: "incomplete"; readonly cut: PendingCut; readonly exhausted: boolean }
  | { readonly kind: "nothing" };

export interface CutQueueOptions {
  readonly group: GroupId;
  readonly snapshotTopic: Topic;
  readonly elsewhere?: Elsewhere | undefined;
  /** Its controls are counted like the records of a topic. */
  readonly cutsTopic: Topic;
  readonly rules: ProtocolRules;
  /** A window is not made larger than this by merging cuts. */
  readonly mergeRecords: number;
}

export class CutQueue {
  readonly #claims: Claims;
  #events: CutsEvent[] = [];
  #head = 0;
  #controls: Control[] = [];
  /** Controls of the obeyed epoch since its base. */
  #controlsSeen = 0;
  #obeyed: ObeyedEpoch | null;
  #applied: Position;
  #notReached: Position | null = null;
  #newest: Position | null = null;
  #nextOffset: number | null = null;
  /** Records between those that were read are gone. */
  #trimmed = false;
  /** Nothing is applied and no start was read yet. */
  #fresh: boolean;

  constructor(
    applied: AppliedCut | null,
    readonly inPlace: boolean,
    private readonly options: CutQueueOptions,
  ) {
    this.#claims = new Claims(inPlace && applied !== null ? applied.epoch : null, options.rules);
    this.#obeyed = inPlace && applied !== null ? { epoch: applied.epoch, base: applied } : null;
    this.#applied = applied?.position ?? origin;
    this.#fresh = applied === null;
  }

  get obeyed(): ObeyedEpoch | null {
    return this.#obeyed;
  }
  get applied(): Position {
    return this.#applied;
  }
  get size(): number {
    return this.#events.length - this.#head;
  }
  /** Position of the newest start, when it is above what can be reached. */
  get notReached(): Position | null {
    return this.#notReached;
  }
  get newest(): Position | null {
    return this.#newest;
  }

  push(event: CutsEvent): void {
    if (event.offset !== this.#nextOffset && this.#nextOffset !== null) this.#trimmed = true;
    this.#nextOffset = event.offset + 1;
    this.#events.push(event);
    if (event.record.kind === "cut") this.#newest = event.record.position;
  }

  /** The window that ended at `cut` is applied. */
  settle(after: AppliedCut): void {
    this.#applied = after.position;
    this.#obeyed = { epoch: after.epoch, base: after };
    this.#controlsSeen = 0;
  }

  decide(lanes: ReadonlyMap<Topic, readonly Lane[]>): Decision {
    for (; ; this.#consume()) {
      const event = this.#events[this.#head];
      if (event === undefined) return { kind: "nothing" };
      const { record } = event;
      if (!this.#claims.counts(record)) continue;
      switch (record.kind) {
        case "log":
        case "claim":
          continue;
        case "start": {
          this.#controls = [];
          this.#controlsSeen = 0;
          const decision = this.#start(record);
          if (decision === null) continue;
          this.#consume();
          return decision;
        }
        case "control":
          if (record.epoch !== this.#obeyed?.epoch) continue;
          this.#controls.push(record.control);
          this.#controlsSeen += 1;
          continue;
        case "cut": {
          const decision = this.#cut(event.offset, record, lanes);
          if (decision === null) continue;
          return decision;
        }
        default:
          throw new TailraceError("internal", { what: "a record of .cuts without a kind" });
      }
    }
  }

  /** True when a start that is already read voids the cut that a streamed window is made of. */
  isVoid(cut: PendingCut): boolean {
    return this.#voided(cut.record.epoch, cut.record.position);
  }

  #consume(): void {
    this.#head += 1;
    if (this.#head > 1024 && this.#head * 2 > this.#events.length) {
      this.#events = this.#events.slice(this.#head);
      this.#head = 0;
    }
  }

  #start(start: StartRecord): Decision | null {
    // The first start of a log stands at the origin: this log has forgotten its beginning, and this target has nothing of it. (A log that has
    // lost its tail may have lost that start too, but then nothing is missing before this one, and its next writer begins where it can.)
    if (this.#fresh && this.#trimmed && isAbove(start.position, origin)) {
      throw new TailraceError("log.gap", {
        what: "the log begins above what this target holds",
        where: { start: formatPosition(start.position) },
      });
    }
    this.#fresh = false;
    if (this.options.rules.startReached && isAbove(start.position, this.#applied)) {
      this.#notReached = start.position;
      this.#obeyed = null;
      return null;
    }
    this.#notReached = null;
    this.#obeyed = { epoch: start.epoch, base: start };
    return { kind: "obey", start };
  }

  #cut(offset: Offset, first: CutRecord, lanes: ReadonlyMap<Topic, readonly Lane[]>): Decision | null {
    const obeyed = this.#obeyed;
    if (obeyed === null || first.epoch !== obeyed.epoch) return null;
    if (this.options.rules.skipApplied && !isAbove(first.position, this.#applied)) {
      this.#controls = [];
      return null;
    }
    if (!isAbove(first.position, obeyed.base.position)) {
      throw new TailraceError("log.rewound", {
        what: "a cut goes back behind its epoch's start",
        where: { offset, cut: formatPosition(first.position), start: formatPosition(obeyed.base.position) },
      });
    }
    let cut = this.#pending(offset, first, obeyed);
    if (!this.#whole(cut, lanes)) {
      if (this.options.rules.startVoids && this.#voided(first.epoch, first.position)) {
        // What follows in this epoch builds on it and is void as well.
        this.#obeyed = null;
        return null;
      }
      return { kind: "incomplete", cut, exhausted: isExhausted(cut, obeyed.base, lanes) };
    }
    this.#consume();
    this.#controls = [];
    for (let next = this.#mergeable(cut, obeyed, lanes); next !== null; next = this.#mergeable(cut, obeyed, lanes)) {
      this.#consume();
      cut = next;
    }
    return { kind: "window", cut };
  }

  #pending(offset: Offset, record: CutRecord, obeyed: ObeyedEpoch): PendingCut {
    const delta = new Map<Topic, number>();
    let records = 0;
    for (const [topic, total] of record.counts) {
      const n = total - (obeyed.base.counts.get(topic) ?? 0);
      if (n === 0) continue;
      if (this.options.elsewhere?.topics.has(topic) === true) continue;
      delta.set(topic, n);
      if (topic !== this.options.cutsTopic) records += n;
    }
    return {
      record,
      offset,
      controls: this.#controls,
      delta,
      records,
      phase: this.#phase(record),
      elsewhere: this.#endsElsewhere(record, obeyed),
    };
  }

  #endsElsewhere({ ends }: CutRecord, { base }: ObeyedEpoch): Ends {
    const topics = [...(this.options.elsewhere?.topics ?? [])];
    return new Map(
      topics.flatMap((topic): [Topic, readonly Offset[]][] => {
        const known = ends.get(topic) ?? base.ends.get(topic);
        return known === undefined ? [] : [[topic, known]];
      }),
    );
  }

  /** A source says the same of all groups, and may not have heard of a new one yet. */
  #phase({ phases }: CutRecord): Phase {
    return phases.get(this.options.group) ?? phases.get(theGroup) ?? "snapshot";
  }

  /** The next cut, when the window may go on to it. */
  #mergeable(cut: PendingCut, obeyed: ObeyedEpoch, lanes: ReadonlyMap<Topic, readonly Lane[]>): PendingCut | null {
    const event = this.#events[this.#head];
    if (event === undefined || event.record.kind !== "cut" || event.record.epoch !== obeyed.epoch) return null;
    if (cut.controls.length > 0 || cut.delta.has(this.options.snapshotTopic)) return null;
    const next = this.#pending(event.offset, event.record, obeyed);
    const fits = next.records <= this.options.mergeRecords && next.phase === cut.phase && !next.delta.has(this.options.snapshotTopic);
    return fits && isAbove(next.record.position, cut.record.position) && this.#whole(next, lanes) ? next : null;
  }

  #whole(cut: PendingCut, lanes: ReadonlyMap<Topic, readonly Lane[]>): boolean {
    if (!this.options.rules.countCheck) return this.#obeyed === null || isExhausted(cut, this.#obeyed.base, lanes);
    for (const [topic, ofTopic] of lanes) {
      let n = 0;
      for (const lane of ofTopic) n += lane.below + lane.countUpTo(cut.record.position);
      if (n !== (cut.delta.get(topic) ?? 0)) return false;
    }
    const { cutsTopic } = this.options;
    for (const topic of cut.delta.keys()) if (topic !== cutsTopic && !lanes.has(topic)) return false;
    return this.#controlsSeen === (cut.delta.get(cutsTopic) ?? 0);
  }

  /** Looks ahead: does any later start that counts lie below the cut? */
  #voided(epoch: number, position: Position): boolean {
    const ahead = this.#claims.fork();
    for (let i = this.#head; i < this.#events.length; i++) {
      const record = this.#events[i]?.record;
      if (record === undefined || !ahead.counts(record)) continue;
      if (record.kind === "start" && record.epoch > epoch && comparePositions(record.position, position) < 0) return true;
    }
    return false;
  }
}

/** Every partition is read to the ends that the cut's writer expected. */
export function isExhausted(cut: PendingCut, base: ObeyedEpoch["base"], lanes: ReadonlyMap<Topic, readonly Lane[]>): boolean {
  for (const [topic, ofTopic] of lanes) {
    const ends = cut.record.ends.get(topic) ?? base.ends.get(topic);
    for (const lane of ofTopic) if (lane.readTo < (ends?.[lane.partition] ?? 0)) return false;
  }
  return true;
}
