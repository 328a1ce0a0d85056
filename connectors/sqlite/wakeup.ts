/** Waits until something was committed: asks `data_version`, at the pace of core/file-pace.ts. */
import type { Clock } from "../../core/clock.js";
import { FilePace } from "../../core/file-pace.js";

export interface WakeupOptions {
  readonly path: string;
  readonly clock: Clock;
  /** `PRAGMA data_version` of a connection that writes nothing. */
  readonly dataVersion: () => unknown;
}

/** Everything is looked at this often even if nothing seems to have moved: some replacements move nothing. */
const fullCheckMs = 1_000;

export class Wakeup implements Disposable {
  readonly #options: WakeupOptions;
  readonly #pace: FilePace;
  #seen: unknown;
  #isCalled = false;

  constructor(options: WakeupOptions) {
    this.#options = options;
    this.#pace = new FilePace({ path: options.path, clock: options.clock, quickForMs: 50, restMs: 30 });
    this.#seen = options.dataVersion();
  }

  /** Look now: a wait that goes on is ended. */
  call(): void {
    this.#isCalled = true;
    this.#pace.call();
  }

  /** Resolves when the data moved since the last call, and at least once a second. Call it after reading, never before. */
  async wait(signal: AbortSignal): Promise<void> {
    const { clock } = this.#options;
    const untilMs = clock.monotonicMs() + fullCheckMs;
    while (!this.#moved()) {
      const leftMs = untilMs - clock.monotonicMs();
      if (this.#isCalled || leftMs <= 0) {
        this.#isCalled = false;
        return;
      }
      await this.#pace.rest(leftMs, signal);
    }
    this.#pace.moved();
    this.#pace.came();
  }

  [Symbol.dispose](): void {
    this.#pace[Symbol.dispose]();
  }

  #moved(): boolean {
    const now = this.#options.dataVersion();
    if (now === this.#seen) return false;
    this.#seen = now;
    return true;
  }
}
