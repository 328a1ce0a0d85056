/**
 * One window, one transaction of the file.
 *
 * Promises: rows, applied cut, marker and counts become visible together or not at all; the first statement compares what the target must hold, so that
 * a sink that was replaced writes nothing. The write lock is held for the time of writing only, unless a window is too large to be held: the application
 * may write its other tables in between. A crash anywhere before COMMIT leaves nothing, and a COMMIT of a file is never undecided.
 */
import { Tally } from "../../../core/apply/conservation.js";
import { whyFenced } from "../../../core/apply/why-fenced.js";
import { OutOfOrder, type Segment, WindowBuffer } from "../../../core/apply/window-buffer.js";
import type { Clock } from "../../../core/clock.js";
import { breathe } from "../../../core/clock.js";
import type { AppliedCut, Window, WindowPart } from "../../../core/contracts/log.js";
import type { Conservation } from "../../../core/contracts/target.js";
import { passing } from "../../../core/crash-points.js";
import { TailraceError } from "../../../core/errors.js";
import type { OwnerEpoch, TableId } from "../../../core/vocabulary/ids.js";
import { comparePositions, formatPosition } from "../../../core/vocabulary/position.js";
import { type Database, isBusy } from "../database.js";
import { Applying } from "./applying.js";
import type { FileTable } from "./file-table.js";
import type { ForeignKeys } from "./foreign-keys.js";
import { addCounts, advance, compare, type Place, readState, setMarker, setRepair } from "./state.js";
import { TableWriter } from "./table-writer.js";
import { KeyTracker } from "./tracked-keys.js";

export interface ApplyContext {
  readonly database: Database;
  readonly place: Place;
  readonly epoch: OwnerEpoch;
  readonly clock: Clock;
  /** In plan order. */
  readonly tables: ReadonlyMap<TableId, FileTable>;
  /** Tables of an earlier plan: what the log still says of them is nobody's any more. */
  readonly former: ReadonlySet<TableId>;
  readonly references: ForeignKeys;
}
type Counts = ReadonlyMap<TableId, Conservation>;
type Segments = ReadonlyMap<TableId, readonly Segment[]>;
type Parts = (signal: AbortSignal) => AsyncIterable<WindowPart>;

/** How long an application may hold the file, and how long a try blocks this process. */
const patienceMs = 5_000;
const sliceMs = 10;

export async function applyWindow(context: ApplyContext, window: Window, signal: AbortSignal): Promise<Counts> {
  try {
    return await apply(context, window, (s) => window.parts(s), signal);
  } catch (thrown) {
    if (!(thrown instanceof OutOfOrder)) throw thrown;
    return await apply(context, window, (s) => window.inSourceOrder(s), signal);
  }
}

async function apply(context: ApplyContext, window: Window, parts: Parts, signal: AbortSignal): Promise<Counts> {
  const buffer = new WindowBuffer(window.before?.position ?? null);
  const open = new OpenWindow(context, window);
  try {
    for await (const part of parts(signal)) {
      if (!isPlanned(context, part.table.table)) continue;
      buffer.add(part);
      if (buffer.isFull) await open.write(buffer.take(), signal);
    }
    signal.throwIfAborted();
    return await open.end(buffer.take(), signal);
  } finally {
    open.abandon();
  }
}

class OpenWindow {
  #isOpen = false;
  #isApplying = false;
  readonly #tally = new Tally();
  readonly #writers = new Map<TableId, TableWriter>();
  readonly #applying: Applying;
  readonly #tracker: KeyTracker;

  constructor(
    private readonly context: ApplyContext,
    private readonly window: Window,
  ) {
    this.#applying = new Applying(context.database, context.place.group);
    this.#tracker = new KeyTracker(context.database, context.place.group);
  }

  async write(segments: Segments, signal: AbortSignal): Promise<void> {
    await this.#open(null, signal);
    this.#rows(segments);
    passing("sink.rows-part");
    await breathe();
  }

