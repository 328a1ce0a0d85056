import type { Clock } from "../../../core/clock.js";

interface Timer {
  readonly dueMs: number;
  readonly wake: () => void;
}

/** Time passes when nobody has anything else to do. */
export class VirtualClock implements Clock {
  #nowMs = 1_000_000;
  #timers: Timer[] = [];
  #pumping = false;

  wallMs(): number {
    return this.#nowMs;
  }
  monotonicMs(): number {
    return this.#nowMs;
  }
  delay(ms: number, signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const aborted = (): void => {
        this.#timers = this.#timers.filter((one) => one !== timer);
        reject(Object.assign(new Error("aborted"), { name: "AbortError" }));
      };
      const timer: Timer = {
        dueMs: this.#nowMs + ms,
        wake: () => {
          signal.removeEventListener("abort", aborted);
          resolve();
        },
      };
      if (signal.aborted) return aborted();
      signal.addEventListener("abort", aborted, { once: true });
      this.#timers.push(timer);
      this.#pump();
    });
  }
  #pump(): void {
    if (this.#pumping) return;
    this.#pumping = true;
    const turn = (): void => {
      const next = this.#timers.toSorted((a, b) => a.dueMs - b.dueMs)[0];
      if (next === undefined) {
        this.#pumping = false;
        return;
      }
      this.#timers = this.#timers.filter((one) => one !== next);
      this.#nowMs = Math.max(this.#nowMs, next.dueMs);
      next.wake();
      setImmediate(turn);
    };
    setImmediate(turn);
  }
}
