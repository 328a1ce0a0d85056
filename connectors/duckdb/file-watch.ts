/** Notices that the file has moved. A look costs three `stat`s, so it is simply asked again and again; what moved may turn out to be nothing new. */
import type { Clock } from "../../core/clock.js";
import { sameStamp, type Stamp, stampOf } from "./copy/live-copy.js";

const ends = ["", ".wal", ".wal.checkpoint"] as const;

export class FileWatch {
  #seen: readonly (Stamp | null)[] | null = null;
  #movedAtMs: number | null = null;

  constructor(
    private readonly path: string,
    private readonly clock: Clock,
    private readonly pollMs: number,
  ) {}

  /** Called before a copy is taken: what moves from here on is new again. Answers since when something had moved, or null. */
  look(): number | null {
    const since = this.movedSinceMs();
    this.#seen = this.#stamps();
    this.#movedAtMs = null;
    return since;
  }

  /** Wall time at which a move was first noticed; null: the file is as it was at the last look. */
  movedSinceMs(): number | null {
    if (this.#movedAtMs !== null) return this.#movedAtMs;
    const seen = this.#seen;
    if (seen !== null && this.#stamps().every((stamp, i) => sameStamp(stamp, seen[i] ?? null))) return null;
    this.#movedAtMs = this.clock.wallMs();
    return this.#movedAtMs;
  }

  async wait(signal: AbortSignal): Promise<void> {
    await this.clock.delay(this.pollMs, signal);
  }

  #stamps(): readonly (Stamp | null)[] {
    return ends.map((end) => stampOf(`${this.path}${end}`));
  }
}
