/**
 * The sink's one loop: take the window between two cuts, apply it. Everything that must not be lost is stored by the target with the rows; a crash
 * anywhere leaves the applied cut, and reading goes on there.
 */
import { mayBeMended } from "../../core/apply/may-be-mended.js";
import type { Clock } from "../../core/clock.js";
import type { AppliedCut, AppliedPublisher, LogReader, Window } from "../../core/contracts/log.js";
import type { Conservation, LeftOut, TargetSession } from "../../core/contracts/target.js";
import { TailraceError } from "../../core/errors.js";
import type { GroupId, TableId } from "../../core/vocabulary/ids.js";
import { formatPosition } from "../../core/vocabulary/position.js";
import { widened } from "./widen.js";

export interface ApplierOptions {
  readonly reader: LogReader;
  readonly session: TargetSession;
  readonly group: GroupId;
  readonly publisher: AppliedPublisher;
  readonly clock: Clock;
  /** Asked between windows; the applier waits while it is true. */
  readonly isPaused: () => boolean;
  /** The log answers and is the right one: from here on this is an applier at work. */
  readonly onOpen: () => void;
  readonly onApplied: (applied: AppliedCut, window: Window, counts: ReadonlyMap<TableId, Conservation>) => void;
  readonly onFinish: (leftOut: readonly LeftOut[]) => void;
}

const askAgainMs = 200;

export async function applier(options: ApplierOptions, signal: AbortSignal): Promise<void> {
  const { reader, session, group, publisher, clock } = options;
  await sameLog(options, signal);
  options.onOpen();
  if (session.applied !== null) publisher.publish(group, session.applied);
  await finishIfDue(options, session.applied, signal);
  const windows = reader.windows(session.applied, signal)[Symbol.asyncIterator]();
  const next = async (): Promise<Window | null> => {
    const taken = await windows.next();
    return taken.done === true ? null : taken.value;
  };
  try {
    for (let window = await next(); window !== null; window = await next()) {
      while (options.isPaused()) await clock.delay(askAgainMs, signal);
      const { whole, counts } = await applyOrWiden(options, window, next, signal);
      const applied = whole.after();
      assertConserved(counts, applied);
      options.onApplied(applied, whole, counts);
      publisher.publish(group, applied);
      await finishIfDue(options, applied, signal);
    }
  } finally {
    await windows.return?.();
  }
}

interface AppliedWindow {
  readonly whole: Window;
  readonly counts: ReadonlyMap<TableId, Conservation>;
}

async function applyOrWiden(
  { session, reader }: ApplierOptions,
  window: Window,
  next: () => Promise<Window | null>,
  signal: AbortSignal,
): Promise<AppliedWindow> {
  try {
    return { whole: window, counts: await session.apply(window, signal) };
  } catch (thrown) {
    const whole = mayBeMended(thrown) ? await widened(window, { next, newest: () => reader.newest() }, signal) : null;
    if (whole === null) throw thrown;
    return { whole, counts: await session.apply(whole, signal) };
  }
}

/** A log that no writer has opened yet has no identity: wait for it. */
async function sameLog({ reader, session, clock }: ApplierOptions, signal: AbortSignal): Promise<void> {
  for (;;) {
    const id = await reader.identity(signal);
    if (id !== null && (session.applied === null || session.applied.logId === id)) return;
    if (id !== null) {
      const where = { log: id, target: session.applied?.logId ?? null };
      throw new TailraceError("log.identity", { what: "the target was filled from another log", where });
    }
    if (session.applied !== null) {
      throw new TailraceError("log.identity", {
        what: "the target was filled from a log that is gone",
        where: { target: session.applied.logId },
      });
    }
    await clock.delay(askAgainMs, signal);
  }
}

async function finishIfDue(options: ApplierOptions, applied: AppliedCut | null, signal: AbortSignal): Promise<void> {
  if (applied?.phase !== "streaming" || !options.session.unfinished()) return;
  options.onFinish(await options.session.finish(signal));
}

function assertConserved(counts: ReadonlyMap<TableId, Conservation>, applied: AppliedCut): void {
  for (const [table, n] of counts) {
    if (n.taken === n.folded + n.applied + n.filtered + n.quarantined + n.replayed) continue;
    throw new TailraceError("target.conservation", {
      what: `${n.taken} changes taken, ${n.folded + n.applied + n.filtered + n.quarantined + n.replayed} accounted for`,
      where: { table, position: formatPosition(applied.position) },
    });
  }
}
