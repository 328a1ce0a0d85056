/**
 * How long this process, in which the services of the matrix run, got no time at all. PostgreSQL ends the session of the owner's lock when it was silent
 * for five seconds, brokers' answers are given up after some, and both are right to: a machine that stalls is a fault too, only not the one that a case
 * asks about.
 */
import type { ErrorCode } from "../../../core/errors.js";

const lookEveryMs = 100;
/** A beat each half second, and five seconds of the server's patience. */
const sessionsLostMs = 4_000;
/** Of a source that wants to write while the application's transaction is open. */
const busyMs = 1_900;
const whenSessionsAreLost: readonly ErrorCode[] = [
  ...(["target.unavailable", "target.undecided", "log.unavailable"] as const),
  ...(["log.append-failed", "session.stuck", "registry.unavailable"] as const),
];

export class Stalls implements Disposable {
  #longestMs = 0;
  #lookedAt = performance.now();
  readonly #timer = setInterval(() => this.#look(), lookEveryMs).unref();

  /** What was before is forgotten. */
  begin(): void {
    this.#longestMs = 0;
    this.#lookedAt = performance.now();
  }

  /** What may be said because of it, besides what a case is about. `transactionMs`: the application's longest. */
  excused(transactionMs: number): readonly ErrorCode[] {
    this.#look();
    return [
      ...(this.#longestMs > sessionsLostMs ? whenSessionsAreLost : []),
      ...(transactionMs > busyMs ? (["source.busy"] as const) : []),
    ];
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
  }

  #look(): void {
    const now = performance.now();
    this.#longestMs = Math.max(this.#longestMs, now - this.#lookedAt);
    this.#lookedAt = now;
  }
}
