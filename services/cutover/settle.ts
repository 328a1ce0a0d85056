/**
 * Brings an unfinished cutover to an end, whoever began it: forward if the switch was made, else back. There is no third way, and the stored state alone
 * says which: the switch stores it in its own transaction.
 *
 * Back, in this order: the route (so that whoever still holds its older version can switch nothing), then the fence, then the way back, which nobody
 * needs any more. Each act may be repeated.
 * While PostgreSQL does not answer, a lease ends by itself, and a kept fence stays: nobody can know yet which side is the one.
 */
import type { CutoverSession, CutoverStory } from "../../core/contracts/cutover.js";
import type { LeftOut } from "../../core/contracts/target.js";
import { type CutoverKind, type CutoverState, isFinished } from "../../core/cutover/states.js";
import { asTailraceError, TailraceError } from "../../core/errors.js";
import type { PauseClock } from "./forward.js";
import { type CutoverOutcome, type CutoverParts, wayOf } from "./parts.js";

const againMs = 200;

export interface Settling {
  readonly parts: CutoverParts;
  /** Why it does not simply go on; null: it was found unfinished. */
  readonly why: TailraceError | null;
  readonly pause: PauseClock;
}

/** With a session that works. */
export async function settleSession(settling: Settling, session: CutoverSession): Promise<CutoverOutcome> {
  const { record } = session;
  if (record === null) throw new TailraceError("internal", { what: "there is nothing to settle" });
  return record.state === "switched" ? await finish(settling, session) : await undo(settling, session);
}

/** Takes the cutover (again) until it is settled or the time is over. `deadMs`: when hope ends, on the monotonic clock. */
export async function settle(settling: Settling): Promise<CutoverOutcome> {
  const { parts } = settling;
  const { clock, limits } = parts;
  const deadline = clock.monotonicMs() + limits.settleMs;
  const patience = AbortSignal.timeout(2 * limits.settleMs);
  for (;;) {
    try {
      await using session = await parts.desk.take(parts.group, parts.holder, patience);
      if (session.record === null) return await foundSettled(settling);
      return await settleSession(settling, session);
    } catch (thrown) {
      const error = asTailraceError(thrown);
      parts.tell({ kind: "trouble", error });
      const isHopeless = error.code === "internal" || error.code === "cutover.held" || error.code === "cutover.route-moved";
      if (isHopeless || clock.monotonicMs() > deadline) return { kind: "half-way", error, cause: settling.why ?? error };
    }
    await clock.delay(againMs, patience);
  }
}

/** Somebody else was quicker, or our own last move was stored and its answer lost. */
async function foundSettled({ parts, why }: Settling): Promise<CutoverOutcome> {
  const story = await parts.desk.last(parts.group, AbortSignal.timeout(parts.limits.settleMs));
  if (story === null) throw new TailraceError("internal", { what: "a cutover was begun and is not stored" });
  if (story.state === "done") return { kind: "switched", id: story.id, pauseMs: story.pauseMs ?? pausedFor(story), afterwards: [] };
  if (isRehearsed(story, why)) return { kind: "rehearsed", id: story.id, pauseMs: story.pauseMs, afterwards: [] };
  return { kind: "undone", id: story.id, error: why ?? leftBehind(story.state), afterwards: [] };
}

const isRehearsed = (story: CutoverStory, why: TailraceError | null): boolean =>
  story.kind === "rehearsal" && why === null && story.error === null;

