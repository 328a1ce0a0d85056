/**
 * Forgets log rows strictly below a position, a few at a time and only while the application is quiet, unless the log has grown large. The
 * row at the position stays as anchor, and so does what somebody holds. Whatever stands in the way, it gives up: the next call goes on.
 */
import type { Clock } from "../../core/clock.js";
import { passing } from "../../core/crash-points.js";
import { type Database, isBusy } from "./database.js";
import { politely } from "./write.js";

export interface PrunerOptions {
  readonly writer: Database;
  readonly clock: Clock;
  /** Moves with every commit of somebody else, and with ours. */
  readonly dataVersion: () => unknown;
  /** The lowest row that somebody holds; null: nobody. Asked under the write lock. */
  readonly heldFrom: () => number | null;
}

const slice = 500;
const quietMs = 20;
const pauseMs = 2;
const looks = 50;
/** From here on the log is shortened under a busy application too. */
const largeLog = 50_000;

export class Pruner {
  readonly #options: PrunerOptions;
  #running: Promise<void> | null = null;

  constructor(options: PrunerOptions) {
    this.#options = options;
  }

  /** One at a time; a call during another is that other. `isOurs` is asked under the write lock: a restored past is not ours to shorten. */
  async prune(below: number, isOurs: () => boolean, signal: AbortSignal): Promise<void> {
    this.#running ??= this.#prune(below, isOurs, signal).finally(() => {
      this.#running = null;
    });
    await this.#running;
  }

  /** Once its signal has fired, this is soon. */
  async idle(): Promise<void> {
    await this.#running?.catch(() => {});
  }

  async #prune(below: number, isOurs: () => boolean, signal: AbortSignal): Promise<void> {
    const { writer, clock, heldFrom } = this.#options;
    const oldest = Number(writer.prepare("SELECT min(seq) FROM _cdc_log").pluck().get() ?? below);
    for (let from = oldest; from < below && !signal.aborted; from += slice) {
      if (below - from < largeLog && !(await this.#quiet(signal))) return;
      const until = Math.min(from + slice, below);
      try {
        const gaveUp = politely(writer, () => {
          if (!isOurs()) return true;
          const held = heldFrom();
          writer.prepare("DELETE FROM _cdc_log WHERE seq < ?").run(Math.min(until, held ?? until));
          return held !== null && held < until;
        });
        passing("source.log-pruned");
        if (gaveUp) return;
      } catch (thrown) {
        if (isBusy(thrown)) return;
        throw thrown;
      }
      await clock.delay(pauseMs, signal);
    }
  }

  async #quiet(signal: AbortSignal): Promise<boolean> {
    const { clock, dataVersion } = this.#options;
    for (let i = 0; i < looks; i++) {
      const before = dataVersion();
      await clock.delay(quietMs, signal);
      if (dataVersion() === before) return true;
    }
    return false;
  }
}
