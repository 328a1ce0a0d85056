import type { Clock } from "../../core/clock.js";

/** Lets one waiter sleep until it is woken, told to stop, or the time is over. A wake-up without a waiter is remembered once. */
export class Wakeup {
  #woken = false;
  #sleeper: AbortController | null = null;

  constructor(private readonly clock: Clock) {}

  wake(): void {
    this.#woken = true;
    this.#sleeper?.abort();
  }

  /** Rejects only with AbortError, when the signal fires. */
  async wait(ms: number, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    if (!this.#woken) {
      const sleeper = (this.#sleeper = new AbortController());
      const stop = (): void => sleeper.abort();
      signal.addEventListener("abort", stop, { once: true });
      await this.clock.delay(ms, sleeper.signal).catch(() => undefined);
      signal.removeEventListener("abort", stop);
      this.#sleeper = null;
    }
    this.#woken = false;
    signal.throwIfAborted();
  }
}
