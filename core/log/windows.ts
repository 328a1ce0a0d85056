/**
 * The two forms of a window. Buffered: all its records are here, counted. Streamed: larger than the reader's memory; its records pass through as
 * they come, and whether the cut is whole is known at the end. Either way nothing of it may be kept by the target unless `parts()` ended.
 */
import type { Control } from "../contracts/change.js";
import type { AppliedCut, Counts, Window, WindowPart } from "../contracts/log.js";
import { TailraceError } from "../errors.js";
import { anchor, type LogId, offset, type Topic } from "../vocabulary/ids.js";
import { comparePositions, formatPosition } from "../vocabulary/position.js";
import { isExhausted, type ObeyedEpoch, type PendingCut } from "./cut-queue.js";
import type { Lane, LaneEntry } from "./lane.js";
import { assertRising, mergeByPosition, toParts } from "./window-parts.js";

/** What a window needs from the reader that made it. */
export interface WindowSource {
  readonly before: AppliedCut | null;
  readonly logId: LogId;
  readonly lanes: ReadonlyMap<Topic, readonly Lane[]>;
  readonly snapshotTopic: Topic;
  readonly base: ObeyedEpoch["base"];
  isVoid(cut: PendingCut): boolean;
  rewind(): Promise<void>;
  /** Reads more for the cut, from the partitions that `needs` names. Rejects when the cut stays undecided for too long. */
  more(cut: PendingCut, needs: (lane: Lane) => boolean, signal: AbortSignal): Promise<void>;
}

abstract class WindowOfCut {
  readonly before: AppliedCut | null;
  readonly controls: readonly Control[];
  readonly records: number;
  /** Offset behind the last record taken, by partition. */
  protected readonly ends = new Map<Lane, number>();
  readonly #counts: Counts;

  constructor(
    protected readonly source: WindowSource,
    protected readonly cut: PendingCut,
  ) {
    this.before = source.before;
    this.controls = cut.controls;
    this.records = cut.records;
    this.#counts = new Map([...source.base.counts, ...cut.record.counts]);
  }

  after(): AppliedCut {
    const { record, offset: cutOffset, phase } = this.cut;
    const ends = new Map(this.cut.elsewhere);
    for (const [topic, lanes] of this.source.lanes) {
      ends.set(
        topic,
        lanes.map((lane) => offset(this.ends.get(lane) ?? lane.consumedTo)),
      );
    }
    return {
      logId: this.source.logId,
      position: record.position,
      epoch: record.epoch,
      counts: this.#counts,
      offset: cutOffset,
      ends,
      anchor: record.anchor ?? anchor(new Uint8Array()),
      phase,
    };
  }

  /** The window is applied. */
  settle(): void {
    for (const lanes of this.source.lanes.values()) for (const lane of lanes) lane.settle(this.ends.get(lane) ?? lane.consumedTo);
  }

  protected took(lane: Lane, entries: readonly LaneEntry[]): void {
    const last = entries.at(-1);
    if (last !== undefined) this.ends.set(lane, last.offset + 1);
  }

  /** Live changes before chunks. */
  protected *lanesInOrder(): Generator<Lane> {
    const snapshot = this.source.lanes.get(this.source.snapshotTopic);
    for (const lanes of this.source.lanes.values()) if (lanes !== snapshot) yield* lanes;
    if (snapshot !== undefined) yield* snapshot;
  }
}

export class BufferedWindow extends WindowOfCut implements Window {
  readonly bytes: number;
  readonly #taken: readonly (readonly LaneEntry[])[];

  constructor(source: WindowSource, cut: PendingCut) {
    super(source, cut);
    const taken: (readonly LaneEntry[])[] = [];
    let bytes = 0;
    for (const lane of this.lanesInOrder()) {
      const held = lane.bytes;
      const entries = lane.take(lane.countUpTo(cut.record.position));
      bytes += held - lane.bytes;
      if (entries.length === 0) continue;
      this.took(lane, entries);
      taken.push(entries);
    }
    assertRising(taken);
    this.bytes = bytes;
    this.#taken = taken;
  }

  async *parts(signal: AbortSignal): AsyncIterable<WindowPart> {
    for (const entries of this.#taken) {
      signal.throwIfAborted();
      yield* toParts(entries);
    }
  }

