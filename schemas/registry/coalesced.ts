/**
 * One piece of work for all who ask for the same thing at the same time, and its result for all who ask later. A failure is not kept. The
 * work is given up when the last who waits for it has gone.
 */
interface Running<T> {
  readonly promise: Promise<T>;
  readonly abort: AbortController;
  waiting: number;
}

export class Coalesced<T> {
  readonly #known = new Map<string, T>();
  readonly #running = new Map<string, Running<T>>();

  async get(name: string, work: (signal: AbortSignal) => Promise<T>, signal: AbortSignal): Promise<T> {
    signal.throwIfAborted();
    const known = this.#known.get(name);
    if (known !== undefined) return known;
    const running = this.#running.get(name) ?? this.#start(name, work);
    running.waiting += 1;
    try {
      return await orAborted(running.promise, signal);
    } finally {
      running.waiting -= 1;
      if (running.waiting === 0) this.#giveUp(name, running);
    }
  }

  /** What is asked for from now on is worked out anew. */
  forget(): void {
    this.#known.clear();
  }

  #start(name: string, work: (signal: AbortSignal) => Promise<T>): Running<T> {
    const abort = new AbortController();
    const running: Running<T> = { promise: this.#carryOut(name, work(abort.signal)), abort, waiting: 0 };
    // Those who wait hear of a failure; when all have gone, nobody needs to.
    running.promise.catch(() => {});
    this.#running.set(name, running);
    return running;
  }

  async #carryOut(name: string, work: Promise<T>): Promise<T> {
    const result = await work;
    this.#known.set(name, result);
    return result;
  }

  /** Nobody may join what was given up. */
  #giveUp(name: string, running: Running<T>): void {
    running.abort.abort();
    if (this.#running.get(name) === running) this.#running.delete(name);
  }
}

function orAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise<T>((resolve, reject) => {
    const onAbort = () => reject(signal.reason instanceof Error ? signal.reason : new Error("aborted"));
    if (signal.aborted) onAbort();
    signal.addEventListener("abort", onAbort, { once: true });
    void promise.then(resolve, reject).finally(() => signal.removeEventListener("abort", onAbort));
  });
}
