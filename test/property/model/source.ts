/**
 * The model's connector: core/capture over the model's database, composed as a connector must compose it. Each rule that belongs to the
 * composition can be broken, to prove that it is needed.
 */
import { emptyLogAnchor, isSamePast, makeAnchor } from "../../../core/capture/anchor.js";
import { Hints } from "../../../core/capture/hints.js";
import { liveChange } from "../../../core/capture/live-changes.js";
import type { LogRow } from "../../../core/capture/log-row.js";
import {
  advance,
  isWithholding,
  nextToRead,
  type ReadingTable,
  request,
  type Rereads,
  rereadAll,
  Tellable,
} from "../../../core/capture/rereads.js";
import { decodeToken, encodeToken, type ResumeState } from "../../../core/capture/resume-token.js";
import type { BatchPart, Chunk, Control } from "../../../core/contracts/change.js";
import type { Batch, Beginning, Lag, Source } from "../../../core/contracts/source.js";
import { type Anchor, rereadId, theGroup, type WriterEpoch, writerEpoch } from "../../../core/vocabulary/ids.js";
import { isAbove, type Position, position } from "../../../core/vocabulary/position.js";
import type { TableDescription } from "../../../core/vocabulary/table.js";
import type { Key, Row } from "../../../core/vocabulary/value.js";
import { type LoggedRow, type ModelDatabase, type Statement, type TableName, tableNames } from "./database.js";
import { numberOfKey, rankOf } from "./keys.js";
import { keyLength, keyOfRow } from "./tables.js";

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
  /** A replaced past raises history. */
  readonly historyRises: boolean;
  /** Missing triggers stop the source. */
  readonly gapStops: boolean;
  /** The index runs on for rows read at the same order. */
  readonly indexRunsOn: boolean;
  /** The end of a table takes an index of its own. */
  readonly endHasIndex: boolean;
  /** Prune strictly below the applied position: the row there stays as anchor. */
  readonly anchorKept: boolean;
  /** Pruning compares the past as reading does. */
  readonly pruneCompares: boolean;
}
export const allSourceRules: SourceRules = {
  endsAtNewest: true,
  hintsHeeded: true,
  hintsInOneTransaction: true,
  chunkInOneTransaction: true,
  pastCompared: true,
  laterCompared: true,
  historyRises: true,
  gapStops: true,
  indexRunsOn: true,
  endHasIndex: true,
  anchorKept: true,
  pruneCompares: true,
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
  readonly tables: Readonly<Record<TableName, TableDescription>>;
  readonly rules: SourceRules;
  readonly plan: () => ReadPlan;
  /** Nothing to read: resolves when the schedule says so. */
  readonly idle: () => Promise<void>;
  readonly beforeBatch: () => Promise<void>;
  readonly newReread: () => string;
}

interface Read {
  readonly state: ResumeState;
  readonly parts: readonly BatchPart[];
}

export class ModelSource implements Source {
  #state: ResumeState | null = null;
  #later: Beginning["later"] = [];
  #historySeen = 0;

  constructor(private readonly options: ModelSourceOptions) {}

  epochSeen(): WriterEpoch {
    return writerEpoch(this.options.database.epochSeen);
  }

  async *batches(beginning: Beginning): AsyncIterable<Batch> {
    this.#state = beginning.resume === null ? null : decodeToken(beginning.resume.token);
    this.#later = beginning.later;
    this.#historySeen = beginning.historySeen;
    for (;;) {
      await this.options.beforeBatch();
      const read = this.#read();
      if (read === null) {
        await this.options.idle();
        continue;
      }
      yield batchOf(read);
      this.#state = read.state;
    }
  }

  async acknowledged(_at: Position, epoch: WriterEpoch): Promise<void> {
    const { database } = this.options;
    database.epochSeen = Math.max(database.epochSeen, epoch);
  }

