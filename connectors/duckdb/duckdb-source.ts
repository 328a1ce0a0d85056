/**
 * A live DuckDB file as a Source. Holds the engine's process, whose state file also keeps a second source away, and a place for copies. A crash
 * leaves copies, which the next start removes, and what the engine remembers.
 */
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { Acknowledged } from "../../core/capture/acknowledged.js";
import { type Clock, systemClock } from "../../core/clock.js";
import type { BatchPart } from "../../core/contracts/change.js";
import type { Batch, Beginning, Lag, LookFigures, RereadProgress, Source } from "../../core/contracts/source.js";
import type { GroupId, PipelineId, WriterEpoch } from "../../core/vocabulary/ids.js";
import { writerEpoch } from "../../core/vocabulary/ids.js";
import type { Position } from "../../core/vocabulary/position.js";
import { CaptureDirectory, type InstalledTable, type Memory } from "./capture-directory.js";
import { LiveCopier } from "./copy/live-copy.js";
import { removeDatabase } from "./copy/private-file.js";
import { type BatchLimits, defaultBatchLimits } from "./cycle-batch.js";
import { CycleReader } from "./cycle-reader.js";
import { EngineProcess } from "./engine/engine-process.js";
import type { Answer, Method, Request } from "./engine/messages.js";
import { readTombstone } from "./fence/tombstone.js";
import { FileWatch } from "./file-watch.js";
import { ReadProgress } from "./read-progress.js";
import { refuseUnreadable } from "./copy/refuse-unreadable.js";
import { removeDeadViews } from "./shown-view.js";
import { ToldLedger } from "./told-ledger.js";
import { ToldLog } from "./told-log.js";

export interface DuckDbSourceOptions {
  readonly path: string;
  readonly pipeline: PipelineId;
  readonly group: GroupId;
  readonly stateDirectory: string;
  readonly clock?: Clock;
  /** What DuckDB may take for comparing; default 512. */
  readonly memoryMb?: number;
  readonly threads?: number;
  readonly pollMs?: number;
  readonly copyBytesPerSecond?: number | null;
  /** A table with more changes in a cycle is told as a whole. */
  readonly changesMax?: number;
  readonly limits?: Partial<BatchLimits>;
  /** The engine's built program. */
  readonly program?: string;
}

export const defaultMemoryMb = 512;
const defaultPollMs = 100;
const changesMax = 2_000_000;
const rememberEveryMs = 1_000;
const pruneEveryMs = 5_000;

/** Rejects with `source.locked`, `source.missing`, `source.not-applied`, `source.storage-version`, … */
export async function openDuckDbSource(options: DuckDbSourceOptions): Promise<DuckDbSource> {
  const directory = new CaptureDirectory(options);
  const { tables } = directory.installedFor(options.pipeline);
  if (readTombstone(options.path) === null) refuseUnreadable(options.path);
  const source = new DuckDbSource(options, directory, tables);
  try {
    await source.start(new AbortController().signal);
    return source;
  } catch (thrown) {
    await source[Symbol.asyncDispose]();
    throw thrown;
  }
}

export class DuckDbSource implements Source {
  readonly #options: DuckDbSourceOptions;
  readonly #clock: Clock;
  readonly #directory: CaptureDirectory;
  readonly #tables: readonly InstalledTable[];
  readonly #watch: FileWatch;
  readonly #ledger = new ToldLedger();
  readonly #progress: ReadProgress;
  readonly #told: ToldLog;
  #engine: EngineProcess | null = null;
  #memory: Memory;
  #rememberedAtMs = Number.NEGATIVE_INFINITY;
  #prunedAtMs = Number.NEGATIVE_INFINITY;
  #pruneBelow: Position | null = null;
  #reader: CycleReader | null = null;
  readonly #acknowledged = new Acknowledged();
  #isIterated = false;

