/** One batch: what a copy differs in, then rows that are read again. Pages come from the engine while the parts are taken, so nothing large is held. */
import type { Descriptions } from "../../core/capture/descriptions.js";
import { advance, nextToRead, type ReadingTable, type Rereads } from "../../core/capture/rereads.js";
import type { BatchPart, Control } from "../../core/contracts/change.js";
import type { Batch, BatchEnd } from "../../core/contracts/source.js";
import { type MarkerId, type RereadId, rereadId } from "../../core/vocabulary/ids.js";
import { type Position, position } from "../../core/vocabulary/position.js";
import type { Key } from "../../core/vocabulary/value.js";
import { keyPartText } from "./column-type.js";
import type { TableChanges } from "./engine/engine.js";
import type { Slices } from "./engine/sorted-rows.js";
import type { Answer, Method, Request } from "./engine/messages.js";
import type { ToldLog } from "./told-log.js";
import type { RowParser } from "./values.js";

export interface BatchLimits {
  /** Changes in one part. */
  readonly pageRows: number;
  readonly pageBytes: number;
  readonly chunkRows: number;
  readonly chunkBytes: number;
  /** Rows read again in one batch, about. */
  readonly rereadRows: number;
  readonly rereadBytes: number;
}
export const defaultBatchLimits: BatchLimits = {
  pageRows: 1_000,
  pageBytes: 1 << 20,
  chunkRows: 500,
  chunkBytes: 512 << 10,
  rereadRows: 20_000,
  rereadBytes: 16 << 20,
};

export type AskEngine = <M extends Method>(method: M, request: Request<M>, signal: AbortSignal) => Promise<Answer<M>>;

export interface BatchPlan {
  readonly history: number;
  /** Order that the batch before ended at. */
  readonly after: number;
  /** Of the first chunk; all changes stand below. The batch's own position is one order above. */
  readonly chunkOrder: number;
  readonly schemaTold: number;
  readonly begins: readonly { readonly table: number; readonly reread: RereadId }[];
  readonly changes: readonly TableChanges[];
  readonly touched: readonly { readonly table: number; readonly text: string; readonly order: number }[];
  /** Tables that are told as a whole. */
  readonly whole: readonly number[];
  readonly rereads: Rereads;
  readonly markers: readonly MarkerId[];
}

/** Where in the engine's sorted rows a re-read is; kept over batches. */
export interface SortedRows {
  readonly table: number;
  readonly next: number;
  readonly rows: number;
  /** The chunks from `next` on, asked for while the last ones were told; null: not asked for. */
  readonly ahead: Promise<Slices> | null;
}

export interface BatchContext {
  readonly ask: AskEngine;
  readonly parsers: ReadonlyMap<number, RowParser>;
  readonly descriptions: Descriptions;
  readonly limits: BatchLimits;
  readonly told: ToldLog;
  readonly sorted: SortedRows | null;
  readonly onRead: (table: number, rows: number) => void;
  readonly ended: (after: { readonly rereads: Rereads; readonly schemaTold: number; readonly sorted: SortedRows | null }) => BatchEnd;
}

export class CycleBatch implements Batch {
  readonly position: Position;
  #index = 0;
  #rereads: Rereads;
  #sorted: SortedRows | null;
  #told: number;
  #end: BatchEnd | null = null;
  #taken = false;

  constructor(
    private readonly plan: BatchPlan,
    private readonly context: BatchContext,
  ) {
    this.position = position(plan.history, plan.chunkOrder + 1);
    this.#rereads = plan.rereads;
    this.#sorted = context.sorted;
    this.#told = plan.schemaTold;
  }

