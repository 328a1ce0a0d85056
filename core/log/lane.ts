/**
 * One partition as the reader holds it: the records of the obeyed epoch that no applied cut contains yet. Within an epoch a partition is in
 * position order, because one writer with one request in flight wrote it; everything below relies on that.
 */
import type { DecodedRecord } from "../contracts/log.js";
import { type Offset, offset, type Topic } from "../vocabulary/ids.js";
import type { Elsewhere } from "./elsewhere.js";
import { comparePositions, type Position } from "../vocabulary/position.js";

export interface LaneEntry {
  readonly offset: number;
  readonly record: DecodedRecord;
}

const countedBytes = 100;
/** Of another group's rows only their number is kept. */
export const laneEntry = (at: Offset, record: DecodedRecord, elsewhere: Elsewhere | undefined): LaneEntry =>
  elsewhere?.isOf(record) === true
    ? { offset: at, record: { epoch: record.epoch, at: record.at, bytes: countedBytes, body: { kind: "counted" } } }
    : { offset: at, record };

export class Lane {
  /** Offset of the next record to be read. */
  readTo: number;
  /** Everything below is applied or void; a rewind goes back to here. */
  consumedTo: number;
  /** Records of the epoch at or below the applied position: counted, not applied. */
  below = 0;
  #belowAtConsumed = 0;
  #entries: LaneEntry[] = [];
  bytes = 0;
  paused = false;
  /** A record of a newer epoch has come: what follows waits for that epoch's start, and is read again from there. */
  isPastEpoch = false;

  constructor(
    readonly topic: Topic,
    readonly partition: number,
    from: Offset,
  ) {
    this.readTo = from;
    this.consumedTo = from;
  }

  get entries(): readonly LaneEntry[] {
    return this.#entries;
  }

  get size(): number {
    return this.#entries.length;
  }

  push(entry: LaneEntry): void {
    this.#entries.push(entry);
    this.bytes += entry.record.bytes;
  }

  /** How many entries lie at or below `position`. */
  countUpTo(position: Position): number {
    let low = 0;
    let high = this.#entries.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      const entry = this.#entries[middle];
      if (entry !== undefined && comparePositions(entry.record.at, position) <= 0) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** Takes the first n entries out, for good unless `rewind` follows. */
  take(n: number): readonly LaneEntry[] {
    if (n === 0) return [];
    const taken = n === this.#entries.length ? this.#entries : this.#entries.slice(0, n);
    this.#entries = n === this.#entries.length ? [] : this.#entries.slice(n);
    for (const entry of taken) this.bytes -= entry.record.bytes;
    return taken;
  }

  /** The window that took entries up to (not including) `to` is applied: from here on counting begins at its cut. */
  settle(to: number): void {
    this.consumedTo = to;
    this.below = 0;
    this.#belowAtConsumed = 0;
  }

  /** Buffered records are thrown away; reading goes on at the returned offset. */
  rewind(): Offset {
    this.#entries = [];
    this.bytes = 0;
    this.below = this.#belowAtConsumed;
    this.readTo = this.consumedTo;
    return offset(this.consumedTo);
  }

  /** A new epoch: what was held belongs to an older one. */
  restart(from: number): Offset {
    this.consumedTo = from;
    this.#belowAtConsumed = 0;
    this.isPastEpoch = false;
    return this.rewind();
  }
}
