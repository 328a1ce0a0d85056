/**
 * What a source connector promises to the relay.
 *
 * Three rules hold for every method of every contract and are not repeated: it rejects with a TailraceError and never logs and goes
 * on; an AbortSignal is the last parameter of whatever waits, and after abort nothing new becomes durable; "durable on return" means
 * it survives SIGKILL of every Tailrace process and of the machine that stored it, as far as that store's own settings promise.
 */
import type { GroupId, MarkerId, RereadId, ResumeToken, Anchor, TableId, WriterEpoch } from "../vocabulary/ids.js";
import type { Position } from "../vocabulary/position.js";
import type { StorageClass, TableDescription } from "../vocabulary/table.js";
import type { Key, Row } from "../vocabulary/value.js";
import type { ErrorCode } from "../error-catalogue.js";
import type { BatchPart, Phases } from "./change.js";
import type { Conversion } from "./plan.js";

/** One or more whole source transactions, in parts small enough to hold (at most ~1,000 changes or ~1 MiB a part). */
export interface Batch {
  /** Everything up to here is in this batch or an earlier one; the cut carries it. Known before the first part is read. */
  readonly position: Position;
  /** Can be called once; a batch whose append failed is asked for again by a new `batches(beginning)`. */
  parts(signal: AbortSignal): AsyncIterable<BatchPart>;
  /** Known once `parts()` has ended; asking earlier throws. */
  end(): BatchEnd;
}
export interface BatchEnd {
  /** Says where the next batch begins: the writer's only state. At most 64 KiB. */
  readonly resume: ResumeToken;
  readonly anchor: Anchor;
  /** Phase of each group at this batch's position. */
  readonly phases: Phases;
}

/** Everything the log knows that a source needs to go on. */
export interface Beginning {
  /** Position and token of the newest cut whose rows are all there; null: the log holds nothing of this source. */
  readonly resume: { readonly position: Position; readonly token: ResumeToken; readonly anchor: Anchor } | null;
  /**
   * Every other cut above `resume` that counts in `.cuts`, whole or not, and the target's applied cut, unless it is of an older history: their
   * anchors are compared until the source has passed them; one that differs raises history.
   */
  readonly later: readonly { readonly position: Position; readonly anchor: Anchor }[];
  /** Highest history seen anywhere. A new history is one above it. */
  readonly historySeen: number;
}

export type Known<T> = { readonly kind: "known"; readonly value: T } | { readonly kind: "unknown"; readonly why: string };

/** How far the target is behind, as this source measures it. Unknown is said, never guessed. */
export interface Lag {
  readonly head: Position;
  readonly changes: Known<number>;
  /** Age of the oldest change that the target lacks; 0 when there is none. By the source's clock alone. */
  readonly ms: Known<number>;
}

/** What the capture log takes up in the source's own storage. It grows while nothing of it may be forgotten. */
export interface CaptureLogUse {
  /** Orders of its first and last row; both 0 when it is empty. */
  readonly oldest: number;
  readonly newest: number;
  /** Estimated from a sample of its rows. */
  readonly bytes: number;
  /** Age of the oldest row above the first one (which stays as anchor), by the source's clock; 0 when there is none. */
  readonly ms: number;
  /** Free space where the source lies; null: nobody can say. */
  readonly freeBytes: number | null;
}

/** How far the snapshot or re-read has come, by table. Estimates are counts at the time the re-read of the table began. */
export interface RereadProgress {
  readonly table: TableId;
  readonly state: "waiting" | "reading" | "done";
  readonly rowsRead: number;
  readonly rowsEstimated: Known<number>;
}

/** How the last look at the source went, for sources that look in cycles instead of following a log. */
export interface LookFigures {
  readonly copyMs: number;
  /** `full`: the whole file; `log`: only what was appended; `still`: a file that nobody was writing; `same`: nothing was copied. */
  readonly copyTier: "full" | "log" | "still" | "same";
  /** Times that the file was in the middle of something, and once more. */
  readonly copyAttempts: number;
  readonly compareMs: number;
  readonly rowsCompared: number;
  readonly changes: number;
}

/** One process holds it; opening it takes the file's lock (else `source.locked`). */
export interface Source extends AsyncDisposable {
  /** Highest writer epoch this source has ever been told by `claiming` or `acknowledged`; 0 when none. */
  epochSeen(): WriterEpoch;

  /** This epoch is about to be claimed. Durable on return: a log that forgets the claim must not see its number again. */
  claiming(epoch: WriterEpoch): Promise<void>;

  /**
   * Endless; ends by abort or error. One iteration at a time; legal again after the last one was left. The next batch is produced
   * only after the previous one was `acknowledged`. Nothing becomes durable by reading.
   */
  batches(beginning: Beginning, signal: AbortSignal): AsyncIterable<Batch>;

  /** The batch that ended at `position` is durable in the log of `epoch`. May be repeated. */
  acknowledged(position: Position, epoch: WriterEpoch): Promise<void>;

  /** Newest committed position and what lies between it and `applied`. Legal at any time, never waits for a lock. */
  lag(applied: Position | null): Lag;

  /**
   * False: what this source holds at that position of its present history is something else, so whoever has applied it has rows of a past that was
   * replaced. True as well where nobody can say: forgotten, another history, or no log of its own.
   */
  recognises(at: Position, anchor: Anchor): boolean;

  /** May forget what lies strictly below `below` (the row there stays as anchor), unless a hold stands in the way. A hint. */
  prune(below: Position): Promise<void>;

  progress(): readonly RereadProgress[];

  /** Legal at any time, never waits for a lock; null: this source keeps no log of its own. Costs some reads: not for every cut. */
  captureLog(): CaptureLogUse | null;