  async prune(below: Position): Promise<void> {
    const { database, rules } = this.options;
    // In the transaction that deletes: after a restore the same numbers belong to rows that nobody has read.
    if (this.#state === null || below.history !== this.#state.at.history) return;
    if (rules.pruneCompares && !this.#isSamePast(this.#state)) return;
    const newest = database.newestSeq;
    database.log = database.log.filter(({ seq }) => (rules.anchorKept ? seq >= below.order : seq > below.order || seq === newest));
  }

  get position(): Position | null {
    return this.#state?.at ?? null;
  }

  lag(): Lag {
    throw new Error("nobody asks");
  }
  progress(): readonly [] {
    return [];
  }
  async [Symbol.asyncDispose](): Promise<void> {}

  /** null: nothing to tell. */
  #read(): Read | null {
    const { database, rules } = this.options;
    if (rules.gapStops && tableNames.some((table) => !database.triggers[table])) return null;
    const before = this.#state;
    if (before === null) return this.#readAfresh(this.#historySeen + (this.#later.length > 0 || this.#historySeen > 0 ? 1 : 0));
    if (!this.#isSamePast(before)) {
      return this.#readAfresh(rules.historyRises ? Math.max(this.#historySeen, before.at.history) + 1 : before.at.history);
    }
    const rows = database.log.filter(({ seq }) => seq > before.at.order);
    const told = rules.endsAtNewest ? rows : rows.slice(0, 2);
    return this.#tell(before, told, told.at(-1) ?? null);
  }

  /** All tables are unread; the log so far is passed over. */
  #readAfresh(history: number): Read | null {
    const { database } = this.options;
    this.#historySeen = Math.max(this.#historySeen, history);
    const mode = history === 0 ? "first" : "repair";
    const reread = rereadId(this.options.newReread());
    const state: ResumeState = {
      at: position(history, database.newestSeq),
      anchor: this.#anchorOf(database.log.at(-1) ?? null),
      phase: "snapshot",
      schemaTold: 0,
      rereads: rereadAll([1, 2], mode, reread),
    };
    const begins: BatchPart[] =
      mode === "first"
        ? []
        : tableNames.map((table) =>
            control({ kind: "repair", step: "begins", table: this.options.tables[table].table, reread, at: state.at }),
          );
    // Whoever waits for a marker does not know that its log row was passed over.
    const read = this.#chunks(state, [...markersOf(database.log, history), ...begins]);
    // Position (0, 0, 0) is the origin itself: without a chunk there is nothing to say there.
    return isAbove(read.state.at, position(0, 0)) ? read : null;
  }

  #isSamePast(state: ResumeState): boolean {
    const { database, rules } = this.options;
    if (!rules.pastCompared) return true;
    const at = (seq: number): Anchor | null => {
      const row = database.log.find((r) => r.seq === seq);
      return row === undefined ? null : this.#anchorOf(row);
    };
    const log = {
      newest: () => database.newestSeq,
      oldest: () => database.log[0]?.seq ?? 0,
      anchorAt: at,
      count: (after: number, until: number) => database.log.filter(({ seq }) => seq > after && seq <= until).length,
    };
    return isSamePast(state, rules.laterCompared ? this.#later : [], log);
  }

