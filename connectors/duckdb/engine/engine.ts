/**
 * What the process that holds DuckDB does for the source. One call at a time. Everything that it remembers is in one DuckDB file of ours, changed by
 * whole transactions; it may be killed at any moment.
 */
import type { DuckTable } from "../duck-table.js";
import type { ChangesAsked, ChangesPage } from "./row-store.js";
import type { Slices, SlicesAsked } from "./sorted-rows.js";

export interface EngineOptions {
  readonly directory: string;
  readonly memoryMb: number;
  readonly threads: number;
  /** Rows that are compared at one time; default 1,000,000, a join of which fits into any memory that is allowed. */
  readonly pieceRows?: number;
}

export interface Remembered {
  /** Made anew with the state: two states never share one. */
  readonly stateId: string;
  readonly history: number;
  /** No order above it was ever given out. */
  readonly order: number;
  /** Keys of changes up to here are forgotten. */
  readonly prunedTo: number;
  /** The copy that a re-read reads; null when none was under way. */
  readonly frozen: string | null;
  /** Tables whose rows were never told, or are told otherwise now: they must be read. */
  readonly unread: readonly number[];
  /** Something was told above the order that was asked about. */
  readonly toldAbove: boolean;
}

export interface CycleRequest {
  /** Whose rows are compared with what was told. */
  readonly compare: readonly number[];
  /** Whose rows become what was told, without being told: a re-read tells them. */
  readonly establish: readonly number[];
  /** What was told above this order may or may not have arrived; null: everything arrived. */
  readonly doubtAbove: number | null;
  readonly firstOrder: number;
  /** A table with more changes is told as a whole. */
  readonly changesMax: number;
  /** Keep the copy for a re-read under this name. */
  readonly frozen: string | null;
}
export interface TableChanges {
  readonly table: number;
  readonly first: number;
  readonly count: number;
}
export interface CycleAnswer {
  readonly changes: readonly TableChanges[];
  /** Tables that are told as a whole, at `lastOrder`. */
  readonly whole: readonly number[];
  readonly lastOrder: number;
  /** Rows that were read; those of row groups that are as they were are not. */
  readonly rowsCompared: number;
}

export interface Engine {
  /** Legal once, before anything else. */
  open(request: { readonly options: EngineOptions; readonly tables: readonly DuckTable[] }): Promise<Remembered>;
  /** What is remembered now. */
  recall(request: { readonly above: number | null }): Promise<Remembered>;
  /** Forgets everything that was told; durable on return. */
  begin(request: { readonly history: number; readonly order: number }): Promise<Remembered>;
  /** No order up to this one will be given out again. Durable on return. */
  reserve(request: { readonly order: number }): Promise<void>;
  /** The copy that all that follows is about. Rejects with `source.schema-changed` when a captured table is not as it was installed. */
  attach(request: { readonly path: string }): Promise<void>;
  /** Compares, and remembers in one transaction what is now being told and how. */
  cycle(request: CycleRequest): Promise<CycleAnswer>;
  /** From an order on, below another: as many changes as have so many bytes together, and one at least. */
  changes(request: ChangesAsked): Promise<ChangesPage>;
  /** JSON list of [key, row or null] for keys as texts. */
  rowsOf(request: { readonly table: number; readonly keys: readonly (readonly string[])[] }): Promise<string>;
  /** Puts the table's rows above a key in order, to be read by `chunks`. Answers how many there are. */
  sort(request: { readonly table: number; readonly after: readonly string[] | null }): Promise<{ readonly rows: number }>;
  chunks(request: SlicesAsked): Promise<Slices>;
  prune(request: { readonly below: number }): Promise<void>;
  close(): Promise<void>;
}
