/**
 * Reads a DuckDB file into batches, cycle by cycle: take a copy, compare it with what was told, tell the differences as one source transaction.
 *
 * Positions of this source are not immutable: a cycle that is told again is another one. So nothing is told twice under one order; whatever was told
 * above the cut that the log is known to hold is told again, as it is now, at orders that nobody has seen. While tables are read again the copy
 * stays the same, live changes wait, and every cut is a state that the file had.
 */
import { existsSync } from "node:fs";
import { Descriptions } from "../../core/capture/descriptions.js";
import {
  isReading,
  isWithholding,
  keepOnly,
  nothingToRead,
  request,
  rereadAll,
  type Rereads,
  withholds,
} from "../../core/capture/rereads.js";
import { decodeToken, encodeToken, type ResumeState } from "../../core/capture/resume-token.js";
import type { Phase } from "../../core/contracts/change.js";
import type { Beginning, BatchEnd, LookFigures } from "../../core/contracts/source.js";
import { asTailraceError, TailraceError } from "../../core/errors.js";
import { type GroupId, type MarkerId, type RereadId, rereadId } from "../../core/vocabulary/ids.js";
import { position } from "../../core/vocabulary/position.js";
import { makeAnchor, stateOf } from "./capture-anchor.js";
import type { CaptureDirectory, InstalledTable } from "./capture-directory.js";
import { type LiveCopier, type PrivateCopy } from "./copy/live-copy.js";
import { touchedName } from "./copy/wal-scan.js";
import { type AskEngine, type BatchLimits, CycleBatch, type SortedRows } from "./cycle-batch.js";
import type { CycleAnswer, Remembered } from "./engine/engine.js";
import type { FileWatch } from "./file-watch.js";
import { type AskedFor, readRequests, requestNames } from "./requests.js";
import { ShownCopy } from "./shown-copy.js";
import type { ToldLog } from "./told-log.js";
import { takeBaseline } from "./take-baseline.js";
import { RowParser } from "./values.js";

export interface CycleReaderOptions {
  readonly directory: CaptureDirectory;
  readonly tables: readonly InstalledTable[];
  readonly group: GroupId;
  readonly ask: AskEngine;
  readonly copier: LiveCopier;
  readonly watch: FileWatch;
  readonly told: ToldLog;
  readonly limits: BatchLimits;
  readonly changesMax: number;
  readonly rest: (ms: number, signal: AbortSignal) => Promise<void>;
  readonly monotonicMs: () => number;
  readonly onRead: (table: number, rows: number) => void;
  /** The file is fenced off for good: what changes in it comes from the target. */
  readonly isAside: () => boolean;
}
export interface TakenBatch {
  readonly batch: CycleBatch;
  readonly changes: number;
  /** When it was first noticed that there is something; null: nothing of the file's. */
  readonly sinceMs: number | null;
}

type Begins = readonly { readonly table: number; readonly reread: RereadId }[];
const ordersAtOnce = 1_000;
const restMostMs = 10_000;

export class CycleReader {
  readonly #options: CycleReaderOptions;
  readonly #descriptions = new Descriptions();
  readonly #parsers: ReadonlyMap<number, RowParser>;
  #state: ResumeState;
  #stateId: string;
  #order: number;
  #reserved: number;
  /** What was told above is told again; null: all of it has arrived. */
  #doubtAbove: number | null;
  #begins: Begins;
  #copy: PrivateCopy | null = null;
  readonly #shown: ShownCopy;
  /** The copy that the engine has is the one that the re-read reads. */
  #isFrozen: boolean;
  #compareAll = true;
  #sorted: SortedRows | null = null;
  #asked: AskedFor | null = null;
  #figures: LookFigures | null = null;

  private constructor(options: CycleReaderOptions, start: Start, remembered: Remembered) {
    this.#options = options;
    this.#descriptions.take(new Map(options.tables.map((table) => [table.number, table])));
    this.#parsers = new Map(options.tables.map((table) => [table.number, new RowParser(table)]));
    this.#state = start.state;
    this.#stateId = remembered.stateId;
    this.#order = remembered.order;
    this.#reserved = remembered.order;
    this.#doubtAbove = start.doubtAbove;
    this.#begins = start.begins;
    this.#isFrozen = start.frozen !== null;
    this.#shown = new ShownCopy(options.directory, start.frozen);
    options.told.begin(start.state.at.history);
  }