  constructor(options: DuckDbSourceOptions, directory: CaptureDirectory, tables: readonly InstalledTable[]) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    this.#directory = directory;
    this.#tables = tables;
    this.#memory = directory.memory();
    this.#watch = new FileWatch(options.path, this.#clock, options.pollMs ?? defaultPollMs);
    this.#progress = new ReadProgress(tables);
    this.#told = new ToldLog(directory.told);
  }

  /** An engine that was given up or has crashed is replaced: what it had open is lost, what it remembered is not. */
  async start(signal: AbortSignal): Promise<void> {
    if (this.#engine !== null && !this.#engine.isOver) return;
    await this.#engine?.[Symbol.asyncDispose]();
    const { memoryMb = defaultMemoryMb, threads = 2, program } = this.#options;
    const engine = new EngineProcess({ kind: "compare", clock: this.#clock, memoryMb, ...(program === undefined ? {} : { program }) });
    this.#engine = engine;
    const tables = this.#tables.filter(({ state }) => state === "captured");
    await engine.call("open", [{ options: { directory: this.#directory.path, memoryMb, threads }, tables }], signal);
  }

  lastLook(): LookFigures | null {
    return this.#reader?.figures ?? null;
  }

  epochSeen(): WriterEpoch {
    return writerEpoch(this.#memory.epoch);
  }

  claiming(epoch: WriterEpoch): Promise<void> {
    if (epoch > this.#memory.epoch) this.#remember({ ...this.#memory, epoch });
    return Promise.resolve();
  }

  async *batches(beginning: Beginning, signal: AbortSignal): AsyncGenerator<Batch, void, undefined> {
    if (this.#isIterated) throw new Error("one iteration over a source's batches at a time");
    this.#isIterated = true;
    try {
      const reader = await this.#begin(beginning, signal);
      for (;;) {
        await this.#prune(signal);
        const { batch, changes, sinceMs } = await reader.next(signal);
        this.#ledger.told({ at: batch.position, changes, sinceMs: sinceMs ?? this.#clock.wallMs() });
        yield { position: batch.position, parts: (until) => this.#partsOf(batch, until), end: () => batch.end() };
        await this.#acknowledged.reach(batch.position, signal);
      }
    } finally {
      this.#isIterated = false;
    }
  }

  acknowledged(position: Position, epoch: WriterEpoch): Promise<void> {
    const memory = { epoch: Math.max(epoch, this.#memory.epoch), history: position.history, order: position.order };
    // A new epoch is written at once: it keeps epoch numbers from being used twice when the log has lost its tail.
    const isDue = epoch > this.#memory.epoch || this.#clock.monotonicMs() - this.#rememberedAtMs >= rememberEveryMs;
    if (isDue) this.#remember(memory);
    else this.#memory = memory;
    this.#acknowledged.note(position);
    return Promise.resolve();
  }

  lag(applied: Position | null): Lag {
    return this.#ledger.measure(applied, this.#watch.movedSinceMs(), this.#clock.wallMs());
  }

  /** Done before the next cycle: the engine does one thing at a time. */
  /** Its memory is what the log was told; a new session compares both. */
  recognises(): boolean {
    return true;
  }

  prune(below: Position): Promise<void> {
    this.#pruneBelow = below;
    this.#ledger.forget(below);
    return Promise.resolve();
  }

  progress(): readonly RereadProgress[] {
    return this.#progress.report(this.#reader?.rereads ?? null);
  }

  captureLog(): null {
    return null;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#told[Symbol.dispose]();
    this.#remember(this.#memory);
    await this.#engine?.[Symbol.asyncDispose]();
    this.#engine = null;
  }

  async #begin(beginning: Beginning, signal: AbortSignal): Promise<CycleReader> {
    await this.start(signal);
    const { path, limits, copyBytesPerSecond } = this.#options;
    const clock = this.#clock;
    const copier = new LiveCopier({ path, directory: this.#directory.copies, clock, bytesPerSecond: copyBytesPerSecond ?? null });
    const reader = await CycleReader.begin(
      {
        directory: this.#directory,
        tables: this.#tables,
        group: this.#options.group,
        ask: (method, request, s) => this.#ask(method, request, s),
        copier,
        watch: this.#watch,
        told: this.#told,
        limits: { ...defaultBatchLimits, ...limits },
        changesMax: this.#options.changesMax ?? changesMax,
        rest: (ms, s) => clock.delay(ms, s),
        monotonicMs: () => clock.monotonicMs(),
        onRead: (table, rows) => this.#progress.read(table, rows),
        isAside: () => readTombstone(path) !== null,
      },
      beginning,
      signal,
    );
    await this.#removeCopies(signal);
    this.#reader = reader;
    this.#ledger.begin(beginning.resume?.position ?? null);
    return reader;
  }

  /** Of earlier processes and iterations; the one that a re-read goes on with stays, and the one that others read. */
  async #removeCopies(signal: AbortSignal): Promise<void> {
    const { frozen } = await this.#ask("recall", [{ above: null }], signal);
    const { copies } = this.#directory;
    const bases = new Set(readdirSync(copies).map((name) => join(copies, name.replace(/\.duckdb\..*$/, ".duckdb"))));
    const kept = new Set([frozen, this.#directory.shown()?.path, this.#directory.baseline()]);
    for (const path of bases) if (!kept.has(path)) removeDatabase(path);
    removeDeadViews(this.#directory);
  }

  async #ask<M extends Method>(method: M, request: Request<M>, signal: AbortSignal): Promise<Answer<M>> {
    if (this.#engine === null) throw new Error("the source is closed");
    return await this.#engine.call(method, request, signal);
  }

  async #prune(signal: AbortSignal): Promise<void> {
    const below = this.#pruneBelow;
    if (below === null || this.#clock.monotonicMs() - this.#prunedAtMs < pruneEveryMs) return;
    this.#pruneBelow = null;
    this.#prunedAtMs = this.#clock.monotonicMs();
    if (below.history !== this.#reader?.history) return;
    const held = this.#directory.heldFrom(below.history, this.#clock.wallMs());
    const least = Math.min(below.order, held ?? below.order);
    await this.#ask("prune", [{ below: least }], signal);
    this.#told.prune(least);
  }

  async *#partsOf(batch: Batch, signal: AbortSignal): AsyncGenerator<BatchPart, void, undefined> {
    for await (const part of batch.parts(signal)) {
      signal.throwIfAborted();
      yield part;
    }
  }

  #remember(memory: Memory): void {
    this.#memory = memory;
    this.#directory.remember(memory);
    this.#rememberedAtMs = this.#clock.monotonicMs();
  }
}
