/**
 * The model's connector: the reader of core/capture over the model's database. Rules are broken from below, by a view that lies as a careless
 * connector would, to prove that each is needed.
 */
import { isRecognised, isSamePast, makeAnchor, type Past } from "../../../core/capture/anchor.js";
import type { CapturedTable, CaptureLog, CaptureView, PageLimits } from "../../../core/capture/capture-log.js";
import { type CaptureLimits, CaptureReader } from "../../../core/capture/capture-reader.js";
import type { LogRow, Note } from "../../../core/capture/log-row.js";
import type { Batch, Beginning, CaptureLogUse, Lag, Source } from "../../../core/contracts/source.js";
import { type Anchor, theGroup, type WriterEpoch, writerEpoch } from "../../../core/vocabulary/ids.js";
import { origin, type Position } from "../../../core/vocabulary/position.js";
import type { ColumnDescription, TableDescription } from "../../../core/vocabulary/table.js";
import type { Key, Row } from "../../../core/vocabulary/value.js";
import { type LoggedRow, type ModelDatabase, type Statement, type TableName, tableNames, tableNumber } from "./database.js";
import { numberOfKey, rankOf } from "./keys.js";

/** False breaks the rule. */
export interface SourceRules {
  /** A batch ends at S = max(seq), never at a page. */
  readonly endsAtNewest: boolean;
  /** R hints are heeded. */
  readonly hintsHeeded: boolean;
  /** What became of hinted rows is asked in the transaction that read S. */
  readonly hintsInOneTransaction: boolean;
  /** The log up to S and the chunk are read in one transaction. */
  readonly chunkInOneTransaction: boolean;
  /** The past is compared at every read. */
  readonly pastCompared: boolean;
  /** Cuts above the start, and the applied one, are compared as well. */
  readonly laterCompared: boolean;
  /** Missing triggers stop the source. */
  readonly gapStops: boolean;
  /** Prune strictly below the applied position: the row there stays as anchor. */
  readonly anchorKept: boolean;
  /** Pruning compares the past as reading does. */
  readonly pruneCompares: boolean;
  /** What the target has applied is compared whenever it is heard of, not only at a session's beginning. */
  readonly appliedCompared: boolean;
}
export const allSourceRules: SourceRules = {
  endsAtNewest: true,
  hintsHeeded: true,
  hintsInOneTransaction: true,
  chunkInOneTransaction: true,
  pastCompared: true,
  laterCompared: true,
  gapStops: true,
  anchorKept: true,
  pruneCompares: true,
  appliedCompared: true,
};

/** What the schedule says about the next read. */
export interface ReadPlan {
  readonly chunks: number;
  readonly chunkRows: number;
  /** Happens in the middle of the read if a rule is broken, never otherwise. */
  readonly between: readonly Statement[];
}
export interface ModelSourceOptions {
  readonly database: ModelDatabase;
  readonly rules: SourceRules;
  /** Log rows that are read with their batch; more are read while its parts are taken. */
  readonly wholeRows: number;
  readonly plan: () => ReadPlan;
  /** Nothing to read: resolves when the schedule says so. */
  readonly idle: (signal: AbortSignal) => Promise<void>;
  readonly beforeBatch: () => Promise<void>;
  /** A past was replaced or never read: the log so far is passed over. */
  readonly passedOver: () => void;
}

export class ModelSource implements Source {
  readonly #log: ModelCaptureLog;
  #reader: CaptureReader | null = null;
  /** Where the last batch ended. */
  #acknowledged: Past | null = null;

  constructor(private readonly options: ModelSourceOptions) {
    this.#log = new ModelCaptureLog(options, () => this.#acknowledged);
  }

  get position(): Position | null {
    return this.#reader?.at ?? null;
  }

  epochSeen(): WriterEpoch {
    return writerEpoch(this.options.database.epochSeen);
  }