  static async begin(options: CycleReaderOptions, beginning: Beginning, signal: AbortSignal): Promise<CycleReader> {
    const { ask, tables } = options;
    const captured = tables.filter(({ state }) => state === "captured").map(({ number }) => number);
    const token = beginning.resume === null ? null : decodeToken(beginning.resume.token);
    const known = await ask("recall", [{ above: token?.at.order ?? null }], signal);
    if (token === null || options.directory.isAnewAsked() || !isSameMemory(token, beginning, known)) {
      const neverRead = token === null && beginning.later.length === 0 && beginning.historySeen === 0;
      const history = Math.max(beginning.historySeen, known.history, token?.at.history ?? 0) + 1;
      const remembered = await ask("begin", [{ history, order: 0 }], signal);
      options.directory.begunAnew();
      const reread = rereadId(`history-${history}`);
      const rereads = rereadAll(captured, neverRead ? "first" : "repair", reread);
      const state: ResumeState = {
        at: position(history, 0),
        anchor: makeAnchor(remembered.stateId),
        phase: token?.phase ?? "snapshot",
        schemaTold: 0,
        rereads,
      };
      const begins = neverRead ? [] : captured.map((table) => ({ table, reread }));
      return new CycleReader(options, { state, begins, doubtAbove: null, frozen: null }, remembered);
    }
    let rereads = keepOnly(token.rereads, (table) => captured.includes(table));
    const begins: { table: number; reread: RereadId }[] = [];
    for (const table of known.unread) {
      const reread = rereadId(`table-${table}-${known.order}`);
      const next = request(rereads, table, { why: "gap", reread });
      rereads = next.rereads;
      if (next.begins) begins.push({ table, reread });
    }
    const frozen = known.frozen !== null && existsSync(known.frozen) && isReading(rereads) && begins.length === 0 && !known.toldAbove;
    if (frozen && known.frozen !== null) await ask("attach", [{ path: known.frozen }], signal);
    const state = { ...token, rereads: frozen ? rereads : fromTheBeginning(rereads) };
    return new CycleReader(
      options,
      { state, begins, doubtAbove: known.toldAbove ? token.at.order : null, frozen: frozen ? known.frozen : null },
      known,
    );
  }

  get rereads(): Rereads {
    return this.#state.rereads;
  }
  get history(): number {
    return this.#state.at.history;
  }
  get order(): number {
    return this.#order;
  }
  get figures(): LookFigures | null {
    return this.#figures;
  }

