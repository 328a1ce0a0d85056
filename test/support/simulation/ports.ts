/**
 * The contracts of one process, each call counted and each allowed to fail: before it has done anything, after it has done everything, or never
 * answering because its process is dead. What must be given back (sources, sessions, appenders, tails) is counted as well.
 */
import type { SimulatedClock } from "./simulated-clock.js";

export interface Call {
  /** From 1, over all ports of the process. */
  readonly n: number;
  /** `log.bounds`, `target-session.apply`, `windows.next` … */
  readonly name: string;
}
export interface Failure {
  /** `never`: the process dies with the call; nothing is done. */
  readonly when: "before" | "after" | "never";
  readonly error: Error;
}
export type FailurePlan = (call: Call) => Failure | null;

/** By contract they never fail, never wait, or only say what is known. */
const quiet = new Set(["state", "newest", "current", "publish", "after", "end", "unfinished", "pause", "resume", "progress", "epochSeen"]);
const streams = new Set(["batches", "windows", "parts", "inSourceOrder", "scan"]);
/** Calls whose answer is a port, and whether it must be given back. */
const ports: Readonly<Record<string, { readonly port: string; readonly held: boolean }>> = {
  "writer.open": { port: "session", held: true },
  "log.appender": { port: "appender", held: true },
  "log.tail": { port: "tail", held: true },
  "target.own": { port: "target-session", held: true },
  "process.openSource": { port: "source", held: true },
  "process.openTarget": { port: "target", held: true },
  "process.openReader": { port: "reader", held: true },
  "source.batches": { port: "batch", held: false },
  "reader.windows": { port: "window", held: false },
};

export class Ports {
  calls = 0;
  isDead = false;
  plan: FailurePlan = () => null;
  /** Names of all calls, in order. */
  readonly names: string[] = [];
  readonly held = new Map<string, number>();

  constructor(private readonly clock: SimulatedClock | null) {}

  /** What is held now, by port. */
  leaks(): readonly string[] {
    return [...this.held].filter(([, n]) => n !== 0).map(([port, n]) => `${port}: ${n}`);
  }

  wrap<T extends object>(port: string, real: T): T {
    return new Proxy(real, {
      get: (_, name) => {
        const value: unknown = Reflect.get(real, name, real);
        if (name === Symbol.asyncDispose) return () => this.#dispose(port, real as AsyncDisposable);
        if (typeof value !== "function" || typeof name !== "string") return value;
        const method = value as (...args: unknown[]) => unknown;
        if (quiet.has(name)) return (...args: unknown[]) => method.apply(real, args);
        const call = `${port}.${name}`;
        if (streams.has(name)) return (...args: unknown[]) => this.#stream(call, method.apply(real, args) as AsyncIterable<object>);
        return (...args: unknown[]) => this.#call(call, () => method.apply(real, args));
      },
    });
  }

  /** A function that opens a port. */
  opening<A extends unknown[], T extends object>(name: string, real: (...args: A) => Promise<T>): (...args: A) => Promise<T> {
    return (...args) => this.#call(`process.${name}`, () => real(...args)) as Promise<T>;
  }

  /** Hands out what is made without waiting. */
  made<T extends object>(port: string, real: T): T {
    this.#hold(port, 1);
    return this.wrap(port, real);
  }

  #call(name: string, real: () => unknown): unknown {
    if (isSynchronous(name)) {
      const failure = this.isDead ? dead : this.#count(name);
      if (failure !== null && failure.when !== "after") throw failure.error;
      return real();
    }
    return this.isDead ? never() : this.#answer(name, this.#count(name), real);
  }

  async #answer(name: string, failure: Failure | null, real: () => unknown): Promise<unknown> {
    if (failure?.when === "never") return await never();
    if (failure?.when === "before") throw failure.error;
    const answer = await this.#alive(Promise.resolve(real()));
    const made = ports[name];
    if (failure !== null) {
      // It was opened, and nobody will ever hold it.
      if (made?.held === true) await (answer as AsyncDisposable)[Symbol.asyncDispose]();
      throw failure.error;
    }
    if (made === undefined || answer === null) return answer;
    if (made.held) this.#hold(made.port, 1);
    return this.wrap(made.port, answer as object);
  }

  async *#stream(name: string, real: AsyncIterable<object>): AsyncGenerator<object, void, undefined> {
    const made = ports[name];
    const iterator = real[Symbol.asyncIterator]();
    try {
      for (;;) {
        const failure = this.isDead ? dead : this.#count(`${name}.next`);
        if (failure?.when === "never") await never();
        if (failure?.when === "before") throw failure.error;
        const { value, done } = await this.#alive(iterator.next());
        if (failure !== null) throw failure.error;
        if (done === true) return;
        yield made === undefined ? value : this.wrap(made.port, value);
      }
    } finally {
      if (!this.isDead) await iterator.return?.();
    }
  }

  async #dispose(port: string, real: AsyncDisposable): Promise<void> {
    const failure = this.isDead ? dead : this.#count(`${port}.dispose`);
    if (failure?.when === "never") await never();
    this.#hold(port, -1);
    await real[Symbol.asyncDispose]();
    // What closes may complain; it is closed all the same.
    if (failure !== null) throw failure.error;
  }

  #count(name: string): Failure | null {
    this.calls += 1;
    if (this.clock !== null) this.clock.activity += 1;
    this.names.push(name);
    return this.plan({ n: this.calls, name });
  }

  #hold(port: string, n: number): void {
    this.held.set(port, (this.held.get(port) ?? 0) + n);
  }

  /** A process that died meanwhile never hears the answer. */
  async #alive<T>(answer: Promise<T>): Promise<T> {
    const value = await answer;
    return this.isDead ? never() : value;
  }
}

const synchronous = new Set(["source.lag", "source.captureLog", "source.recognises", "target-session.assertOwned"]);
const isSynchronous = (name: string): boolean => synchronous.has(name);
const never = <T>(): Promise<T> => new Promise<T>(() => {});
const dead: Failure = { when: "never", error: new Error("the process is dead") };
