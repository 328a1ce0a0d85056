/**
 * What counts in `.cuts`, decided by one function for writer and reader alike: a claim counts only if its epoch is above every claim before it;
 * a record that stands behind a counting claim and has a lower epoch does not exist.
 */
import type { WriterEpoch, WriterId } from "../vocabulary/ids.js";
import type { CutsRecord } from "./cut-records.js";
import { allRules, type ProtocolRules } from "./rules.js";

export class Claims {
  #top: number;
  #writer: WriterId | null = null;

  /** `top`: epoch of an applied cut, when reading begins behind it. Every claim before that cut was of its epoch or lower. */
  constructor(
    top: WriterEpoch | null = null,
    private readonly rules: ProtocolRules = allRules,
  ) {
    this.#top = top ?? 0;
  }

  get top(): number {
    return this.#top;
  }

  /** Writer of the newest counting claim seen; null when it lies before the place where reading began. */
  get writer(): WriterId | null {
    return this.#writer;
  }

  /** To be asked once for each record, in offset order. */
  counts(record: CutsRecord): boolean {
    switch (record.kind) {
      case "log":
        return true;
      case "claim": {
        const counts = this.rules.claimsRise ? record.epoch > this.#top : record.epoch >= this.#top;
        if (counts) {
          this.#top = record.epoch;
          this.#writer = record.writer;
        }
        return counts;
      }
      default: {
        if (this.rules.claimsFence && record.epoch < this.#top) return false;
        // Only a trimmed log begins with a start whose claim is gone.
        if (record.kind === "start" && record.epoch > this.#top) this.#top = record.epoch;
        return true;
      }
    }
  }

  /** A copy that can look ahead. */
  fork(): Claims {
    const copy = new Claims(null, this.rules);
    copy.#top = this.#top;
    copy.#writer = this.#writer;
    return copy;
  }
}