  async claiming(epoch: WriterEpoch): Promise<void> {
    const { database } = this.options;
    database.epochSeen = Math.max(database.epochSeen, epoch);
  }

  async *batches(beginning: Beginning, signal: AbortSignal): AsyncIterable<Batch> {
    const { rules, database } = this.options;
    const later = rules.laterCompared ? beginning.later : [];
    this.#reader = new CaptureReader({ log: this.#log, group: theGroup, beginning: { ...beginning, later }, limits: this.#limits() });
    const reader = this.#reader;
    this.#acknowledged = null;
    if (reader.at !== null && beginning.resume !== null) this.#acknowledged = { at: reader.at, anchor: beginning.resume.anchor };
    for (let history = reader.at?.history ?? -1; ; ) {
      signal.throwIfAborted();
      await this.options.beforeBatch();
      const stopped = rules.gapStops && tableNames.some((table) => !database.triggers[table] && !database.retired.has(table));
      const batch = stopped ? null : reader.next();
      if (batch === null) {
        await this.options.idle(signal);
        continue;
      }
      if (batch.position.history !== history) this.options.passedOver();
      history = batch.position.history;
      yield {
        position: batch.position,
        parts: async function* () {
          yield* batch.parts();
        },
        end: () => batch.end(),
      };
      this.#acknowledged = { at: batch.position, anchor: batch.end().anchor };
    }
  }

  async acknowledged(_at: Position, epoch: WriterEpoch): Promise<void> {
    const { database } = this.options;
    database.epochSeen = Math.max(database.epochSeen, epoch);
  }

  recognises(at: Position, anchor: Anchor): boolean {
    const now = this.#reader?.at ?? null;
    if (!this.options.rules.appliedCompared || now === null || at.history !== now.history) return true;
    return this.#log.read((view) => isRecognised({ position: at, anchor }, view));
  }

  async prune(below: Position): Promise<void> {
    const { database, rules } = this.options;
    const past = this.#acknowledged;
    // In the transaction that deletes: after a restore the same numbers belong to rows that nobody has read.
    if (past === null || below.history !== past.at.history) return;
    if (rules.pruneCompares && !this.#log.read((view) => isSamePast(past, [], view))) return;
    database.log = database.log.filter(({ seq }) => (rules.anchorKept ? seq >= below.order : seq > below.order));
  }

  lag(): Lag {
    const unknown = { kind: "unknown", why: "the model does not say" } as const;
    return { head: this.position ?? origin, changes: unknown, ms: unknown };
  }
  progress(): readonly [] {
    return [];
  }
  lastLook(): null {
    return null;
  }

  captureLog(): CaptureLogUse {
    const { log, newestSeq } = this.options.database;
    return { oldest: log[0]?.seq ?? 0, newest: newestSeq, bytes: log.length, ms: 0, freeBytes: null };
  }
  async [Symbol.asyncDispose](): Promise<void> {}

  #limits(): CaptureLimits {
    const { plan, wholeRows } = this.options;
    const bytes = Number.MAX_SAFE_INTEGER;
    return {
      whole: { rows: wholeRows, bytes },
      page: { rows: 2, bytes },
      chunks: {
        chunk: { rows: 1000, bytes },
        batch: { rows: 1000, bytes },
        hasTime: () => {
          let left = plan().chunks;
          return () => --left > 0;
        },
      },
    };
  }
}

class ModelCaptureLog implements CaptureLog {
  constructor(
    private readonly options: ModelSourceOptions,
    private readonly past: () => Past | null,
  ) {}

  read<T>(work: (view: CaptureView) => T): T {
    return work(new ModelView(this.options, this.past()));
  }

  page(after: number, until: number, limits: PageLimits): { readonly rows: readonly LogRow[]; readonly bytes: number } {
    return { rows: this.#told(after, until).slice(0, limits.rows), bytes: 1 };
  }

  widen(table: number, columns: readonly ColumnDescription[]): TableDescription {
    return this.options.database.widen(nameOf(table), columns);
  }

  advance(): void {
    this.options.database.special("order", "A", 0);
  }

  #told(after: number, until: number): readonly LogRow[] {
    return toldRows(this.options, after, until);
  }
}