  /** Legal at any time; null: this source does not look in cycles, or has not looked yet. */
  lastLook(): LookFigures | null;
}

/** Some sources answer at once, others by way of a copy that takes its time: whoever asks awaits. */
export type Awaitable<T> = T | Promise<T>;

/** Reads the source without owning it: for init, doctor, plan. Writes nothing. */
export interface SourceInspector extends AsyncDisposable {
  catalog(): Awaitable<SourceCatalog>;
  /** Whole-table scan in short read transactions. */
  profile(table: SourceTable): Awaitable<readonly ColumnProfile[]>;
  /** Rows in key order, by pages of short read transactions. */
  rows(table: SourceTable): Iterable<readonly Row[]> | AsyncIterable<readonly Row[]>;
}

export interface SourceCatalog {
  readonly tables: readonly SourceTable[];
  /** Tables that cannot be captured exactly; left out, each with its reason. */
  readonly refused: readonly { readonly table: TableId; readonly code: ErrorCode; readonly reason: string }[];
  /** What lies beside the tables and is not captured: told by the plan, made by nobody. Absent: the connector does not look. */
  readonly beside?: readonly SourceObject[];
}
export type SourceObject =
  /** A view whose text means the same in PostgreSQL, but for the names of what it reads. */
  | { readonly kind: "view"; readonly name: string; readonly text: readonly ViewPart[] }
  /** `what`: one sentence about it. */
  | { readonly kind: "other"; readonly name: string; readonly what: string };
/** `alias`: how the rest of the text calls the table, where the text itself does not say it behind. */
export type ViewPart = string | { readonly table: TableId; readonly alias: string | null };
export interface SourceTable {
  readonly description: TableDescription;
  readonly rowsEstimated: number;
  /** UNIQUE constraints and indexes besides the key. `columns` null: an expression index, which is not carried over. */
  readonly uniques: readonly SourceIndex[];
  readonly indexes: readonly SourceIndex[];
  readonly foreignKeys: readonly SourceForeignKey[];
  /** Default expressions and CHECKs are not carried over: the application is not writing to the target yet. */
  readonly notes: readonly string[];
}
export interface SourceIndex {
  readonly name: string;
  readonly columns: readonly string[] | null;
  /** True for partial indexes: carried over only as a note. */
  readonly partial: boolean;
  /** True when a column compares other than by bytes (NOCASE): the target's index would differ. */
  readonly collated: boolean;
}
export interface SourceForeignKey {
  readonly columns: readonly string[];
  readonly parent: TableId;
  readonly parentColumns: readonly string[];
  readonly onDelete: string;
  readonly onUpdate: string;
}
export interface ColumnProfile {
  readonly column: string;
  readonly rows: number;
  readonly nulls: number;
  readonly classes: Readonly<Partial<Record<StorageClass, number>>>;
  /** Of the INTEGER values; null when there is none. */
  readonly integerMin: bigint | null;
  readonly integerMax: bigint | null;
  /** TEXT values with a NUL character. */
  readonly textWithNul: number;
  /** Length of the longest TEXT or BLOB value, in bytes. */
  readonly bytesMax: number;
  /** For each type that the declaration suggests, most wanted first: how many values core/mapping would refuse. */
  readonly fits: readonly { readonly type: string; readonly conversion: Conversion; readonly refused: number }[];
  /**
   * Where a declaration binds every value (DuckDB): what it becomes, and why that is another type than one would think, if it is. Null where it
   * only suggests (SQLite).
   */
  readonly declared: { readonly type: string; readonly conversion: Conversion; readonly why: string | null } | null;
}

/** How another process asks the one relay for something: rows of `_cdc_log`. Legal while no source process runs. Durable on return. */
export interface SourceRequests extends Disposable {
  marker(marker: MarkerId): Promise<Position>;
  /** At most 10,000 keys a call. Each is answered by one `state` change or a delete. May be repeated. */
  touch(table: TableId, keys: readonly Key[]): Promise<void>;
  /** Re-read tables (null: all). While it runs no live change is withheld: G3 goes on. */
  reread(tables: readonly TableId[] | null, reread: RereadId): Promise<void>;
  /** Re-read tables whose rows the target has lost: their live changes wait for the re-read, their constraints are off until it ends. */
  refill(tables: readonly TableId[], reread: RereadId): Promise<void>;
  /**
   * Keeps the log above `from` from being pruned for that long, whatever the target has committed by then; null: forgets the hold. One hold per
   * name, the newest counts. It ends by itself, so that nobody's death lets the log grow for ever. A hold of another history holds nothing.
   */
  hold(name: HoldName, from: Position | null, forMs: number): Promise<void>;
  /** Forgets all that the capture log holds, read or not: the source begins a new history and reads every table again. */
  beginAnew(): Promise<void>;
}
/** `verify`: the service that runs all the time; `verify-once`: a run that an operator asked for. */
export type HoldName = "verify" | "verify-once" | "cutover" | "reverse";

/** Installs and removes the capture. Each call is one source transaction. */
export interface SourceInstaller extends Disposable {
  /** What `apply` would execute, as SQL text, in order; empty when nothing is to be done. */
  plan(tables: readonly SourceTable[]): readonly string[];
  /** Durable on return. Re-installed triggers of a table that was captured before write an `S` (gap) row for it. */
  apply(tables: readonly SourceTable[], options: { readonly setWal: boolean }): Promise<readonly string[]>;
  /** Removes every trace. Idempotent. */
  destroy(): Promise<readonly string[]>;
}
export type Groups = ReadonlyMap<TableId, GroupId>;
