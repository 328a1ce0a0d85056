/**
 * A live SQLite file as a Source. Holds the file's lock, a connection that reads and one that writes the little that is ours; the semantics
 * are core/capture's. A crash leaves nothing to clean: the lock ends with the process, everything else is in the log's resume token.
 */
import { setImmediate } from "node:timers/promises";
import { Acknowledged } from "../../core/capture/acknowledged.js";
import type { CaptureBatch } from "../../core/capture/capture-batch.js";
import { CaptureReader, type CaptureLimits, defaultLimits } from "../../core/capture/capture-reader.js";
import { type Clock, systemClock } from "../../core/clock.js";
import type { BatchPart } from "../../core/contracts/change.js";
import type { Batch, Beginning, CaptureLogUse, Lag, RereadProgress, Source } from "../../core/contracts/source.js";
import { isAbort, TailraceError } from "../../core/errors.js";
import { isRecognised } from "../../core/capture/anchor.js";
import { type Anchor, type GroupId, type PipelineId, sameBytes, type WriterEpoch, writerEpoch } from "../../core/vocabulary/ids.js";
import { isAbove, type Position } from "../../core/vocabulary/position.js";
import { Acknowledgements, epochOf } from "./acknowledgements.js";
import { captureLogUse } from "./capture-log-use.js";
import { asSourceError, type Database, openDatabase, withSqliteErrors } from "./database.js";
import { FileIdentity } from "./file-identity.js";
import { fencedFrom, heldFrom } from "./holds.js";
import { readState } from "./installed.js";
import { Pruner } from "./pruner.js";
import { ProgressBoard } from "./reread-progress.js";
import { takeSourceLock } from "./source-lock.js";
import { checkCapture } from "./schema-check.js";
import { SqliteCapture } from "./sqlite-capture.js";
import { SqliteLag } from "./sqlite-lag.js";
import { Wakeup } from "./wakeup.js";
import { patientMs } from "./write.js";

/** A reader that stays in its transaction makes the application's commits dear. */
const chunkReadingMs = 40;
const partsPerTurn = 16;

export interface SqliteSourceOptions {
  readonly path: string;
  readonly pipeline: PipelineId;
  readonly group: GroupId;
  /** Where the lock lies; all processes that may open this source must name the same. */
  readonly lockDirectory: string;
  readonly clock?: Clock;
  /** How long opening waits for an application that holds the file. */
  readonly busyTimeoutMs?: number;
  /** Rows of one chunk. */
  readonly chunkRows?: number;
  /** For tests: everything else that is bounded. */
  readonly limits?: Partial<CaptureLimits>;
}

/** Rejects with `source.locked`, `source.mode`, `source.not-applied`, `source.other-pipeline`, `source.schema-changed`, … */
export async function openSqliteSource(options: SqliteSourceOptions): Promise<Source> {
  const clock = options.clock ?? systemClock;
  const busyTimeoutMs = options.busyTimeoutMs ?? patientMs;
  const closers: Closer[] = [];
  const hold = <T>(it: T, close: (it: T) => void | Promise<void>): T => {
    closers.unshift(() => close(it));
    return it;
  };
  try {
    // What cannot be a source at all is said before anything is locked.
    openDatabase(options.path, { readonly: true, busyTimeoutMs }).close();
    hold(takeSourceLock(options.path, options.lockDirectory), (it) => it[Symbol.dispose]());
    const identity = hold(new FileIdentity(options.path), (it) => it[Symbol.asyncDispose]());
    const reader = hold(openDatabase(options.path, { readonly: true, busyTimeoutMs }), (it) => closeDatabase(it));
    const writer = hold(openDatabase(options.path, { readonly: false, busyTimeoutMs: patientMs }), (it) => closeDatabase(it));
    writer.pragma("foreign_keys = OFF");
    identity.check();
    checkReadable(reader, options);
    identity.holdSides();
    const statement = reader.prepare("PRAGMA data_version").pluck();
    const dataVersion = (): unknown => statement.get();
    const wakeup = hold(new Wakeup({ path: options.path, clock, dataVersion }), (it) => it[Symbol.dispose]());
    identity.watch(() => wakeup.call());
    return new SqliteSource({ ...options, clock, reader, writer, identity, wakeup, dataVersion, closers });
  } catch (thrown) {
    await closeAll(closers);
    throw thrown;
  }
}

type Closer = () => void | Promise<void>;

function closeDatabase(database: Database): void {
  database.close();
}

async function closeAll(closers: readonly Closer[]): Promise<void> {
  for (const close of closers) await close();
}

/** A first look at everything that a tail checks, so that opening fails where reading would. */
function checkReadable(reader: Database, { path, pipeline, group }: SqliteSourceOptions): void {
  withSqliteErrors(path, () => {
    if (reader.pragma("journal_mode", { simple: true }) !== "wal") {
      throw new TailraceError("source.mode", { what: "The database is not in WAL mode", where: { path } });
    }
    reader.exec("BEGIN");
    try {
      checkCapture(reader, { path, pipeline, group });
    } finally {
      reader.exec("COMMIT");
    }
  });
}

interface SourceParts extends SqliteSourceOptions {
  readonly clock: Clock;
  readonly reader: Database;
  readonly writer: Database;
  readonly identity: FileIdentity;
  readonly wakeup: Wakeup;
  readonly dataVersion: () => unknown;
  /** In the order in which they are called. */
  readonly closers: readonly Closer[];
}

class SqliteSource implements Source {
  readonly #parts: SourceParts;
  readonly #capture: SqliteCapture;
  readonly #acknowledgements: Acknowledgements;
  readonly #pruner: Pruner;
  readonly #lag: SqliteLag;
  readonly #progress: ProgressBoard;
  readonly #closing = new AbortController();
  #reading: CaptureReader | null = null;
  #told: Position | null = null;
  readonly #acknowledged = new Acknowledged();
  #isIterated = false;

