/** Bounds on waiting for what should never take long. What is waited for goes on unheard: nothing can end a promise from outside. */
import type { Clock } from "./clock.js";
import { TailraceError } from "./errors.js";

export interface TimeLimit {
  readonly clock: Clock;
  readonly ms: number;
  /** Of what is waited for, for the error. */
  readonly what: string;
}

/** Rejects with `session.stuck` when the promise has not settled in time. */
export function inTime<T>(promise: PromiseLike<T>, { clock, ms, what }: TimeLimit): Promise<T> {
  const settled = new AbortController();
  return new Promise<T>((resolve, reject) => {
    clock.delay(ms, settled.signal).then(
      () => reject(new TailraceError("session.stuck", { what: `${what} has not come back for ${Math.round(ms / 1_000)} s` })),
      () => {},
    );
    promise.then(
      (value) => {
        settled.abort();
        resolve(value);
      },
      (thrown: unknown) => {
        settled.abort();
        reject(thrown instanceof Error ? thrown : new Error(String(thrown)));
      },
    );
  });
}
