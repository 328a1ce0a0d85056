/**
 * Waits until something was committed. `data_version` is asked every other millisecond for a while after activity, then ever less often; the
 * directory's watcher ends a long wait early. The watcher fires before a commit is visible, so it only starts the quick asking again; and it is there
 * only during long waits, since a busy writer has it fire several times per commit, each at the price of a read.
 */
import { type FSWatcher, watch } from "node:fs";
import { dirname } from "node:path";
import type { Clock } from "../../core/clock.js";
import { isAbort } from "../../core/errors.js";

export interface WakeupOptions {
  readonly path: string;
  readonly clock: Clock;
  /** `PRAGMA data_version` of a connection that writes nothing. */
  readonly dataVersion: () => unknown;
}

/** Each look costs about 50 µs of a core, most of it for waking up: at one a millisecond that is 5 % of it, all day long. */
const quickPollMs = 2;
const quickForMs = 50;
const idlePollMs = 30;
/** Everything is looked at this often even if nothing seems to have moved: some replacements move nothing. */
const fullCheckMs = 1_000;

export class Wakeup implements Disposable {
  readonly #options: WakeupOptions;
  #watcher: FSWatcher | null = null;
  #seen: unknown;
  #activeAtMs = 0;
  #hint: (() => void) | null = null;
  #isCalled = false;
  #canWatch = true;

  constructor(options: WakeupOptions) {
    this.#options = options;
    this.#seen = options.dataVersion();
  }

  /** Look now: a wait that goes on is ended. */
  call(): void {
    this.#isCalled = true;
    this.#hint?.();
  }

  /** Resolves when the data moved since the last call, and at least once a second. Call it after reading, never before. */
  async wait(signal: AbortSignal): Promise<void> {
    const { clock } = this.#options;
    const beganMs = clock.monotonicMs();
    while (!this.#moved()) {
      const nowMs = clock.monotonicMs();
      if (this.#isCalled || nowMs - beganMs >= fullCheckMs) {
        this.#isCalled = false;
        return;
      }
      await this.#sleep(this.#pauseMs(nowMs - this.#activeAtMs), signal);
    }
    this.#activeAtMs = clock.monotonicMs();
  }

  [Symbol.dispose](): void {
    this.#unwatch();
  }

  #moved(): boolean {
    const now = this.#options.dataVersion();
    if (now === this.#seen) return false;
    this.#seen = now;
    return true;
  }

  #pauseMs(idleMs: number): number {
    return idleMs < quickForMs ? quickPollMs : Math.min(idlePollMs, Math.ceil((idleMs - quickForMs) / 10) + quickPollMs);
  }

  async #sleep(ms: number, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    const inner = new AbortController();
    const end = (): void => inner.abort();
    signal.addEventListener("abort", end, { once: true });
    this.#hint = end;
    if (ms > quickPollMs) this.#watch();
    else this.#unwatch();
    try {
      await this.#options.clock.delay(ms, inner.signal);
    } catch (thrown) {
      if (!isAbort(thrown)) throw thrown;
      signal.throwIfAborted();
    } finally {
      this.#hint = null;
      signal.removeEventListener("abort", end);
    }
  }

  /** Where the system cannot watch, polling alone does it. */
  #watch(): void {
    if (this.#watcher !== null || !this.#canWatch) return;
    try {
      const watcher = watch(dirname(this.#options.path), { persistent: false }, () => this.#somethingMoved());
      watcher.on("error", () => watcher.close());
      this.#watcher = watcher;
    } catch {
      this.#canWatch = false;
    }
  }

  #unwatch(): void {
    this.#watcher?.close();
    this.#watcher = null;
  }

  #somethingMoved(): void {
    this.#activeAtMs = this.#options.clock.monotonicMs();
    this.#hint?.();
  }
}
