/**
 * Reads a capture log into batches. Each batch begins where the last one ended, ends at S = max(seq) of one short read transaction, and so
 * holds whole source transactions; hints are settled and chunks are read in that same transaction.
 *
 * Relies on: rows up to S never change; whatever changes a captured row writes a log row in the same transaction, or an `S` row in the one
 * that puts the triggers back. A crash leaves nothing behind: the resume token of the last whole cut is all that the next reader needs.
 */
import type { Phase } from "../contracts/change.js";
import type { Beginning, BatchEnd } from "../contracts/source.js";
import { type GroupId, rereadId } from "../vocabulary/ids.js";
import { isAbove, type Position, position } from "../vocabulary/position.js";
import { keyOf } from "../vocabulary/table.js";
import type { Key, Row } from "../vocabulary/value.js";
import { isSamePast, type Past } from "./anchor.js";
import { CaptureBatch, type BatchPlan } from "./capture-batch.js";
import type { CapturedTable, CaptureLog, CaptureView, LogPage, PageLimits } from "./capture-log.js";
import { readChunks, type ChunkLimits } from "./chunks.js";
import { Descriptions } from "./descriptions.js";
import { Hints, keyId } from "./hints.js";
import type { Note } from "./log-row.js";
import { beginAgain, isReading, isWithholding, keepOnly, request, rereadAll, type Rereads, Tellable } from "./rereads.js";
import { decodeToken, encodeToken, type ResumeState } from "./resume-token.js";

export interface CaptureLimits {
  /** A batch up to this size is read in its transaction; the rest of a larger one in pages afterwards. */
  readonly whole: PageLimits;
  /** One part of changes. */
  readonly page: PageLimits;
  readonly chunks: ChunkLimits;
}

export const defaultLimits: CaptureLimits = {
  whole: { rows: 4_000, bytes: 4 << 20 },
  page: { rows: 1_000, bytes: 1 << 20 },
  chunks: { chunk: { rows: 500, bytes: 512 << 10 }, batch: { rows: 10_000, bytes: 4 << 20 }, hasTime: () => () => true },
};

export interface CaptureReaderOptions {
  readonly log: CaptureLog;
  readonly group: GroupId;
  readonly beginning: Beginning;
  readonly limits: CaptureLimits;
}

export class CaptureReader {
  readonly #log: CaptureLog;
  readonly #group: GroupId;
  readonly #limits: CaptureLimits;
  readonly #descriptions = new Descriptions();
  #later: Beginning["later"];
  #historySeen: number;
  #neverRead: boolean;
  #state: ResumeState | null;
  /**
   * True until the first look of a reader that was taken up from a token. An earlier reader may have read chunks at any order up to the
   * newest, and a position names one record for ever: the first chunks of this reader need an order that nobody has seen.
   */
  #resumed: boolean;
  /** Until the first batch of such a reader: repairs that are under way are told once more. */
  #tellsAgain: boolean;
  #lastBatch: CaptureBatch | null = null;

  constructor(options: CaptureReaderOptions) {
    const { beginning } = options;
    this.#log = options.log;
    this.#group = options.group;
    this.#limits = options.limits;
    this.#later = beginning.later;
    this.#historySeen = beginning.historySeen;
    this.#state = beginning.resume === null ? null : decodeToken(beginning.resume.token);
    this.#neverRead = beginning.resume === null && beginning.later.length === 0 && beginning.historySeen === 0;
    this.#resumed = this.#state !== null;
    this.#tellsAgain = this.#resumed;
  }

  /** Where the last batch ended; null before the first one of a new log. */
  get at(): Position | null {
    return this.#state?.at ?? null;
  }
  get rereads(): Rereads | null {
    return this.#state?.rereads ?? null;
  }
  /** What was read last, by which the past that it belongs to is recognised. */
  get past(): Past | null {
    return this.#state;
  }

  /** True behind a batch that left nothing to be read, as long as nothing new is written. */
  get hasReadAll(): boolean {
    return this.#state !== null && !isReading(this.#state.rereads);
  }

