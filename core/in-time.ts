/**
 * Bounds on waiting for what should never take long. What is waited for goes on unheard: nothing can end a promise from outside.
 *
 * One timer watches over all that is waited for, since there may be thousands a second: whatever was begun before it and is still unsettled when it
 * ends is stuck. So a wait is given up after one to two times the patience.
 */
import type { Clock } from "./clock.js";
import { TailraceError } from "./errors.js";

interface Waiting {
  readonly what: string;
  /** Timers that have to run out while it waits. */
  left: number;
  readonly reject: (error: Error) => void;
}

export class Patience implements Disposable {
  readonly #waiting = new Set<Waiting>();
  readonly #closing = new AbortController();
  #isWatching = false;

  constructor(
    private readonly clock: Clock,
    private readonly ms: number,
  ) {}

  /** Rejects with `session.stuck` when the promise has not settled in time. `moreMs`: how long it may take by agreement. */
  inTime<T>(what: string, promise: PromiseLike<T>, moreMs = 0): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      const waiting: Waiting = { what, left: 1 + Math.floor(moreMs / this.ms), reject };
      this.#waiting.add(waiting);
      this.#watch();
      promise.then(
        (value) => {
          this.#waiting.delete(waiting);
          resolve(value);
        },
        (thrown: unknown) => {
          this.#waiting.delete(waiting);
          reject(thrown instanceof Error ? thrown : new Error(String(thrown)));
        },
      );
    });
  }

  /** Nothing is watched over any more. */
  [Symbol.dispose](): void {
    this.#closing.abort();
  }

  #watch(): void {
    if (this.#isWatching || this.#closing.signal.aborted) return;
    this.#isWatching = true;
    const before = [...this.#waiting];
    // Ended before its time only when nothing is watched over any more.
    this.clock.delay(this.ms, this.#closing.signal).then(
      () => this.#ran(before),
      () => {},
    );
  }

  #ran(before: readonly Waiting[]): void {
    this.#isWatching = false;
    for (const waiting of before) {
      if (!this.#waiting.has(waiting) || --waiting.left > 0) continue;
      this.#waiting.delete(waiting);
      const seconds = Math.round(this.ms / 1_000);
      waiting.reject(new TailraceError("session.stuck", { what: `${waiting.what} has not come back for ${seconds} s` }));
    }
    if (this.#waiting.size > 0) this.#watch();
  }
}
