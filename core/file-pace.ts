/**
 * How long to wait before one looks again whether somebody has written to a database's files.
 *
 * The system's watcher of the folder ends a wait at once, and then a look per commit is enough. It may fire before the commit is visible: looks follow
 * each other quickly for a while behind it. Where commits come closer than a few milliseconds it costs more than it saves, so there one looks by the clock
 * alone. Promises: a rest is never longer than the pace says, whatever the watcher does. Rests count on it only since it fired ahead of something that
 * had moved, and until something moves that it kept silent about (a file that another machine writes, a system without a watcher).
 */
import { type FSWatcher, watch } from "node:fs";
import { basename, dirname } from "node:path";
import type { Clock } from "./clock.js";
import { isAbort } from "./errors.js";

export interface FilePaceOptions {
  /** The database; what lies beside it begins with its name. */
  readonly path: string;
  readonly clock: Clock;
  /** Without a watcher to count on: quick looks last so long behind what has come, */
  readonly quickForMs: number;
  /** and this is the longest rest. */
  readonly restMs: number;
}

/** Each look costs 30 to 50 µs of a core, most of it for waking up: at one a millisecond that is 4 % of it, all day long. */
const quickMs = 2;
/** Behind a watcher that has fired: what it tells of is visible by then, or an fsync later, of which no watcher tells. */
const afterHint = { quickMs: 1, quickForMs: 20 } as const;
const countedOnRestMs = 250;
/** Elsewhere it tells a while after the fact, by which looking by the clock has long found it. */
const tellsAtOnce = process.platform === "linux";
/** Mean time between two arrivals: below the first the watcher goes, above the second it comes back. */
const busy = { belowMs: 3, untilMs: 6 } as const;
const meanOf = 8;

export class FilePace implements Disposable {
  readonly #options: FilePaceOptions;
  readonly #name: string;
  #watcher: FSWatcher | null = null;
  #canWatch = true;
  #isBusy = false;
  #isCountedOn = false;
  /** Of a hint behind which nothing was found yet. */
  #hintAtMs: number | null = null;
  /** All through the last rest. A look right behind another may find what the watcher has yet to tell of. */
  #wasSilent = false;
  #cameAtMs: number;
  #gapMs = countedOnRestMs;
  #wake: (() => void) | null = null;

  constructor(options: FilePaceOptions) {
    this.#options = options;
    this.#name = basename(options.path);
    this.#cameAtMs = options.clock.monotonicMs();
    this.#watch();
  }

  /** A look found that somebody has committed. */
  moved(): void {
    if (this.#hintAtMs !== null) this.#isCountedOn = tellsAtOnce;
    else if (this.#wasSilent) this.#isCountedOn = false;
    this.#hintAtMs = null;
    this.#wasSilent = false;
  }

  /** What was waited for has come: more may follow soon. */
  came(): void {
    const nowMs = this.#options.clock.monotonicMs();
    this.#gapMs += (Math.min(nowMs - this.#cameAtMs, countedOnRestMs) - this.#gapMs) / meanOf;
    this.#cameAtMs = nowMs;
    this.#isBusy = this.#gapMs < (this.#isBusy ? busy.untilMs : busy.belowMs);
    if (this.#isBusy) this.#unwatch();
  }

  /** Ends a rest that goes on. */
  call(): void {
    this.#wake?.();
  }

  /** Until the next look is due, and no longer than `mostMs`. */
  async rest(mostMs: number, signal: AbortSignal): Promise<void> {
    const nowMs = this.#options.clock.monotonicMs();
    if (this.#isBusy && nowMs - this.#cameAtMs > this.#options.quickForMs) this.#isBusy = false;
    // What was written before there was a watcher is found by the look that follows.
    if (!this.#isBusy && this.#watch()) return;
    const ms = Math.min(this.#pauseMs(nowMs), mostMs);
    // Whoever writes a large transaction has the watcher fire all the time: cut short, looks would follow each other without end.
    if (ms <= quickMs) await this.#options.clock.delay(ms, signal);
    else await this.#sleep(ms, signal);
    this.#wasSilent = this.#watcher !== null && this.#hintAtMs === null;
  }

  [Symbol.dispose](): void {
    this.#canWatch = false;
    this.#unwatch();
  }

  #pauseMs(nowMs: number): number {
    const isCountedOn = this.#isCountedOn && this.#watcher !== null;
    const restMs = isCountedOn ? countedOnRestMs : this.#options.restMs;
    if (this.#hintAtMs !== null) return rising(nowMs - this.#hintAtMs, { ...afterHint, restMs });
    return isCountedOn ? restMs : rising(nowMs - this.#cameAtMs, { ...this.#options, quickMs });
  }

  async #sleep(ms: number, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    const inner = new AbortController();
    const end = (): void => inner.abort();
    signal.addEventListener("abort", end, { once: true });
    this.#wake = end;
    try {
      await this.#options.clock.delay(ms, inner.signal);
    } catch (thrown) {
      if (!isAbort(thrown)) throw thrown;
      signal.throwIfAborted();
    } finally {
      this.#wake = null;
      signal.removeEventListener("abort", end);
    }
  }

  /** True: there is one since now. Where the system cannot watch, looking alone does it. */
  #watch(): boolean {
    if (this.#watcher !== null || !this.#canWatch) return false;
    this.#hintAtMs = null;
    try {
      const watcher = watch(dirname(this.#options.path), { persistent: false }, (_, name) => this.#written(name));
      watcher.on("error", () => {
        this.#canWatch = false;
        this.#unwatch();
      });
      this.#watcher = watcher;
    } catch {
      this.#canWatch = false;
    }
    return this.#watcher !== null;
  }

  #unwatch(): void {
    this.#watcher?.close();
    this.#watcher = null;
    this.#hintAtMs = null;
  }

  #written(name: string | null): void {
    if (name !== null && !name.startsWith(this.#name)) return;
    this.#hintAtMs = this.#options.clock.monotonicMs();
    this.call();
  }
}

/** After so much quiet; a tenth of it in the end, so that nothing is found later than a tenth of the time that it took. */
const rising = (
  quietMs: number,
  { quickMs: first, quickForMs, restMs }: { quickMs: number; quickForMs: number; restMs: number },
): number => (quietMs < quickForMs ? first : Math.min(restMs, first + Math.ceil((quietMs - quickForMs) / 10)));