  /** The next batch, or null while there is nothing new. Legal when all parts of the last one were taken. */
  next(): CaptureBatch | null {
    this.#lastBatch?.end();
    const plan = this.#log.read((view) => this.#plan(view));
    this.#resumed = false;
    if (plan === null) return null;
    if (plan === "needs-order") {
      this.#log.advance();
      return this.next();
    }
    this.#neverRead = false;
    this.#tellsAgain = false;
    this.#historySeen = Math.max(this.#historySeen, plan.position.history);
    this.#later = this.#later.filter((cut) => isAbove(cut.position, plan.position));
    this.#lastBatch = new CaptureBatch(this.#log, plan, this.#descriptions, this.#limits.page, (end) => this.#ended(plan, end));
    return this.#lastBatch;
  }

  #ended(plan: BatchPlan, schemaTold: number): BatchEnd {
    const state = { ...plan.after, schemaTold };
    this.#state = state;
    return endOf(state, [this.#group, ...plan.groups]);
  }

  #plan(view: CaptureView): BatchPlan | "needs-order" | null {
    const tables = view.tables();
    this.#descriptions.take(tables);
    const before = this.#state;
    const same = before !== null && isSamePast({ at: before.at, anchor: before.anchor }, this.#later, view);
    return same ? this.#goOn(view, tables, before) : this.#newHistory(view, tables, before);
  }

  /** The past was replaced, or never read: everything is read again under a history that nobody has seen. */
  #newHistory(view: CaptureView, tables: ReadonlyMap<number, CapturedTable>, before: ResumeState | null): BatchPlan {
    const history = Math.max(this.#historySeen, before?.at.history ?? 0) + 1;
    const captured = [...tables.values()].filter((t) => t.state === "captured").map((t) => t.number);
    const mode = this.#neverRead ? "first" : "repair";
    const reread = rereadId(`history-${history}`);
    const rereads = rereadAll(captured, mode, reread);
    const start: Start = { history, last: view.newest(), index: 0, phase: before?.phase ?? "snapshot", schemaTold: 0, rereads };
    const begins = mode === "repair" ? captured.map((table) => ({ table, reread })) : [];
    return this.#finish(view, tables, start, begins);
  }

  #goOn(view: CaptureView, tables: ReadonlyMap<number, CapturedTable>, before: ResumeState): BatchPlan | "needs-order" | null {
    const { at, phase, schemaTold } = before;
    const isCaptured = (table: number): boolean => tables.get(table)?.state === "captured";
    const kept = keepOnly(before.rereads, isCaptured);
    const { rereads, begins } = this.#tellsAgain ? beginAgain(kept, this.#later.length > 0) : { rereads: kept, begins: [] };
    const until = view.newest();
    if (until === at.order && !isReading(rereads)) return null;
    if (this.#resumed && (isReading(rereads) || view.notes(at.order, until).some((note) => note.op === "S"))) return "needs-order";
    return this.#finish(view, tables, { history: at.history, last: at.order, index: at.index, phase, schemaTold, rereads }, begins);
  }

  #finish(
    view: CaptureView,
    tables: ReadonlyMap<number, CapturedTable>,
    start: Start,
    beginning: readonly { readonly table: number; readonly reread: ReturnType<typeof rereadId> }[],
  ): BatchPlan {
    const until = view.newest();
    const rows = this.#rows(view, start.last, until);
    const asked = applyRequests(start.rereads, rows.notes, tables);
    const index = until === start.last ? start.index : 0;
    const chunks = readChunks(view, asked.rereads, {
      limits: this.#limits.chunks,
      at: position(start.history, until, index),
      keyOf: (table, row) => this.#keyOf(table, row),
    });
    const phase: Phase = start.phase === "streaming" || !isWithholding(chunks.rereads) ? "streaming" : "snapshot";
    const anchorNow = view.anchorAt(until);
    if (anchorNow === null) throw new Error(`the newest log row ${until} cannot be read`);
    const at = chunks.at;
    return {
      position: at,
      last: start.last,
      until,
      head: rows.head,
      notes: rows.notes,
      hints: rows.hints,
      settled: rows.settled,
      tellable: new Tellable(asked.rereads),
      begins: [...beginning, ...asked.begins],
      chunks: chunks.chunks,
      ends: chunks.ends,
      toldBefore: start.schemaTold,
      groups: new Set([...tables.values()].map(({ description }) => description.group)),
      after: { at, anchor: anchorNow, phase, rereads: chunks.rereads, schemaTold: start.schemaTold },
    };
  }