async function undo({ parts, why, pause }: Settling, session: CutoverSession): Promise<CutoverOutcome> {
  const { clock, group, at, limits } = parts;
  const record = session.record;
  if (record === null) throw new TailraceError("internal", { what: "there is nothing to undo" });
  const way = wayOf(parts, record.kind);
  const patience = AbortSignal.timeout(limits.settleMs);
  const error = why ?? (record.kind === "rehearsal" && pause.startedMs !== null ? null : leftBehind(record.state));
  const beganMs = clock.monotonicMs();
  if (record.state !== "undoing") {
    await session.move("undoing", error === null ? {} : { error: { code: error.code, message: error.message } });
  }
  parts.tell({ kind: "begins", step: "undoing", sinceMs: pause.startedMs === null ? null : beganMs - pause.startedMs });
  await at("undoing.before");
  const route = await session.board.route(group, patience);
  if (route.side === way.to) {
    throw new TailraceError("cutover.route-moved", {
      what: `The route says '${way.to}', and this ${record.kind} did not switch it; the fence stays`,
      where: { cutover: record.id },
    });
  }
  const reopened = await session.board.reopen(group, route, patience);
  await way.fence.release(group, record.marker);
  const pauseMs = pause.startedMs === null ? null : clock.monotonicMs() - pause.startedMs;
  const afterwards = [
    ...(await reported("hook", () => (route.side === "paused" ? parts.hooks.tell(reopened, patience) : Promise.resolve()))),
    ...(await reported("indexes that waited for the switch", () => session.unprepare(patience))),
    ...(await reported("the way back, which is to be closed", () => closed(parts, record.kind, patience))),
  ];
  await at("undoing.after");
  await session.move("undone", pauseMs === null ? {} : { pauseMs });
  parts.tell({ kind: "ended", step: "undoing", ms: clock.monotonicMs() - beganMs, said: "" });
  if (error === null) return { kind: "rehearsed", id: record.id, pauseMs, afterwards };
  return { kind: "undone", id: record.id, error, afterwards };
}

/** The application belongs to the other side already: nothing here may undo that. */
async function finish({ parts, pause }: Settling, session: CutoverSession): Promise<CutoverOutcome> {
  const { clock, group, at } = parts;
  const record = session.record;
  if (record === null) throw new TailraceError("internal", { what: "there is nothing to finish" });
  const endless = new AbortController().signal;
  const beganMs = clock.monotonicMs();
  parts.tell({ kind: "begins", step: "switched", sinceMs: pause.startedMs === null ? null : beganMs - pause.startedMs });
  await at("switched.before");
  const route = await session.board.route(group, endless);
  await wayOf(parts, record.kind).arrive(session, endless);
  const pauseMs = pause.startedMs === null ? await storedPause(parts) : clock.monotonicMs() - pause.startedMs;
  const afterwards = [
    ...(await reported("hook", () => parts.hooks.tell(route, endless))),
    ...(await session.validate(endless)),
    ...(await reported("indexes that waited for the switch", () => session.unprepare(endless))),
  ];
  await at("switched.after");
  await session.move("done", pauseMs === null ? {} : { pauseMs });
  parts.tell({ kind: "ended", step: "switched", ms: clock.monotonicMs() - beganMs, said: "" });
  return { kind: "switched", id: record.id, pauseMs, afterwards };
}

/** A rollback that goes back leaves the application where it needs the way back. */
async function closed({ wayBack, group }: CutoverParts, kind: CutoverKind, signal: AbortSignal): Promise<void> {
  if (kind !== "rollback") await wayBack?.close(group, signal);
}

/** What fails and changes nothing about where the application writes is said, and left to a person. A server that is away is not: that is tried again. */
async function reported(object: string, work: () => Promise<unknown>): Promise<readonly LeftOut[]> {
  try {
    await work();
    return [];
  } catch (thrown) {
    const error = asTailraceError(thrown);
    if (error.verdict !== "stop" || error.code === "internal" || error.code === "cutover.taken-over") throw error;
    return [{ object, why: error.message }];
  }
}

async function storedPause(parts: CutoverParts): Promise<number | null> {
  const story = await parts.desk.last(parts.group, AbortSignal.timeout(parts.limits.settleMs));
  return story === null ? null : pausedFor(story);
}

/** By PostgreSQL's clock, for a cutover whose process did not live to measure it. */
export function pausedFor({ steps }: CutoverStory): number | null {
  const from = steps.find(({ step }) => step === "pausing");
  const to = steps.find(({ step }) => step === "switched" || step === "undoing");
  return from === undefined || to === undefined ? null : Date.parse(to.beganAt) - Date.parse(from.beganAt);
}

export const leftBehind = (state: CutoverState): TailraceError =>
  new TailraceError("cutover.aborted", {
    what: isFinished(state) ? "The cutover had ended" : `The cutover was left at '${state}' by a process that is gone`,
  });
