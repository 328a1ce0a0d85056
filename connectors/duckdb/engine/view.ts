/**
 * What the process that reads copies does for the verifier. One call at a time, one copy at a time; nothing is remembered. Before ranges of a table are
 * read it is *prepared*: its keys in order, each with the hash of its row where SQL can say it and with the row itself where not.
 */
import type { CanonicalSql } from "../canonical-sql.js";
import type { DuckTable } from "../duck-table.js";

/** Keys as texts (`keyPartText`); null: open. */
export interface TextScope {
  readonly after: readonly string[] | null;
  readonly upTo: readonly string[] | null;
}
export interface TableScope extends TextScope {
  readonly table: number;
}

export interface View {
  open(request: { readonly directory: string; readonly memoryMb: number; readonly threads: number }): Promise<void>;
  /** The copy that all that follows is about; what was prepared is dropped. Rejects with `source.schema-changed` when a table is not as it was installed. */
  attach(request: { readonly path: string; readonly tables: readonly DuckTable[] }): Promise<void>;
  /** `canonical` null: no row of the table can be hashed here. */
  prepare(request: { readonly table: number; readonly canonical: CanonicalSql | null }): Promise<void>;
  /** JSON list of the keys behind which ranges of `rows` rows end, in order; at most `most`. */
  bounds(request: TableScope & { readonly rows: number; readonly most: number }): Promise<string>;
  /** Of the rows that were hashed: count, and sums of the halves of their hashes. `unhashed`: rows of the range that were not. */
  digest(request: TableScope): Promise<{ readonly rows: number; readonly high: string; readonly low: string; readonly unhashed: number }>;
  /** JSON list of [key, hash] of the rows that were hashed; at most `most`. */
  digests(request: TableScope & { readonly most: number }): Promise<string>;
  /** JSON list of the rows that were not hashed, in key order; at most `most`, from the row with this number among them on. */
  unhashed(request: TableScope & { readonly from: number; readonly most: number }): Promise<string>;
  /** JSON list of [key, row or null] for keys as texts. */
  rowsOf(request: { readonly table: number; readonly keys: readonly (readonly string[])[] }): Promise<string>;
  close(): Promise<void>;
}
