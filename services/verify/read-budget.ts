/** Spends rows at a rate: who has read more than a second's worth ahead waits until time has caught up. */
import type { Clock } from "../../core/clock.js";

const aheadMsMax = 250;

export class ReadBudget {
  /** When all that was spent so far is paid for. */
  #paidMs: number;

  constructor(
    private readonly rowsPerSecond: number,
    private readonly clock: Clock,
  ) {
    this.#paidMs = clock.monotonicMs();
  }

  async spend(rows: number, signal: AbortSignal): Promise<void> {
    const nowMs = this.clock.monotonicMs();
    // Time in which nothing was read is not saved up.
    this.#paidMs = Math.max(this.#paidMs, nowMs) + (rows / this.rowsPerSecond) * 1_000;
    const ahead = this.#paidMs - nowMs;
    if (ahead > aheadMsMax) await this.clock.delay(ahead, signal);
  }
}
