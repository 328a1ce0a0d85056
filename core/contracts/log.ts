/** The log as relay and applier see it. Implemented once, in core/log, over any LogStore. */
import type { Anchor, GroupId, LogId, Offset, ResumeToken, Topic, WriterEpoch } from "../vocabulary/ids.js";
import type { Position } from "../vocabulary/position.js";
import type { TableDescription } from "../vocabulary/table.js";
import type { BatchPart, Change, Chunk, Control, Phase, Phases } from "./change.js";
import type { Header, StoredRecord } from "./log-store.js";
import type { BatchEnd, Beginning } from "./source.js";

/** Records since the log began, by topic (tombstone 0, key change 2, chunk 1). Only compared within one epoch. */
export type Counts = ReadonlyMap<Topic, number>;
/** Per topic and partition: the offset of the next record. Hints for seeking only. */
export type Ends = ReadonlyMap<Topic, readonly Offset[]>;

/** Encoded by schemas/; the log adds the cut. */
export interface EncodedRecord {
  readonly topic: Topic;
  readonly partition: number;
  readonly key: Uint8Array | null;
  readonly value: Uint8Array | null;
  readonly headers: readonly Header[];
  /** What it adds to `Counts`. */
  readonly counts: 0 | 1;
}
export type EncodedPart =
  | { readonly kind: "records"; readonly records: readonly EncodedRecord[] }
  | { readonly kind: "control"; readonly control: Control };

/** schemas/ implements it; services get it injected, since they may not import schemas/. */
export interface ChangeEncoder {
  /** Registers schemas it has not seen. The epoch and the cut's position are part of the envelope. */
  encode(
    part: BatchPart,
    at: { readonly cut: Position; readonly epoch: WriterEpoch },
    signal: AbortSignal,
  ): Promise<readonly EncodedPart[]>;
}

/** A record of a table topic or of `.snapshot`: its place in the protocol, and what it says. */
export interface DecodedRecord {
  readonly epoch: WriterEpoch;
  readonly at: Position;
  /** What it takes in memory until its rows are made, roughly. */
  readonly bytes: number;
  /** May be made anew each time it is asked for, and so may the rows of a change. Throws `log.garbage` then for a value that is not what its schema says. */
  readonly body:
    | { readonly kind: "change"; readonly table: TableDescription; readonly change: Change }
    | { readonly kind: "chunk"; readonly table: TableDescription; readonly chunk: Chunk }
    /** The delete half of a key change: counts, and says nothing (the create half tells both keys). */
    | { readonly kind: "counted" };
}
export interface ChangeDecoder {
  /** Same length and order; null: a tombstone, which counts nothing. Fetches schemas it has not seen. `log.garbage` names topic and offset. */
  decode(records: readonly StoredRecord[], signal: AbortSignal): Promise<readonly (DecodedRecord | null)[]>;
}

export interface EncodedBatch {
  readonly position: Position;
  readonly parts: AsyncIterable<EncodedPart>;
  /** Called once, after the last part was taken. */
  end(): BatchEnd;
}
export interface WriterOpening {
  readonly firstClaim: boolean;
  /** Highest epoch that the source remembers. */
  readonly epochSeen: WriterEpoch;
  /** Awaited before each claim: makes the source remember it. */
  readonly claiming: (epoch: WriterEpoch) => Promise<void>;
}
export interface LogWriter {
  /**
   * Claim, read back, pick, start. Durable on return: our claim and start; every older writer is void from here on.
   * `firstClaim` false: only if the newest claim is still this writer's own; else rejects with `log.claimed`.
   */
  open(options: WriterOpening, signal: AbortSignal): Promise<LogSession>;
}
export interface LogSession extends AsyncDisposable {
  readonly logId: LogId;
  readonly epoch: WriterEpoch;
  /** Of our start record in `.cuts`. */
  readonly startOffset: Offset;
  readonly beginning: Beginning;
  /**
   * Durable on return: all records of the parts, and their cut. After any rejection the session is dead and what it sent is undecided;
   * only `LogWriter.open` says what stands. Calls wait for each other.
   */
  append(batch: EncodedBatch, signal: AbortSignal): Promise<Cut>;
  /** Compares every partition with what was acknowledged; rejects with `log.tail-lost`. For idle times; `append` does it by itself now and then. */
  verifyTail(signal: AbortSignal): Promise<void>;
}
export interface Cut {
  readonly position: Position;
  readonly epoch: WriterEpoch;
  readonly offset: Offset;
  readonly counts: Counts;
  readonly ends: Ends;
  readonly anchor: Anchor;
  readonly resume: ResumeToken;
  readonly phases: Phases;
}