  /** As much of the log as is held in memory, and what hints need from the transaction that reads S. */
  #rows(view: CaptureView, last: number, until: number): RowsRead {
    const { whole, page } = this.#limits;
    const head: LogPage[] = [];
    let bytes = 0;
    let end = last;
    while (end < until && bytes < whole.bytes && end - last < whole.rows) {
      const next = view.page(end, until, page);
      head.push(next);
      bytes += next.bytes;
      end = next.rows.at(-1)?.seq ?? until;
    }
    const hints = new Hints((table, row) => this.#keyOf(table, row));
    const isCaptured = (table: number): boolean => view.tables().get(table)?.state === "captured";
    const lookUp = (table: number, key: Key): Row | null => (isCaptured(table) ? view.row(table, key) : null);
    if (end >= until) {
      for (const read of head) for (const row of read.rows) hints.feed(row);
      hints.settle(lookUp);
      return { head, notes: head.flatMap((read) => read.rows.filter(isNote)), hints, settled: null };
    }
    const notes = view.notes(last, until);
    return { head, notes, hints, settled: fetchAnswers(notes, lookUp) };
  }

  #keyOf(table: number, row: Row): Key {
    return keyOf(this.#descriptions.stored(table), row);
  }
}

interface Start {
  readonly history: number;
  readonly last: number;
  readonly index: number;
  readonly phase: Phase;
  readonly schemaTold: number;
  readonly rereads: Rereads;
}
interface RowsRead {
  readonly head: readonly LogPage[];
  readonly notes: readonly Note[];
  readonly hints: Hints;
  /** null: the hints are settled. Else how to settle them once all rows were fed. */
  readonly settled: ((table: number, key: Key) => Row | null) | null;
}

const isNote = (row: LogPage["rows"][number]): row is Note => row.op !== "I" && row.op !== "U" && row.op !== "D";

/** Stands for a row that is there and whose values nobody asks for. */
const present: Row = [];

/** A large batch is settled after its transaction has ended: what the hints may ask is looked up in it. */
function fetchAnswers(notes: readonly Note[], lookUp: (table: number, key: Key) => Row | null): RowsRead["settled"] {
  const answers = new Map<string, Row | null>();
  for (const note of notes) {
    if (note.op !== "R" && note.op !== "T") continue;
    const id = keyId(note.table, note.key);
    const known = answers.get(id);
    if (known !== undefined && (note.op === "R" || known !== present)) continue;
    const row = lookUp(note.table, note.key);
    answers.set(id, note.op === "R" && row !== null ? present : row);
  }
  return (table, key) => answers.get(keyId(table, key)) ?? null;
}

function applyRequests(
  before: Rereads,
  notes: readonly Note[],
  tables: ReadonlyMap<number, CapturedTable>,
): { readonly rereads: Rereads; readonly begins: BatchPlan["begins"] } {
  const begins: BatchPlan["begins"][number][] = [];
  let rereads = before;
  for (const note of notes) {
    if (note.op !== "S") continue;
    const asked = note.table === null ? [...tables.values()].map((t) => t.number).toSorted((a, b) => a - b) : [note.table];
    for (const table of asked) {
      if (tables.get(table)?.state !== "captured") continue;
      const next = request(rereads, table, note);
      rereads = next.rereads;
      if (next.begins) begins.push({ table, reread: note.reread });
    }
  }
  return { rereads, begins };
}

/** The first copy of all groups ends at one cut. */
function endOf(state: ResumeState, groups: readonly GroupId[]): BatchEnd {
  return { resume: encodeToken(state), anchor: state.anchor, phases: new Map(groups.map((group) => [group, state.phase])) };
}
