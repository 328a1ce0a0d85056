/**
 * One window, one transaction.
 *
 * Promises: rows, applied cut and counts become visible together or not at all; the first statement is the fence, so that a sink that was replaced
 * writes nothing. A window that is small goes to the server in one round trip; a larger one is written as it arrives, in a transaction that opens
 * with its first rows. What a set cannot do because of a constraint is done once more in source order, change by change.
 * A crash anywhere before COMMIT leaves nothing; a lost answer to COMMIT is `target.undecided`.
 */
import type { AppliedCut, Window, WindowPart } from "../../core/contracts/log.js";
import { leaving, passing } from "../../core/crash-points.js";
import { TailraceError } from "../../core/errors.js";
import { comparePositions, formatPosition } from "../../core/vocabulary/position.js";
import type { ApplyContext, Counts } from "./apply-context.js";
import { assertCommitted, commit, isAnswer, rollback, undecided } from "./commit.js";
import type { PipelineResult, Query } from "./connection.js";
import { Tally } from "../../core/apply/conservation.js";
import { isPlanned, queriesAfterRows, queriesBeforeRows } from "./controls.js";
import { fenceError, isFenced } from "./fence.js";
import { isRowError } from "./pg-errors.js";
import { replay } from "./replay.js";
import { addCountsQuery, advanceQuery, fenceAndAdvanceQuery, fenceQuery, readState } from "./state.js";
import { type StagedWindow, stagedLive } from "./stage-window.js";
import { OutOfOrder, WindowBuffer } from "../../core/apply/window-buffer.js";
import { writeSegments } from "./write-segments.js";

type Parts = (signal: AbortSignal) => AsyncIterable<WindowPart>;

export async function applyWindow(
  context: ApplyContext,
  { window, staged }: { readonly window: Window; readonly staged: StagedWindow | null },
  signal: AbortSignal,
): Promise<Counts> {
  try {
    try {
      if (staged !== null) return await applyInOneGo(context, window, refuseBackwards(window), staged);
      return await applyInSets(context, window, (s) => window.parts(s), signal);
    } catch (thrown) {
      if (!(thrown instanceof OutOfOrder)) throw thrown;
      return await applyInSets(context, window, (s) => window.inSourceOrder(s), signal);
    }
  } catch (thrown) {
    if (isRowError(thrown)) return replay(context, window, signal);
    // Whoever still has an older plan meets tables of the newer one before its fence tells.
    if (thrown instanceof TailraceError && thrown.code === "plan.changed") await refuseOlderOwner(context);
    throw thrown;
  }
}

async function refuseOlderOwner(context: ApplyContext): Promise<void> {
  const state = await readState(context.plain, context.place);
  if (state !== null && state.epoch !== context.epoch) throw await fenceError(context, null);
}

async function applyInSets(context: ApplyContext, window: Window, parts: Parts, signal: AbortSignal): Promise<Counts> {
  const buffer = new WindowBuffer(window.before?.position ?? null);
  const streamed = new StreamedWindow(context, window);
  try {
    for await (const part of parts(signal)) {
      if (!isPlanned(context, part.table.table)) continue;
      buffer.add(part);
      if (buffer.isFull) await streamed.write(buffer);
    }
    signal.throwIfAborted();
    const after = refuseBackwards(window);
    if (!streamed.isOpen && !buffer.hasChunks()) return await applyInOneGo(context, window, after, stagedLive(context, buffer));
    await streamed.write(buffer);
    signal.throwIfAborted();
    return await streamed.end(after);
  } catch (thrown) {
    await streamed.abandon();
    throw thrown;
  }
}

async function applyInOneGo(
  context: ApplyContext,
  window: Window,
  after: AppliedCut,
  { live, counts }: Omit<StagedWindow, "window">,
): Promise<Counts> {
  const { place, epoch, tables, pipelined } = context;
  const queries: readonly Query[] = [
    { text: "BEGIN" },
    fenceAndAdvanceQuery({ place, epoch, before: window.before }, after),
    ...queriesBeforeRows(place, tables, window.controls),
    ...live,
    ...queriesAfterRows(place, tables, window.controls),
    ...(counts.size === 0 ? [] : [addCountsQuery(place, counts)]),
    { text: "COMMIT" },
  ];
  passing("sink.commit-before");
  const sent = pipelined.pipeline(queries);
  leaving("sink.commit-sent");
  await decided(context, window, queries.length - 1, await sent);
  passing("sink.commit-done");
  return counts;
}

/** COMMIT was sent together with everything before it. An answer that says no to an earlier statement decides; silence does not. */
async function decided(context: ApplyContext, window: Window, commitAt: number, { results, failure }: PipelineResult): Promise<void> {
  if (failure === null) return assertCommitted(results[commitAt]?.command);
  const { index, error } = failure;
  if (index === 1 && isFenced(error)) throw await fenceError(context, window.after());
  // A session that was ended before COMMIT's turn came has not executed it; the server's own word for that is an answer as well.
  if (isAnswer(error) || (index < commitAt && isRefusal(error))) throw error;
  throw undecided(error);
}

const isRefusal = (error: unknown): boolean => error instanceof Error && "severity" in error;

class StreamedWindow {
  isOpen = false;
  readonly #tally = new Tally();

  constructor(
    private readonly context: ApplyContext,
    private readonly window: Window,
  ) {}

  async write(buffer: WindowBuffer): Promise<void> {
    const { tables, plain } = this.context;
    if (!this.isOpen) await this.#open();
    await writeSegments(plain, tables, buffer.take(), this.#tally);
    passing("sink.rows-part");
  }

  async end(after: AppliedCut): Promise<Counts> {
    const { place, tables, plain } = this.context;
    for (const query of queriesAfterRows(place, tables, this.window.controls)) await plain.query(query);
    const counts = this.#tally.checked();
    if (counts.size > 0) await plain.query(addCountsQuery(place, counts));
    await plain.query(advanceQuery(place, after));
    passing("sink.commit-before");
    const sent = commit(plain);
    leaving("sink.commit-sent");
    await sent;
    passing("sink.commit-done");
    this.isOpen = false;
    return counts;
  }

  async abandon(): Promise<void> {
    if (!this.isOpen) return;
    this.isOpen = false;
    await rollback(this.context.plain);
  }

  async #open(): Promise<void> {
    const { place, epoch, tables, plain } = this.context;
    this.isOpen = true;
    await plain.query("BEGIN");
    passing("sink.begun");
    try {
      await plain.query(fenceQuery({ place, epoch, before: this.window.before }));
      passing("sink.fenced");
    } catch (thrown) {
      if (!isFenced(thrown)) throw thrown;
      await this.abandon();
      throw await fenceError(this.context, null);
    }
    for (const query of queriesBeforeRows(place, tables, this.window.controls)) await plain.query(query);
  }
}

function refuseBackwards(window: Window): AppliedCut {
  const after = window.after();
  if (window.before !== null && comparePositions(after.position, window.before.position) < 0) {
    const where = { position: formatPosition(after.position), applied: formatPosition(window.before.position) };
    throw new TailraceError("target.applied-backwards", { what: "The window ends below the applied position", where });
  }
  return after;
}
