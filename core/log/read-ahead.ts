/**
 * Reads on while the target works on a window, so that fetching, decoding and staging cost the target's time nothing and the next window of a backlog
 * is a large one. It is the only reader meanwhile: whoever asked for it reads nothing until `end` has returned.
 */
import { breathe } from "../clock.js";
import { isAbort } from "../errors.js";

export class ReadAhead {
  readonly #stop = new AbortController();
  readonly #reading: Promise<void>;
  #failure: unknown = null;

  /** `step` takes the next records in, and gives up without a loss when its signal fires. `hasRoom` is asked before each step. */
  constructor(step: (signal: AbortSignal) => Promise<void>, hasRoom: () => boolean, signal: AbortSignal) {
    this.#reading = this.#read(step, hasRoom, signal);
  }

  /** Nothing is read any more on return. Idempotent. */
  async end(): Promise<void> {
    this.#stop.abort();
    await this.#reading;
  }

  /** What went wrong is for whoever asks for the next window: the one in hand does not depend on it. */
  rethrow(): void {
    if (this.#failure !== null) throw this.#failure;
  }

  async #read(step: (signal: AbortSignal) => Promise<void>, hasRoom: () => boolean, signal: AbortSignal): Promise<void> {
    const stop = (): void => this.#stop.abort();
    // By hand: AbortSignal.any would leave one dependent signal per window with the long-lived one.
    signal.addEventListener("abort", stop, { once: true });
    try {
      // The window in hand goes out first.
      await breathe();
      while (!signal.aborted && !this.#stop.signal.aborted && hasRoom()) await step(this.#stop.signal);
    } catch (thrown) {
      if (!(this.#stop.signal.aborted && isAbort(thrown))) this.#failure = thrown;
    } finally {
      signal.removeEventListener("abort", stop);
    }
  }
}