  async end(segments: Segments, signal: AbortSignal): Promise<Counts> {
    const { database, place } = this.context;
    const after = refuseBackwards(this.window);
    await this.#open(after, signal);
    this.#rows(segments);
    for (const writer of this.#writers.values()) writer.settle();
    refuseBroken(this.context.references);
    if (this.#isApplying) this.#applying.end();
    this.#controlsAfter();
    this.#tracker.end(after.position);
    const counts = this.#tally.checked();
    addCounts(database, counts);
    advance(database, place, after);
    passing("sink.commit-before");
    database.exec("COMMIT");
    this.#isOpen = false;
    passing("sink.commit-done");
    return counts;
  }

  abandon(): void {
    this.context.references.forget();
    // Some errors (a full disk) have ended the transaction already.
    if (this.#isOpen && this.context.database.inTransaction) this.context.database.exec("ROLLBACK");
    this.#isOpen = false;
  }

  /** `after`: where the window leads, when that is known. */
  async #open(after: AppliedCut | null, signal: AbortSignal): Promise<void> {
    if (this.#isOpen) return;
    const { database, place, epoch } = this.context;
    await beginPatiently(this.context, signal);
    this.#isOpen = true;
    passing("sink.begun");
    if (!compare(database, place, epoch, this.window.before)) {
      const state = readState(database, place.group);
      if (state === null)
        throw new TailraceError("plan.missing", { what: "The file's state is gone", where: { pipeline: place.pipeline } });
      throw whyFenced({ epoch, after, state });
    }
    passing("sink.fenced");
    for (const control of this.window.controls) {
      if (control.kind === "repair" && control.step === "begins") setRepair(database, control.table, control.reread);
    }
  }

  #controlsAfter(): void {
    const { database, place } = this.context;
    for (const control of this.window.controls) {
      if (control.kind === "marker") setMarker(database, place, control.marker);
      if (control.kind === "repair" && control.step === "ends") setRepair(database, control.table, null);
    }
  }

  #writerOf(id: TableId, table: FileTable): TableWriter {
    const writer = new TableWriter(table, this.context.references, (key, at) => this.#tracker.note(id, key, at));
    this.#writers.set(id, writer);
    return writer;
  }

  #rows(segments: Segments): void {
    if (segments.size === 0) return;
    if (!this.#isApplying) this.#applying.begin();
    this.#isApplying = true;
    for (const [id, table] of this.context.tables) {
      const list = segments.get(id);
      if (list === undefined) continue;
      this.#applying.touch(table.name);
      const writer = this.#writers.get(id) ?? this.#writerOf(id, table);
      for (const segment of list) {
        if (segment.kind === "chunks") this.#tracker.lose(segment.at);
        this.#tally.add(id, written(writer, segment));
      }
    }
  }
}

function written(writer: TableWriter, segment: Segment): Partial<Conservation> {
  if (segment.kind === "live") {
    const { fold } = segment;
    return { taken: fold.taken, folded: fold.folded, applied: writer.changes(fold.entries()) };
  }
  const rows = writer.replace(segment);
  return { taken: rows, applied: rows };
}

/** Waits for the application's write, without blocking this process for as long. */
async function beginPatiently({ database, clock }: ApplyContext, signal: AbortSignal): Promise<void> {
  const deadline = clock.monotonicMs() + patienceMs;
  database.pragma(`busy_timeout = ${sliceMs}`);
  for (;;) {
    signal.throwIfAborted();
    try {
      database.exec("BEGIN IMMEDIATE");
      return;
    } catch (thrown) {
      if (!isBusy(thrown) || clock.monotonicMs() >= deadline) throw thrown;
    }
    await clock.delay(1, signal);
  }
}

function refuseBroken(references: ForeignKeys): void {
  const broken = references.broken();
  if (broken === null) return;
  const { child, columns, parent, constraint } = broken;
  throw new TailraceError("target.constraint", {
    what: `A row of '${child}' would point to a row of '${parent}' that is not there (${columns.join(", ")})`,
    where: { table: child, constraint },
  });
}

function isPlanned({ tables, former }: ApplyContext, table: TableId): boolean {
  if (tables.has(table)) return true;
  if (former.has(table)) return false;
  throw new TailraceError("plan.changed", { what: "The log has changes of a table that the plan lacks", where: { table } });
}

function refuseBackwards(window: Window): AppliedCut {
  const after = window.after();
  if (window.before !== null && comparePositions(after.position, window.before.position) < 0) {
    const where = { position: formatPosition(after.position), applied: formatPosition(window.before.position) };
    throw new TailraceError("target.applied-backwards", { what: "The window ends below the applied position", where });
  }
  return after;
}