  #anchorOf(row: LoggedRow | null): Anchor {
    return row === null ? emptyLogAnchor : makeAnchor(row.seq, row.ts, "");
  }

  #tell(before: ResumeState, rows: readonly LoggedRow[], last: LoggedRow | null): Read | null {
    const { database, rules, tables } = this.options;
    const keyOf = (table: number, row: Row): Key => keyOfRow(row, keyLength(table === 1 ? "A" : "B", database.kinds));
    const parts: BatchPart[] = [];
    let rereads = before.rereads;
    parts.push(...markersOf(rows, before.at.history));
    for (const row of rows) if (row.op === "S") rereads = this.#request(rereads, row, before.at.history, parts);
    if (!rules.hintsInOneTransaction) database.transaction(this.options.plan().between);
    const hints = new Hints(keyOf);
    for (const row of rows) if (rules.hintsHeeded || row.op !== "R") hints.feed(row);
    hints.settle((table, key) => database.rowOf(table === 1 ? "A" : "B", numberOfKey(key)));
    const telling = { history: before.at.history, tellable: new Tellable(rereads), hints, keyOf };
    for (const row of rows) {
      const change = liveChange(row, telling);
      if (change !== null && "table" in row)
        parts.push({ kind: "changes", table: row.table === 1 ? tables.A : tables.B, changes: [change] });
    }
    const sameOrder = last === null && rules.indexRunsOn;
    const at = last === null ? { ...before.at, index: sameOrder ? before.at.index : 0 } : position(before.at.history, last.seq);
    const read = this.#chunks({ ...before, at, anchor: last === null ? before.anchor : this.#anchorOf(last), rereads }, parts);
    return isAbove(read.state.at, before.at) ? read : null;
  }

  #request(rereads: Rereads, row: LogRow & { readonly op: "S" }, history: number, parts: BatchPart[]): Rereads {
    const number = row.table ?? 1;
    const asked = request(rereads, number, row);
    const table = this.options.tables[number === 1 ? "A" : "B"].table;
    if (asked.begins) parts.push(control({ kind: "repair", step: "begins", table, reread: row.reread, at: position(history, row.seq) }));
    return asked.rereads;
  }

  #chunks(state: ResumeState, parts: BatchPart[]): Read {
    const { plan, rules, database } = this.options;
    if (!rules.chunkInOneTransaction) database.transaction(plan().between);
    let { rereads } = state;
    let { at } = state;
    for (let n = 0; n < plan().chunks; n++) {
      const reading = nextToRead(rereads);
      if (reading === null) break;
      const name: TableName = reading.table === 1 ? "A" : "B";
      const chunk = this.#chunk(reading, name, at);
      at = chunk.at;
      parts.push({ kind: "chunk", table: this.options.tables[name], chunk });
      rereads = advance(rereads, reading, chunk.rows.length, chunk.scope.upTo);
      if (chunk.last && reading.mode === "repair") {
        parts.push(control({ kind: "repair", step: "ends", table: this.options.tables[name].table, reread: reading.reread, at }));
      }
    }
    return { state: { ...state, at, rereads, phase: isWithholding(rereads) ? "snapshot" : "streaming" }, parts };
  }

  #chunk(reading: ReadingTable, name: TableName, at: Position): Chunk {
    const { database, rules, plan } = this.options;
    const kind = database.kinds[name];
    const after = reading.cursor === null ? -1 : rankOf(kind, numberOfKey(reading.cursor));
    const found = [...database.rows[name].keys()].sort((a, b) => rankOf(kind, a) - rankOf(kind, b)).filter((n) => rankOf(kind, n) > after);
    const mine = found.slice(0, plan().chunkRows);
    const last = mine.length < plan().chunkRows;
    const step = rules.endHasIndex ? mine.length + (last ? 1 : 0) : Math.max(1, mine.length);
    const newest = mine.at(-1);
    return {
      reread: reading.reread,
      scope: { kind: "range", after: reading.cursor, upTo: last || newest === undefined ? null : database.keyOf(name, newest) },
      at: { ...at, index: at.index + step },
      rows: mine.map((n) => database.rowOf(name, n) ?? []),
      last,
    };
  }
}

const markersOf = (rows: readonly LoggedRow[], history: number): readonly BatchPart[] =>
  rows.flatMap((row) =>
    row.op === "M" && row.marker !== null ? [control({ kind: "marker", marker: row.marker, at: position(history, row.seq) })] : [],
  );

const control = (what: Control): BatchPart => ({ kind: "control", control: what });

function batchOf({ state, parts }: Read): Batch {
  return {
    position: state.at,
    parts: async function* () {
      yield* parts;
    },
    end: () => ({ resume: encodeToken(state), anchor: state.anchor, phases: new Map([[theGroup, state.phase]]) }),
  };
}
