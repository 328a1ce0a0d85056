/** Promises that never settle: whoever waits for one is told, and the part that holds it is begun again, or the process ends. */
import { describe, expect, it } from "vitest";
import type { Clock } from "../../core/clock.js";
import type { LogStore } from "../../core/contracts/log-store.js";
import { TailraceError } from "../../core/errors.js";
import { createLogger } from "../../core/logger.js";
import { PatientStore } from "../../core/log/patient-store.js";
import { type Situation, supervise, together } from "../../core/supervise.js";
import { offset, topic } from "../../core/vocabulary/ids.js";
import { MemoryLog } from "../support/memory-log-store.js";

const never = new AbortController().signal;
const forEver = <T>(): Promise<T> => new Promise<T>(() => {});

/** Its delays end when the test says so, or by their signal. */
class HeldClock implements Clock {
  readonly #held: (() => void)[] = [];

  wallMs = (): number => 0;
  monotonicMs = (): number => 0;
  delay(_: number, signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#held.push(resolve);
      signal.addEventListener("abort", () => reject(new DOMException("aborted", "AbortError")), { once: true });
    });
  }

  get waiting(): number {
    return this.#held.length;
  }

  pass(): void {
    for (const end of this.#held.splice(0)) end();
  }
}

describe("tasks that run together", () => {
  const fails = (): Promise<void> => Promise.reject(new TailraceError("log.unavailable", { what: "away" }));

  it("end with the error of the first that fails, once the others have ended", async () => {
    const waits = (signal: AbortSignal): Promise<void> =>
      new Promise((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));
    await expect(together([fails, waits], new HeldClock(), never)).rejects.toMatchObject({ code: "log.unavailable" });
  });

  it("end with process.stuck when one of them does not end after another has failed", async () => {
    const clock = new HeldClock();
    const ended = together([fails, () => forEver()], clock, never);
    const told = expect(ended).rejects.toMatchObject({ code: "process.stuck", verdict: "stop" });
    await expect.poll(() => clock.waiting).toBe(1);
    clock.pass();
    await told;
  });

  it("are waited for when they were asked to stop: how long is for whoever asked to say", async () => {
    const clock = new HeldClock();
    const asked = new AbortController();
    const release: (() => void)[] = [];
    const slow = (): Promise<void> => new Promise((resolve) => release.push(resolve));
    const ended = together([() => Promise.resolve(), slow], clock, asked.signal);
    const told = expect(ended).rejects.toMatchObject({ name: "AbortError" });
    asked.abort();
    await expect.poll(() => clock.waiting).toBe(1);
    clock.pass();
    release[0]?.();
    await told;
  });
});

describe("a patient store", () => {
  const rows = topic("shop.rows");
  const cases: readonly (readonly [
    what: string,
    breakIt: (store: LogStore) => Partial<LogStore>,
    use: (store: LogStore) => Promise<unknown>,
  ])[] = [
    ["bounds", () => ({ bounds: () => forEver() }), (store) => store.bounds([rows], never)],
    ["appender", () => ({ appender: () => forEver() }), (store) => store.appender(never)],
    [
      "append",
      () => ({ appender: () => Promise.resolve({ append: () => forEver(), [Symbol.asyncDispose]: () => Promise.resolve() }) }),
      async (store) => (await store.appender(never)).append([], never),
    ],
    ["tail", () => ({ tail: () => forEver() }), (store) => store.tail(new Map([[rows, [offset(0)]]]), never)],
    [
      "next",
      (store) => ({ tail: async (from, signal) => Object.assign(await store.tail(from, signal), { next: () => forEver() }) }),
      async (store) => (await store.tail(new Map([[rows, [offset(0)]]]), never)).next(10, never),
    ],
    [
      "scan",
      () => ({ scan: () => ({ [Symbol.asyncIterator]: () => ({ next: () => forEver() }) }) }),
      async (store) => {
        for await (const page of store.scan(rows, 0, { from: offset(0), until: offset(1) }, never)) return page;
        return null;
      },
    ],
  ];

  it.each(cases)("says session.stuck when `%s` does not come back", async (_, breakIt, use) => {
    const log = new MemoryLog();
    const store = log.store();
    await store.ensure([{ topic: rows, partitions: 1, cleanup: "delete" }], never);
    const clock = new HeldClock();
    const broken = Object.assign(Object.create(store) as LogStore, breakIt(store));
    const told: unknown[] = [];
    use(new PatientStore(broken, clock)).catch((thrown: unknown) => told.push(thrown));
    // A call that begins while the timer of an earlier one runs waits for the next.
    await expect.poll(() => (clock.pass(), told)).toMatchObject([{ code: "session.stuck", verdict: "retry" }]);
  });
});

it("one timer watches over all that a patient store waits for", async () => {
  const log = new MemoryLog();
  const store = log.store();
  await store.ensure([{ topic: topic("shop.rows"), partitions: 1, cleanup: "delete" }], never);
  const clock = new HeldClock();
  await using patient = new PatientStore(store, clock);
  for (let i = 0; i < 100; i++) await patient.bounds([topic("shop.rows")], never);
  expect(clock.waiting).toBe(1);
});

it("a session that is stuck is begun again", async () => {
  const clock: Clock = { wallMs: () => 0, monotonicMs: () => 0, delay: async () => {} };
  const seen: Situation[] = [];
  const stop = new AbortController();
  let sessions = 0;
  const session = async (): Promise<void> => {
    sessions += 1;
    if (sessions === 2) {
      stop.abort();
      return;
    }
    const broken = Object.assign(new MemoryLog().store(), { bounds: () => forEver<never>() });
    await new PatientStore(broken, clock).bounds([], never);
  };
  const log = createLogger({ level: "warn", base: {}, write: () => {} });
  await supervise({ name: "source", clock, log, session, onChange: (situation) => seen.push(situation) }, stop.signal);
  expect(sessions).toBe(2);
  expect(seen.map(({ error }) => error?.code ?? null)).toContain("session.stuck");
});