  end(): BatchEnd {
    if (this.#end === null) throw new Error("the batch's parts have not all been taken");
    return this.#end;
  }

  async *parts(signal: AbortSignal): AsyncGenerator<BatchPart, void, undefined> {
    if (this.#taken) throw new Error("the batch's parts can be taken once");
    this.#taken = true;
    // Ahead of the log: whatever a target may hold is on record.
    this.context.told.batch(this.plan.after, this.position.order);
    yield* this.#schemas();
    for (const { table, reread } of this.plan.begins) yield this.#repair("begins", table, reread);
    for (const changes of this.plan.changes) yield* this.#changes(changes, signal);
    yield* this.#touches();
    for (const table of this.plan.whole) yield* this.#whole(table, signal);
    yield* this.#reread(signal);
    for (const marker of this.plan.markers) yield control({ kind: "marker", marker, at: this.position });
    for (const { table, reread } of this.#finished) yield this.#repair("ends", table, reread);
    this.context.told.end(this.position.order);
    this.#end = this.context.ended({ rereads: this.#rereads, schemaTold: this.#told, sorted: this.#sorted });
  }
  readonly #finished: { readonly table: number; readonly reread: RereadId }[] = [];

  *#schemas(): Generator<BatchPart> {
    const told = this.#told;
    for (const { number, description, state } of this.context.descriptions.all()) {
      if (description.schema <= told) continue;
      this.#told = Math.max(this.#told, description.schema);
      if (state === "captured") yield control({ kind: "schema", table: this.#description(number), at: this.position });
      else if (told > 0) yield control({ kind: "dropped", table: description.table, at: this.position });
    }
  }

  async *#changes({ table, first, count }: TableChanges, signal: AbortSignal): AsyncGenerator<BatchPart> {
    const { ask, limits } = this.context;
    for (let from = first; from < first + count; ) {
      const most = Math.min(from + limits.pageRows, first + count);
      const { json, until } = await ask("changes", [{ table, from, until: most, bytes: limits.pageBytes }], signal);
      this.context.told.rows(table, { from, until }, json);
      const changes = this.#parser(table).changes(json, this.plan.history);
      yield { kind: "changes", table: this.#description(table), changes };
      from = until;
    }
  }

  *#touches(): Generator<BatchPart> {
    const { pageRows } = this.context.limits;
    for (const { table, text, order } of this.plan.touched) {
      const { json, count } = touchedAsTold(text, order);
      this.context.told.rows(table, { from: order, until: order + count }, json);
      const changes = this.#parser(table).states(text, this.plan.history, order);
      for (let i = 0; i < changes.length; i += pageRows)
        yield { kind: "changes", table: this.#description(table), changes: changes.slice(i, i + pageRows) };
    }
  }

  /** More changed than is worth telling one by one: the table's rows replace those at the target, all under this batch's cut. */
  async *#whole(table: number, signal: AbortSignal): AsyncGenerator<BatchPart> {
    this.context.told.whole(table, this.plan.chunkOrder);
    let read: ReadingTable | null = { table, mode: "replace", reread: rereadId(`whole-${this.plan.chunkOrder}`), cursor: null, rows: 0 };
    this.#sorted = null;
    while (read !== null) {
      const slice: Slice = yield* this.#slice(read, signal);
      read = slice.cursor === null ? null : { ...read, cursor: slice.cursor, rows: read.rows + slice.rows };
    }
    this.#sorted = null;
  }

  async *#reread(signal: AbortSignal): AsyncGenerator<BatchPart> {
    let left = this.context.limits.rereadRows;
    let bytesLeft = this.context.limits.rereadBytes;
    for (let read = nextToRead(this.#rereads); read !== null && left > 0 && bytesLeft > 0; read = nextToRead(this.#rereads)) {
      const slice: Slice = yield* this.#slice(read, signal);
      this.#rereads = advance(this.#rereads, read, slice.rows, slice.cursor);
      if (slice.cursor === null && read.mode === "repair") this.#finished.push({ table: read.table, reread: read.reread });
      left -= Math.max(1, slice.rows);
      bytesLeft -= slice.bytes;
    }
  }

  /** Some chunks of one table. The last row's key becomes the cursor; null at the table's end. */
  async *#slice(read: ReadingTable, signal: AbortSignal): AsyncGenerator<BatchPart, Slice> {
    const { ask, limits } = this.context;
    const parser = this.#parser(read.table);
    let sorted = this.#sorted;
    if (sorted === null || sorted.table !== read.table) {
      const { rows } = await ask("sort", [{ table: read.table, after: read.cursor?.map(keyPartText) ?? null }], signal);
      sorted = { table: read.table, next: 0, rows, ahead: null };
    }
    const { chunkRows, chunkBytes } = limits;
    const chunks = Math.max(1, Math.min(Math.ceil(limits.rereadRows / chunkRows), chunksAtOnce));
    const slicesFrom = (from: number): Promise<Slices> => ask("chunks", [{ from, rows: chunkRows, bytes: chunkBytes, chunks }], signal);
    const none: Slices = { texts: ["[]"], rows: 0 };
    const slices: Slices = sorted.next >= sorted.rows ? none : await (sorted.ahead ?? slicesFrom(sorted.next));
    const next = sorted.next + slices.rows;
    // The engine makes the next ones while these are parsed, encoded and stored.
    const ahead = next < sorted.rows ? slicesFrom(next) : null;
    // Whoever takes them hears of the failure; nobody may.
    ahead?.catch(() => {});
    const isEnd = next >= sorted.rows;
    let after: Key | null = read.cursor;
    let rows = 0;
    let bytes = 0;
    for (const text of slices.texts) {
      const some = parser.rows(text);
      rows += some.length;
      bytes += text.length;
      const last = some.at(-1);
      const ended = (isEnd && rows >= slices.rows) || last === undefined;
      const upTo = ended ? null : parser.keyOf(last);
      this.#index += some.length + (upTo === null ? 1 : 0);
      const at = position(this.plan.history, this.plan.chunkOrder, this.#index);
      this.context.onRead(read.table, some.length);
      yield {
        kind: "chunk",
        table: this.#description(read.table),
        chunk: { reread: read.reread, scope: { kind: "range", after, upTo }, at, rows: some, last: upTo === null },
      };
      after = upTo;
    }
    this.#sorted = { ...sorted, next, ahead };
    return { rows, bytes, cursor: after };
  }

  #parser(table: number): RowParser {
    const parser = this.context.parsers.get(table);
    if (parser === undefined) throw new Error(`table ${table} is not captured`);
    return parser;
  }

  #description(table: number): ReturnType<Descriptions["told"]> {
    return this.context.descriptions.told(table, this.plan.history);
  }

  #repair(step: "begins" | "ends", table: number, reread: RereadId): BatchPart {
    return control({ kind: "repair", step, table: this.context.descriptions.stored(table).table, reread, at: this.position });
  }
}

/** Answers to touches in the form of changes. */
function touchedAsTold(text: string, order: number): { readonly json: string; readonly count: number } {
  const rows = JSON.parse(text) as readonly (readonly [unknown, unknown])[];
  return { json: JSON.stringify(rows.map(([key, row], i) => [order + i, row === null ? "d" : "s", key, row])), count: rows.length };
}

interface Slice {
  readonly rows: number;
  readonly bytes: number;
  readonly cursor: Key | null;
}

/** Held as text at one time. */
const chunksAtOnce = 16;

const control = (it: Control): BatchPart => ({ kind: "control", control: it });
