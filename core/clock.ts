import { setImmediate as nextTurn } from "node:timers/promises";

/**
 * Time as services see it. Nothing is ordered or fenced by it: it only says how long to wait and how old something is.
 * Tests inject their own.
 */
export interface Clock {
  /** Milliseconds since 1970, for people. */
  wallMs(): number;
  /** Milliseconds that never go back, for durations. */
  monotonicMs(): number;
  /** Rejects with AbortError when the signal fires. */
  delay(ms: number, signal: AbortSignal): Promise<void>;
}

export const systemClock: Clock = {
  wallMs: () => Date.now(),
  monotonicMs: () => performance.now(),
  delay,
};

/** By hand: the promise of node:timers/promises costs half as much again, and a service that waits for work does hardly anything else. */
function delay(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const aborted = (): void => {
      clearTimeout(timer);
      reject(Object.assign(new Error("The operation was aborted", { cause: signal.reason }), { name: "AbortError" }));
    };
    const timer = setTimeout(() => {
      signal.removeEventListener("abort", aborted);
      resolve();
    }, ms);
    if (signal.aborted) aborted();
    else signal.addEventListener("abort", aborted, { once: true });
  });
}

/** Lets timers and sockets have their turn; for loops whose every step is there at once. Waits for nothing, so it is not part of Clock. */
export const breathe = (): Promise<void> => nextTurn();

/** Rising delay for retries: doubles from `firstMs` to `mostMs`; `reset` after success. */
export class Backoff {
  #nextMs: number;

  constructor(
    private readonly firstMs: number,
    private readonly mostMs: number,
  ) {
    this.#nextMs = firstMs;
  }

  next(): number {
    const ms = this.#nextMs;
    this.#nextMs = Math.min(this.mostMs, ms * 2);
    return ms;
  }

  reset(): void {
    this.#nextMs = this.firstMs;
  }
}