  /** Waits until there is something to tell. Legal once the last batch was acknowledged. */
  async next(signal: AbortSignal): Promise<TakenBatch> {
    // The log holds all that was told: the copy is what the file was at that position.
    this.#shown.show(this.#state.at);
    this.#asked?.done();
    this.#asked = null;
    for (;;) {
      signal.throwIfAborted();
      if (this.#options.directory.isAnewAsked()) throw new TailraceError("source.replaced", { what: "A new beginning was asked for" });
      if (this.#options.isAside()) {
        this.#options.watch.look();
        await this.#options.watch.wait(signal);
        continue;
      }
      await this.#takeBaseline(signal);
      if (this.#isFrozen && isReading(this.#state.rereads)) return { batch: await this.#readOn(signal), changes: 0, sinceMs: null };
      const taken = await this.#unlessMoved(() => this.#cycle(signal));
      if (taken !== null) return taken;
      await this.#options.watch.wait(signal);
    }
  }

  /** A copy that was begun at the moment at which the file was put aside met what stands in its place. */
  async #unlessMoved<T>(work: () => Promise<T>): Promise<T | null> {
    try {
      return await work();
    } catch (thrown) {
      if (asTailraceError(thrown).code === "source.not-a-database" && this.#options.isAside()) return null;
      throw thrown;
    }
  }

  async #takeBaseline(signal: AbortSignal): Promise<void> {
    const taken = await takeBaseline(this.#options, this.#order + 1, signal);
    if (taken === null) return;
    this.#order = taken.lastOrder;
    this.#reserved = taken.lastOrder + ordersAtOnce;
    this.#settle(false);
    this.#compareAll = true;
    this.#copy = null;
    this.#sorted = null;
    this.#state = { ...this.#state, rereads: fromTheBeginning(this.#state.rereads) };
    this.#shown.taken(taken.path);
    this.#shown.show(this.#state.at);
    this.#options.directory.baselineTaken();
  }

  async #readOn(signal: AbortSignal): Promise<CycleBatch> {
    return await this.#batch(
      { order: this.#order, changes: [], whole: [], touched: [], markers: [], rereads: this.#state.rereads, begins: [] },
      signal,
    );
  }

  /** null: nothing new. */
  async #cycle(signal: AbortSignal): Promise<TakenBatch | null> {
    const { directory, watch, ask, changesMax } = this.#options;
    const hasAsked = requestNames(directory).length > 0;
    const mustLook = this.#compareAll || isReading(this.#state.rereads) || this.#doubtAbove !== null;
    if (!hasAsked && !mustLook && watch.movedSinceMs() === null) return null;
    // Asked for before the copy is taken: then the copy holds whatever was committed before the asking.
    const asked = readRequests(directory);
    const sinceMs = watch.look();
    const startedMs = this.#options.monotonicMs();
    const fresh = await this.#takeCopy(signal);
    const wanted = applyRequests(this.#state.rereads, asked, this.#options.tables);
    const begins = [...this.#begins, ...wanted.begins];
    const establish = withheldTables(wanted.rereads);
    const touched = this.#touchedTables(fresh).filter((n) => !establish.includes(n));
    const reads = isReading(wanted.rereads);
    const answer = await ask(
      "cycle",
      [
        {
          compare: touched,
          establish,
          doubtAbove: this.#doubtAbove,
          firstOrder: this.#order + 1,
          changesMax,
          frozen: reads ? (this.#copy?.path ?? null) : null,
        },
      ],
      signal,
    );
    this.#order = answer.lastOrder;
    this.#reserved = answer.lastOrder + ordersAtOnce;
    this.#settle(reads);
    const told = answer.changes.reduce((sum, { count }) => sum + count, 0);
    this.#figures = {
      copyMs: fresh?.tookMs ?? 0,
      copyTier: fresh?.tier ?? "same",
      copyAttempts: fresh?.attempts ?? 0,
      compareMs: this.#options.monotonicMs() - startedMs - (fresh?.tookMs ?? 0),
      rowsCompared: answer.rowsCompared,
      changes: told,
    };
    const markers = asked.requests.flatMap((it): readonly MarkerId[] => (it.kind === "marker" ? [it.marker] : []));
    const touches = await this.#touches(asked, answer, signal);
    const hasSchema = this.#descriptions.all().some(({ description }) => description.schema > this.#state.schemaTold);
    const isEmpty = told + answer.whole.length + touches.length + markers.length + begins.length === 0 && !reads && !hasSchema;
    if (isEmpty) {
      this.#shown.show(this.#state.at);
      asked.done();
      if (fresh?.tier === "full") await this.#options.rest(Math.min(fresh.tookMs, restMostMs), signal);
      return null;
    }
    this.#asked = asked;
    this.#begins = [];
    const batch = await this.#batch(
      { order: this.#order, changes: answer.changes, whole: answer.whole, touched: touches, markers, rereads: wanted.rereads, begins },
      signal,
    );
    return { batch, changes: told, sinceMs };
  }

  /** The engine has the copy that is returned, or, when there is nothing new, still the one before. */
  async #takeCopy(signal: AbortSignal): Promise<PrivateCopy | null> {
    const { copier, ask } = this.#options;
    const fresh = await copier.take(this.#copy, signal);
    if (fresh === null) return null;
    await ask("attach", [{ path: fresh.path }], signal);
    this.#copy = fresh;
    this.#shown.taken(fresh.path);
    this.#sorted = null;
    return fresh;
  }

  #touchedTables(fresh: PrivateCopy | null): readonly number[] {
    const captured = this.#options.tables.filter(({ state }) => state === "captured");
    if (this.#compareAll || this.#doubtAbove !== null) return captured.map(({ number }) => number);
    if (fresh === null) return [];
    const { touched } = fresh;
    const some =
      touched === null || touched.other ? captured : captured.filter(({ schema, name }) => touched.tables.has(touchedName(schema, name)));
    return some.map(({ number }) => number);
  }

  /** The cycle is remembered: what came before it is history. */
  #settle(reads: boolean): void {
    this.#compareAll = false;
    this.#doubtAbove = null;
    this.#isFrozen = reads;
  }

  async #touches(
    asked: AskedFor,
    answer: CycleAnswer,
    signal: AbortSignal,
  ): Promise<readonly { table: number; text: string; order: number }[]> {
    const touches: { table: number; text: string; order: number }[] = [];
    let order = answer.lastOrder;
    for (const it of asked.requests) {
      if (it.kind !== "touch") continue;
      const table = this.#options.tables.find(({ description, state }) => description.table === it.table && state === "captured");
      if (table === undefined) continue;
      const text = await this.#options.ask("rowsOf", [{ table: table.number, keys: it.keys }], signal);
      touches.push({ table: table.number, text, order: order + 1 });
      order += it.keys.length;
    }
    this.#order = order;
    return touches;
  }