  async *inSourceOrder(signal: AbortSignal): AsyncIterable<WindowPart> {
    signal.throwIfAborted();
    yield* toParts(mergeByPosition(this.#taken));
  }
}

export class StreamedWindow extends WindowOfCut implements Window {
  #begun = false;
  #taken = new Map<Topic, number>();

  override after(): AppliedCut {
    if (!this.#begun || !this.#complete([...this.source.lanes.keys()])) {
      throw new TailraceError("internal", { what: "a streamed window's end is known only when its parts were read" });
    }
    return super.after();
  }

  async *parts(signal: AbortSignal): AsyncIterable<WindowPart> {
    await this.#begin();
    const { snapshotTopic } = this.source;
    const live = [...this.source.lanes.keys()].filter((topic) => topic !== snapshotTopic);
    for (const topics of [live, [snapshotTopic]]) {
      for (;;) {
        for (const lane of this.#lanesOf(topics)) yield* toParts(this.#drain(lane));
        if (this.#complete(topics)) break;
        await this.#more((lane) => topics.includes(lane.topic), signal);
      }
    }
  }

  async *inSourceOrder(signal: AbortSignal): AsyncIterable<WindowPart> {
    await this.#begin();
    const topics = [...this.source.lanes.keys()];
    const empty = (lane: Lane): boolean => lane.countUpTo(this.cut.record.position) === 0;
    for (;;) {
      const complete = topics.filter((topic) => this.#complete([topic]));
      const unknown = this.#lanesOf(topics).filter((lane) => empty(lane) && !this.#arrived(lane.topic));
      if (complete.length === topics.length) return;
      if (unknown.length > 0) await this.#more((lane) => unknown.includes(lane), signal);
      else yield* toParts(this.#mergeHeads(topics));
    }
  }

  /** Merges until a partition that may hold more runs empty. */
  #mergeHeads(topics: readonly Topic[]): readonly LaneEntry[] {
    const lanes = this.#lanesOf(topics);
    const heads = lanes.map((lane) => lane.entries.slice(0, Math.min(lane.countUpTo(this.cut.record.position), 1000)));
    // Beyond the least of the last known positions another partition may still have something earlier.
    let limit = this.cut.record.position;
    heads.forEach((head, i) => {
      const lane = lanes[i];
      const last = head.at(-1);
      if (lane === undefined || last === undefined) return;
      const open = head.length === 1000 || !this.#arrived(lane.topic);
      if (open && comparePositions(last.record.at, limit) < 0) limit = last.record.at;
    });
    const lists = lanes.map((lane) => {
      const entries = lane.take(lane.countUpTo(limit));
      this.#count(lane, entries);
      return entries;
    });
    return [...mergeByPosition(lists)];
  }

  #drain(lane: Lane): readonly LaneEntry[] {
    const entries = lane.take(lane.countUpTo(this.cut.record.position));
    this.#count(lane, entries);
    return entries;
  }

  #count(lane: Lane, entries: readonly LaneEntry[]): void {
    if (entries.length === 0) return;
    this.took(lane, entries);
    this.#taken.set(lane.topic, (this.#taken.get(lane.topic) ?? 0) + entries.length);
  }

  async #begin(): Promise<void> {
    if (this.#begun) await this.source.rewind();
    this.#begun = true;
    this.#taken = new Map();
    this.ends.clear();
  }

  async #more(needs: (lane: Lane) => boolean, signal: AbortSignal): Promise<void> {
    if (this.source.isVoid(this.cut)) {
      const position = formatPosition(this.cut.record.position);
      throw new TailraceError("log.cut-voided", { what: "the window in hand was voided by a newer writer", where: { position } });
    }
    await this.source.more(this.cut, needs, signal);
  }

  #complete(topics: readonly Topic[]): boolean {
    return topics.every(
      (topic) => (this.#taken.get(topic) ?? 0) + below(this.source.lanes.get(topic)) === (this.cut.delta.get(topic) ?? 0),
    );
  }

  /** Everything of this topic that belongs to the window is taken or held. */
  #arrived(topic: Topic): boolean {
    const lanes = this.source.lanes.get(topic) ?? [];
    const held = lanes.reduce((n, lane) => n + lane.countUpTo(this.cut.record.position), 0);
    return (this.#taken.get(topic) ?? 0) + held + below(lanes) === (this.cut.delta.get(topic) ?? 0);
  }

  #lanesOf(topics: readonly Topic[]): readonly Lane[] {
    return topics.flatMap((topic) => this.source.lanes.get(topic) ?? []);
  }
}

const below = (lanes: readonly Lane[] | undefined): number => (lanes ?? []).reduce((n, lane) => n + lane.below, 0);

/** Partitions that a cut still waits for. */
export const waitsFor = (cut: PendingCut, base: ObeyedEpoch["base"]) => {
  return (lane: Lane): boolean => !isExhausted(cut, base, new Map([[lane.topic, [lane]]]));
};
