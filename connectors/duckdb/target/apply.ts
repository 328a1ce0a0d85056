/**
 * What the process that writes to the file does for the target. One call at a time. The file is open from `begin` to `commit` or `abandon`, and nobody
 * else can have it meanwhile; rows are staged beside it, so its one transaction is as short as the writing. It may be killed at any moment.
 */
import type { DuckTable } from "../duck-table.js";

export interface ApplyTable extends DuckTable {
  /** Columns that both sides have, in the order of every list of values below. */
  readonly carried: readonly { readonly name: string; readonly declared: string }[];
  /** Places of the key's columns in `carried`. */
  readonly keyPlaces: readonly number[];
}

/** The row of `_cdc_applied`. */
export interface FileState {
  readonly pipeline: string;
  readonly direction: string;
  readonly epoch: number;
  /** As JSON; null: nothing was applied. */
  readonly cut: string | null;
  readonly marker: string | null;
  /** By table: taken, folded, applied, filtered, quarantined, replayed. */
  readonly counts: readonly TableCounts[];
  /** Tables whose re-read has begun and not ended. */
  readonly repairs: readonly string[];
}
export interface TableCounts {
  readonly table: string;
  readonly counts: readonly number[];
}
export interface Owning {
  readonly path: string;
  readonly pipeline: string;
  readonly direction: string;
  readonly group: number;
  /** The owner's is above it. */
  readonly epochAbove: number;
  readonly tables: readonly string[];
}

/** Texts that `intoText` made; null: NULL. */
export type Texts = readonly (string | null)[];

/** A key that something is to be done with. `base`: the key under which the row stood before it was moved. */
export interface Asked {
  readonly key: Texts;
  readonly base: Texts | null;
}
/** `set`: the columns whose values are to be stored. Of a row that is not there all are told; `move`: it takes the place of whatever is there. */
export interface Staged {
  readonly n: number;
  readonly op: "put" | "move" | "delete";
  readonly set: readonly boolean[];
  readonly values: Texts;
}
export interface Ending {
  readonly epoch: number;
  readonly group: number;
  readonly cut: string;
  readonly marker: string | null;
  readonly counts: readonly TableCounts[];
  readonly begun: readonly string[];
  readonly ended: readonly string[];
}

export interface Apply {
  /** Legal once, before anything else. */
  open(request: { readonly directory: string; readonly memoryMb: number; readonly threads: number }): Promise<void>;
  /** A file that one process can have at a time, held as long as this one lives. Rejects with `source.locked`. */
  hold(request: { readonly owner: string }): Promise<void>;
  /** Makes what is ours in the file, raises the owner's epoch there and answers the state. Opens and closes the file. */
  own(request: Owning): Promise<FileState>;
  /** Opens the file. Rejects with `source.locked` while somebody else has it, with `source.schema-changed` when a table is not as it was installed. */
  begin(request: { readonly path: string; readonly group: number; readonly tables: readonly ApplyTable[] }): Promise<FileState>;
  /** JSON list of [n, row or null, row at base or null], in the order of the keys; row: all columns of the description. */
  look(request: { readonly table: number; readonly keys: readonly Asked[] }): Promise<string>;
  /** About the keys that were looked at last. JSON list of [n, place, value as stored or null] of those that are not printed as they were told. */
  stage(request: { readonly table: number; readonly rows: readonly Staged[] }): Promise<string>;
  /** Everything of a range goes: of the file, and of what was staged. */
  clear(request: { readonly table: number; readonly after: Texts | null; readonly upTo: Texts | null }): Promise<void>;
  /** Writes all that was staged, and the state, in one transaction, and closes the file. Tables in plan order. */
  commit(request: Ending): Promise<void>;
  /** Forgets what was staged and closes the file. Legal at any time. */
  abandon(): Promise<void>;
  /** Takes away what is ours in the file; answers the statements. */
  destroy(request: { readonly path: string }): Promise<readonly string[]>;
  close(): Promise<void>;
}
