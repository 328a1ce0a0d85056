/** Waiting for a promise of the library: bounded in time and given up when told to; the promise then goes on unheard. */
import type { Clock } from "../../core/clock.js";
import { TailraceError } from "../../core/errors.js";

export interface Patience {
  readonly ms: number;
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

export function settle<T>(promise: Promise<T>, { ms, clock, signal }: Patience): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = new AbortController();
    const finish = (): void => {
      signal.removeEventListener("abort", abort);
      timer.abort();
    };
    const abort = (): void => {
      finish();
      reject(new DOMException("This operation was aborted", "AbortError"));
    };
    const tired = (): void => {
      finish();
      reject(new TailraceError("log.unavailable", { what: `no answer from the broker for ${ms} ms` }));
    };
    promise.then(
      (value) => {
        finish();
        resolve(value);
      },
      (error: unknown) => {
        finish();
        reject(error instanceof Error ? error : new Error(String(error)));
      },
    );
    signal.addEventListener("abort", abort, { once: true });
    if (signal.aborted) return abort();
    clock.delay(ms, timer.signal).then(tired, () => undefined);
  });
}
