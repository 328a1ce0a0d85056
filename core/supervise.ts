/**
 * The only catcher of last resort: runs a service's sessions one after the other, by the verdict of what ended each. `retry` and `undecided`
 * begin again with a rising delay, `stand-by` asks again at a steady pace, `stop` and everything unknown ends the service: a person is needed.
 */
import { Backoff, type Clock } from "./clock.js";
import type { ErrorCode } from "./error-catalogue.js";
import { asTailraceError, describeError, isAbort, TailraceError } from "./errors.js";
import type { Logger } from "./logger.js";
import type { ServiceState } from "./status.js";
import { unreachable } from "./vocabulary/unreachable.js";

export interface Situation {
  readonly state: ServiceState;
  readonly sinceMs: number;
  readonly error: TailraceError | null;
  readonly attempt: { readonly n: number; readonly nextAtMs: number } | null;
}

export interface SuperviseOptions {
  readonly name: string;
  readonly clock: Clock;
  readonly log: Logger;
  /** Resolves only by abort. `alive` is to be called whenever work was done: delays begin again from the shortest. */
  session(alive: () => void, signal: AbortSignal): Promise<void>;
  onChange(situation: Situation): void;
}

const standByMs = 1_000;
/** A level rises with the number of attempts: one lost connection is no news, the tenth is. Who stands by does nothing else for days: that is said once. */
const attemptsBeforeWarning = 3;

export async function supervise(options: SuperviseOptions, signal: AbortSignal): Promise<void> {
  const { clock, log, name } = options;
  const backoff = new Backoff(100, 15_000);
  let n = 0;
  let standsByFor: ErrorCode | null = null;
  let since: { readonly state: ServiceState; readonly ms: number } = { state: "starting", ms: clock.wallMs() };
  const change = (state: ServiceState, error: TailraceError | null, delayMs: number | null): void => {
    const attempt = delayMs === null ? null : { n, nextAtMs: clock.wallMs() + delayMs };
    // One outage has many attempts.
    if (since.state !== state) since = { state, ms: clock.wallMs() };
    options.onChange({ state, sinceMs: since.ms, error, attempt });
  };
  const alive = (): void => {
    if (n === 0) return;
    n = 0;
    standsByFor = null;
    backoff.reset();
    change("running", null, null);
    log.info({ event: "service.recovered", service: name }, "running again");
  };
  change("starting", null, null);
  while (!signal.aborted) {
    try {
      await options.session(alive, signal);
    } catch (thrown) {
      if (signal.aborted && isAbort(thrown)) break;
      const error = asTailraceError(thrown);
      n += 1;
      const delayMs = error.verdict === "stand-by" ? standByMs : backoff.next();
      if (error.verdict === "stop") {
        change("stopped", error, null);
        log.error(
          { event: "service.stopped", service: name, code: error.code, where: error.where, err: causeOf(error) },
          describeError(error),
        );
        throw error;
      }
      change(stateFor(error), error, delayMs);
      const isStandby = error.verdict === "stand-by";
      const level = isStandby || n < attemptsBeforeWarning ? "info" : "warn";
      if (!isStandby || standsByFor !== error.code) {
        log[level](
          { event: "service.retry", service: name, code: error.code, where: error.where, attempt: n, delayMs },
          describeError(error),
        );
      }
      standsByFor = isStandby ? error.code : null;
      await clock.delay(delayMs, signal).catch(() => {});
    }
  }
  change("ended", null, null);
}

function stateFor(error: TailraceError): ServiceState {
  switch (error.verdict) {
    case "stand-by":
      return "standing-by";
    case "retry":
    case "undecided":
      return "waiting";
    case "stop":
      return "stopped";
    default:
      return unreachable(error.verdict);
  }
}

/** A bug needs its stack; everything else has said what is needed. */
const causeOf = (error: TailraceError): unknown => (error.code === "internal" ? (error.cause ?? error) : undefined);

/** Of a session that has failed. A stop that was asked for is bounded by whoever asked. */
const endingMs = 25_000;

/**
 * Runs tasks together: the first that fails ends the others, and its error is the one that is thrown. One that does not end is left behind after a
 * while with `process.stuck`: it may hold anything, so only a new process is as good as new.
 */
export async function together(
  tasks: readonly ((signal: AbortSignal) => Promise<void>)[],
  clock: Clock,
  signal: AbortSignal,
): Promise<void> {
  const controller = new AbortController();
  const both = AbortSignal.any([signal, controller.signal]);
  let first: unknown = null;
  const all = Promise.all(
    tasks.map(async (task) => {
      try {
        await task(both);
      } catch (thrown) {
        if (first === null && !(both.aborted && isAbort(thrown))) first = thrown;
      } finally {
        controller.abort();
      }
    }),
  );
  await endedInTime(all, { failed: controller.signal, asked: signal, clock });
  if (first !== null) throw first;
  signal.throwIfAborted();
}

interface Ending {
  /** One of them has ended: the others are to. */
  readonly failed: AbortSignal;
  /** All were asked to stop. */
  readonly asked: AbortSignal;
  readonly clock: Clock;
}

async function endedInTime(all: Promise<unknown>, { failed, asked, clock }: Ending): Promise<void> {
  const ended = new AbortController();
  const late = async (): Promise<void> => {
    if (!failed.aborted) await new Promise<void>((resolve) => failed.addEventListener("abort", () => resolve(), { once: true }));
    await clock.delay(endingMs, ended.signal);
    if (asked.aborted) return;
    throw new TailraceError("process.stuck", {
      what: `A part of the service has not ended for ${endingMs / 1_000} s after it was told to`,
    });
  };
  await new Promise<void>((resolve, reject) => {
    // When all have ended the delay is given up, which is no news.
    late().catch((thrown: unknown) => (isAbort(thrown) ? undefined : reject(thrown)));
    all.then(
      () => resolve(),
      (thrown: unknown) => reject(thrown),
    );
  });
  ended.abort();
}