/** A hint that is not heeded is a row that says nothing. */
function toldRows({ database, rules }: ModelSourceOptions, after: number, until: number): readonly LogRow[] {
  const rows = database.log.filter(({ seq }) => seq > after && seq <= until);
  return rules.hintsHeeded ? rows : rows.map((row) => (row.op === "R" ? { op: "M", seq: row.seq, marker: null } : row));
}

class ModelView implements CaptureView {
  #meddled = false;

  constructor(
    private readonly options: ModelSourceOptions,
    private readonly past: Past | null,
  ) {}

  newest(): number {
    const { database, rules } = this.options;
    const order = this.past?.at.order ?? null;
    if (order === null) return database.newestSeq;
    const least = rules.pastCompared ? 0 : order;
    return Math.max(least, rules.endsAtNewest ? database.newestSeq : Math.min(database.newestSeq, order + 2));
  }

  oldest(): number {
    return this.options.database.log[0]?.seq ?? 0;
  }

  anchorAt(seq: number): Anchor | null {
    const row = this.options.database.log.find((r) => r.seq === seq);
    if (!this.options.rules.pastCompared && seq === this.past?.at.order) return this.past.anchor;
    if (row === undefined) return seq === 0 ? anchorOf(null) : null;
    return anchorOf(row);
  }

  count(after: number, until: number): number {
    if (!this.options.rules.pastCompared) return until - after;
    return this.options.database.log.filter(({ seq }) => seq > after && seq <= until).length;
  }

  tables(): ReadonlyMap<number, CapturedTable> {
    const { database } = this.options;
    return new Map(
      tableNames.map((name) => [
        tableNumber[name],
        {
          number: tableNumber[name],
          description: database.descriptions[name],
          state: database.retired.has(name) ? ("retired" as const) : ("captured" as const),
        },
      ]),
    );
  }

  page(after: number, until: number, limits: PageLimits): { readonly rows: readonly LogRow[]; readonly bytes: number } {
    return { rows: toldRows(this.options, after, until).slice(0, limits.rows), bytes: 1 };
  }

  notes(after: number, until: number): readonly Note[] {
    return toldRows(this.options, after, until).filter((row): row is Note => row.op !== "I" && row.op !== "U" && row.op !== "D");
  }

  row(table: number, key: Key): Row | null {
    if (!this.options.rules.hintsInOneTransaction) this.#meddle();
    return this.options.database.rowOf(nameOf(table), numberOfKey(key));
  }

  chunk(table: number, after: Key | null): { readonly rows: readonly Row[]; readonly bytes: number; readonly ended: boolean } {
    if (!this.options.rules.chunkInOneTransaction) this.#meddle();
    const { database, plan } = this.options;
    const name = nameOf(table);
    const kind = database.kinds[name];
    const from = after === null ? -1 : rankOf(kind, numberOfKey(after));
    const above = [...database.rows[name].keys()].filter((n) => rankOf(kind, n) > from).sort((a, b) => rankOf(kind, a) - rankOf(kind, b));
    const mine = above.slice(0, plan().chunkRows);
    return { rows: mine.map((n) => database.rowOf(name, n) ?? []), bytes: 1, ended: mine.length < plan().chunkRows };
  }

  /** The application commits in the middle of what should be one transaction. */
  #meddle(): void {
    if (this.#meddled) return;
    this.#meddled = true;
    this.options.database.transaction(this.options.plan().between);
  }
}

const nameOf = (table: number): TableName => (table === 1 ? "A" : "B");
const anchorOf = (row: LoggedRow | null): Anchor => (row === null ? makeAnchor(0, null, "") : makeAnchor(row.seq, row.ts, ""));