  constructor(parts: SourceParts) {
    const { reader, writer, clock, dataVersion, group } = parts;
    this.#parts = parts;
    this.#capture = new SqliteCapture(parts);
    const epoch = writerEpoch(epochOf(readState(reader, group)?.acknowledged ?? null));
    this.#acknowledgements = new Acknowledgements(writer, group, clock, epoch);
    const heldOrder = (): number | null => {
      const held = [heldFrom(writer, group, this.#told?.history ?? 0), fencedFrom(writer)].filter((order) => order !== null);
      return held.length === 0 ? null : Math.min(...held);
    };
    this.#pruner = new Pruner({ writer, clock, dataVersion, heldFrom: heldOrder });
    this.#lag = new SqliteLag(reader);
    this.#progress = new ProgressBoard(reader);
    this.#capture.read(() => null);
  }

  epochSeen(): WriterEpoch {
    return this.#acknowledgements.epochSeen;
  }

  async claiming(epoch: WriterEpoch): Promise<void> {
    withSqliteErrors(this.#parts.path, () => this.#acknowledgements.claiming(epoch));
  }

  async *batches(beginning: Beginning, signal: AbortSignal): AsyncGenerator<Batch, void, undefined> {
    if (this.#isIterated) throw new Error("one iteration over a source's batches at a time");
    this.#isIterated = true;
    try {
      const reading = new CaptureReader({ log: this.#capture, group: this.#parts.group, beginning, limits: this.#limits() });
      this.#reading = reading;
      while (true) {
        signal.throwIfAborted();
        this.#parts.identity.check();
        const batch = reading.next();
        if (batch === null) {
          await this.#parts.wakeup.wait(signal);
          continue;
        }
        if (batch.position.history !== this.#told?.history) this.#acknowledgements.history(batch.position.history);
        this.#told = batch.position;
        yield { position: batch.position, parts: (until) => this.#partsOf(batch, until), end: () => batch.end() };
        await this.#acknowledged.reach(batch.position, signal);
        // Read was all that there was: a second reading right behind it would find nothing, and cost as much as the first.
        if (reading.hasReadAll) await this.#parts.wakeup.wait(signal);
      }
    } finally {
      this.#isIterated = false;
    }
  }

  async acknowledged(position: Position, epoch: WriterEpoch): Promise<void> {
    if (this.#acknowledgements.isDue(epoch)) this.#parts.identity.check();
    withSqliteErrors(this.#parts.path, () => this.#acknowledgements.note(position, epoch));
    this.#acknowledged.note(position);
  }

  lag(applied: Position | null): Lag {
    return withSqliteErrors(this.#parts.path, () => {
      const history = this.#told?.history ?? readState(this.#parts.reader, this.#parts.group)?.history ?? 0;
      return this.#lag.measure(applied, history, this.#told);
    });
  }

  recognises(at: Position, anchor: Anchor): boolean {
    if (this.#told === null || at.history !== this.#told.history) return true;
    return withSqliteErrors(this.#parts.path, () => this.#capture.read((view) => isRecognised({ position: at, anchor }, view)));
  }

  async prune(below: Position): Promise<void> {
    const read = this.#told ?? this.#reading?.at ?? null;
    // Positions of another past name other rows.
    if (read === null || below.history !== read.history || isAbove(below, read)) return;
    try {
      await this.#pruner.prune(below.order, () => this.#isSamePast(), this.#closing.signal);
    } catch (thrown) {
      if (!isAbort(thrown)) throw asSourceError(this.#parts.path, thrown);
    }
  }

  /** False after a restore that the next batch will notice: its rows, which nobody has read, have numbers that look old. */
  #isSamePast(): boolean {
    const past = this.#reading?.past ?? null;
    if (past === null) return false;
    const here = this.#capture.read((view) => view.anchorAt(past.at.order));
    return here !== null && sameBytes(here, past.anchor);
  }

  progress(): readonly RereadProgress[] {
    return withSqliteErrors(this.#parts.path, () => this.#progress.report(this.#capture.tables().values(), this.#reading?.rereads ?? null));
  }

  lastLook(): null {
    return null;
  }

  captureLog(): CaptureLogUse {
    const { reader, path } = this.#parts;
    return withSqliteErrors(path, () => captureLogUse(reader, path));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#closing.signal.aborted) return;
    this.#closing.abort();
    await this.#pruner.idle();
    try {
      this.#acknowledgements.flush();
    } finally {
      await closeAll(this.#parts.closers);
    }
  }

  async *#partsOf(batch: CaptureBatch, signal: AbortSignal): AsyncGenerator<BatchPart, void, undefined> {
    let taken = 0;
    for (const part of batch.parts()) {
      signal.throwIfAborted();
      if (part.kind === "chunk") this.#progress.chunkRead(part.table.table, part.chunk);
      yield part;
      // Reading is synchronous: let timers and sockets have their turn in a batch of millions.
      if (++taken % partsPerTurn === 0) await setImmediate();
    }
  }

  #limits(): CaptureLimits {
    const { clock, limits, chunkRows } = this.#parts;
    const hasTime = (): (() => boolean) => {
      const untilMs = clock.monotonicMs() + chunkReadingMs;
      return () => clock.monotonicMs() < untilMs;
    };
    const chunks = { ...defaultLimits.chunks, hasTime };
    const chunk = { ...chunks.chunk, rows: chunkRows ?? chunks.chunk.rows };
    return { ...defaultLimits, chunks: { ...chunks, chunk }, ...limits };
  }
}