  async #batch(
    what: {
      readonly order: number;
      readonly changes: CycleAnswer["changes"];
      readonly whole: readonly number[];
      readonly touched: readonly { readonly table: number; readonly text: string; readonly order: number }[];
      readonly markers: readonly MarkerId[];
      readonly rereads: Rereads;
      readonly begins: Begins;
    },
    signal: AbortSignal,
  ): Promise<CycleBatch> {
    const { history, order: after } = this.#state.at;
    const chunkOrder = what.order + 1;
    this.#order = chunkOrder + 1;
    if (this.#order > this.#reserved) {
      this.#reserved = this.#order + ordersAtOnce;
      await this.#options.ask("reserve", [{ order: this.#reserved }], signal);
    }
    const { ask, limits, told, onRead } = this.#options;
    const plan = { history, after, chunkOrder, schemaTold: this.#state.schemaTold, ...what };
    const context = { ask, parsers: this.#parsers, descriptions: this.#descriptions, limits, told, onRead, sorted: this.#sorted };
    const batch: CycleBatch = new CycleBatch(plan, { ...context, ended: (after) => this.#ended(batch, after) });
    return batch;
  }

  #ended(
    batch: CycleBatch,
    { rereads, schemaTold, sorted }: { rereads: Rereads; schemaTold: number; sorted: SortedRows | null },
  ): BatchEnd {
    const phase: Phase = this.#state.phase === "streaming" || !isWithholding(rereads) ? "streaming" : "snapshot";
    this.#sorted = sorted;
    this.#state = { at: batch.position, anchor: makeAnchor(this.#stateId), phase, schemaTold, rereads };
    return { resume: encodeToken(this.#state), anchor: this.#state.anchor, phases: new Map([[this.#options.group, phase]]) };
  }
}

interface Start {
  readonly state: ResumeState;
  readonly begins: Begins;
  readonly doubtAbove: number | null;
  /** The copy that a re-read goes on with. */
  readonly frozen: string | null;
}

/** What the log holds was told out of this very memory, and everything since is remembered. */
function isSameMemory(token: ResumeState, { later }: Beginning, known: Remembered): boolean {
  const isOurs = (at: ResumeState["at"], state: string): boolean =>
    at.history === known.history && state === known.stateId && at.order <= known.order;
  if (!isOurs(token.at, stateOf(token.anchor)) || token.at.order < known.prunedTo) return false;
  return later.every((cut) => isOurs(cut.position, stateOf(cut.anchor)));
}

/** On another copy the keys that were read may stand elsewhere. */
function fromTheBeginning({ reading, waiting }: Rereads): Rereads {
  if (reading === null) return waiting.length === 0 ? nothingToRead : { reading, waiting };
  return { reading: { ...reading, cursor: null, rows: 0 }, waiting };
}

function withheldTables({ reading, waiting }: Rereads): readonly number[] {
  return [...(reading === null ? [] : [reading]), ...waiting].filter(({ mode }) => withholds(mode)).map(({ table }) => table);
}

function applyRequests(
  before: Rereads,
  { requests }: AskedFor,
  tables: readonly InstalledTable[],
): { readonly rereads: Rereads; readonly begins: Begins } {
  const begins: { table: number; reread: RereadId }[] = [];
  let rereads = before;
  for (const asked of requests) {
    if (asked.kind !== "reread") continue;
    for (const { number, description, state } of tables) {
      if (state !== "captured" || (asked.tables !== null && !asked.tables.includes(description.table))) continue;
      const next = request(rereads, number, asked);
      rereads = next.rereads;
      if (next.begins) begins.push({ table: number, reread: asked.reread });
    }
  }
  return { rereads, begins };
}
