/** The end of the newest batch that its log holds, and a wait for it: a source tells the next batch only then. */
import { isAbove, type Position } from "../vocabulary/position.js";

export class Acknowledged {
  #at: Position | null = null;
  #heard: (() => void) | null = null;

  note(at: Position): void {
    this.#at = at;
    this.#heard?.();
  }

  /** Rejects with the signal's reason. One waits at a time. */
  async reach(position: Position, signal: AbortSignal): Promise<void> {
    while (this.#at === null || isAbove(position, this.#at)) {
      await new Promise<void>((resolve, reject) => {
        const abort = (): void => reject(signal.reason as Error);
        signal.addEventListener("abort", abort, { once: true });
        this.#heard = () => {
          signal.removeEventListener("abort", abort);
          resolve();
        };
        if (signal.aborted) abort();
      });
    }
  }
}
