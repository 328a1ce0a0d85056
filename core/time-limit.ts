/**
 * A signal that fires with another one, or when a time is over. By hand, because `AbortSignal.any` holds its sources weakly: of
 * `any([signal, AbortSignal.timeout(ms)])` Node 20 collects the second, and what was to end after `ms` never ends.
 */
export interface TimeLimited extends Disposable {
  readonly signal: AbortSignal;
  /** True once the time was over before anything else ended it. */
  readonly isOver: boolean;
}

/** The signal's reason is that of `signal`, or an error named `TimeoutError`. Does not keep the process alive. To be disposed. */
export function timeLimit(signal: AbortSignal, ms: number): TimeLimited {
  const controller = new AbortController();
  const over = new DOMException(`It has taken longer than ${ms} ms`, "TimeoutError");
  const pass = (): void => controller.abort(signal.reason);
  const timer = setTimeout(() => controller.abort(over), ms);
  timer.unref();
  if (signal.aborted) pass();
  else signal.addEventListener("abort", pass, { once: true });
  return {
    signal: controller.signal,
    get isOver() {
      return controller.signal.reason === over;
    },
    [Symbol.dispose]: () => {
      clearTimeout(timer);
      signal.removeEventListener("abort", pass);
    },
  };
}
