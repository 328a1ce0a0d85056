/** Time that moves only when nothing else does: the next timer fires when everybody waits. A run is a function of what is done in it. */
import type { Clock } from "../../../core/clock.js";

interface Timer {
  readonly atMs: number;
  readonly fire: () => void;
}

export class SimulatedClock implements Clock {
  #nowMs = 0;
  #timers: Timer[] = [];
  /** Rises whenever anybody does anything; whoever looks twice and sees the same number sees a world at rest. */
  activity = 0;

  wallMs(): number {
    return 1_700_000_000_000 + this.#nowMs;
  }
  monotonicMs(): number {
    return this.#nowMs;
  }

  delay(ms: number, signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const abort = (): void => {
        cancel();
        reject(new DOMException("aborted", "AbortError"));
      };
      const cancel = this.after(ms, () => {
        signal.removeEventListener("abort", abort);
        resolve();
      });
      signal.addEventListener("abort", abort, { once: true });
      if (signal.aborted) abort();
    });
  }

  after(ms: number, fire: () => void): () => void {
    this.activity += 1;
    const timer = { atMs: this.#nowMs + Math.max(0, ms), fire };
    this.#timers.push(timer);
    return () => {
      this.#timers = this.#timers.filter((other) => other !== timer);
    };
  }

  /** Resolves when everybody waits for time or for nothing. */
  async rest(): Promise<void> {
    for (let still = 0, seen = this.activity; still < 3; ) {
      await new Promise<void>((resolve) => setImmediate(resolve));
      still = seen === this.activity ? still + 1 : 0;
      seen = this.activity;
    }
  }

  /** Lets the next timer fire; false when there is none. */
  advance(): boolean {
    const next = this.#timers.reduce<Timer | null>((least, timer) => (least === null || timer.atMs < least.atMs ? timer : least), null);
    if (next === null) return false;
    this.#timers = this.#timers.filter((timer) => timer !== next);
    this.#nowMs = Math.max(this.#nowMs, next.atMs);
    this.activity += 1;
    next.fire();
    return true;
  }
}