/** All that a reader must remember; the target stores it per (pipeline, group, direction) in the transaction of the rows. */
export interface AppliedCut {
  readonly logId: LogId;
  readonly position: Position;
  readonly epoch: WriterEpoch;
  readonly counts: Counts;
  /** Of the cut's record in `.cuts`. */
  readonly offset: Offset;
  /** Where this reader goes on in each partition. */
  readonly ends: Ends;
  readonly anchor: Anchor;
  readonly phase: Phase;
}

/** Everything between two cuts, to be applied in one target transaction. */
export interface Window {
  readonly before: AppliedCut | null;
  /** What the target will hold. For a window too large to hold, `ends` is only known when `parts()` has ended: hence a function. */
  after(): AppliedCut;
  readonly controls: readonly Control[];
  /** Number of records that count. */
  readonly records: number;
  /**
   * Per table in position order, live changes before chunks; tables follow each other as the topics give them. Legal again, from the
   * beginning, until the next window is asked for. May reject with `log.cut-voided` half-way: nothing of the window holds then.
   */
  parts(signal: AbortSignal): AsyncIterable<WindowPart>;
  /** Merged by position over all topics: source order. Same legality. */
  inSourceOrder(signal: AbortSignal): AsyncIterable<WindowPart>;
}
export type WindowPart =
  /** `bytes`: roughly what the changes take in memory once their rows are made. */
  | { readonly kind: "changes"; readonly table: TableDescription; readonly changes: readonly Change[]; readonly bytes: number }
  | { readonly kind: "chunk"; readonly table: TableDescription; readonly chunk: Chunk };

export type ReaderState =
  | { readonly kind: "reading" }
  | { readonly kind: "idle" }
  /** A cut's records are not all there and no start decides. `sinceMs`: how long. */
  | { readonly kind: "undecided"; readonly position: Position; readonly sinceMs: number }
  /** The newest start is above what this reader can reach: it waits for a newer one. */
  | { readonly kind: "start-not-reached"; readonly position: Position };

export interface LogReader extends AsyncDisposable {
  /** Legal before anything else; null while no writer has opened the log. The applier refuses a log that differs from what the target holds. */
  identity(signal: AbortSignal): Promise<LogId | null>;
  /** Legal once per reader. Asking for the next window says that the last one is applied. Reads only. */
  windows(after: AppliedCut | null, signal: AbortSignal): AsyncIterable<Window>;
  /** For status, never for a decision. */
  state(): ReaderState;
  /** Newest cut that counts so far in `.cuts`, whole or not; for status. */
  newest(): Position | null;
}

/**
 * `<prefix>.applied`: the one topic that the sink writes. Advisory: who trusts it may only forget, never skip.
 * Two sides of one topic, because its writer and its reader are two processes.
 */
export interface AppliedPublisher extends AsyncDisposable {
  /** Legal after the target's commit. May be lost, late or repeated; never rejects and never waits. */
  publish(group: GroupId, applied: AppliedCut): void;
}
export interface AppliedFollower extends AsyncDisposable {
  /** The newest published of each group, read from the log now. */
  latest(signal: AbortSignal): Promise<AppliedView>;
  /** The newest seen so far by following the topic; never waits. */
  current(): AppliedView;
}
/** `least` null: a group has not been heard of, or none has. */
export interface AppliedView {
  readonly least: AppliedCut | null;
  readonly all: readonly AppliedCut[];
  /** For status, never for a decision: whose each of them is, where that is known. */
  readonly byGroup: ReadonlyMap<GroupId, AppliedCut>;
}
