/**
 * The sink's side of the log protocol: turns `.cuts` and the table topics into windows.
 *
 * Promises: every window holds exactly the records between two cuts of one epoch, whole source transactions, in the order of the log; what an
 * older epoch left behind and what no cut vouches for never appears. Relies on: positions rise within (epoch, partition); the target stores
 * `window.after()` with the rows. Holds nothing durable: after a crash it goes on from the applied cut and reads again what it needs.
 * Memory is bounded by bytes: partitions that the oldest cut does not need are paused; a window above the bound is streamed.
 * One thing at a time reads from the tail: whoever asks for windows, a streamed window in its parts, or the read-ahead beside a buffered one.
 * The read-ahead also decides: what comes next is then counted from a window whose commit is still awaited. Should that fail, this reader ends.
 */
import type { AppliedCut, LogReader, ReaderState, Window } from "../contracts/log.js";
import type { LogTail, StoredRecord } from "../contracts/log-store.js";
import { passing } from "../crash-points.js";
import { TailraceError } from "../errors.js";
import { cutsTopic, snapshotTopic } from "../topics.js";
import { type LogId, type Offset, offset, type Topic } from "../vocabulary/ids.js";
import { comparePositions, formatPosition, isAbove, type Position, samePosition } from "../vocabulary/position.js";
import { CutQueue, type Decision as QueueDecision, isExhausted, type ObeyedEpoch, type PendingCut } from "./cut-queue.js";
import { decodeCutsRecord, type StartRecord } from "./cut-records.js";
import { cutHeld, gap, isHeld, readLogId } from "./cuts-held.js";
import { decodeUpToFailure } from "./each-record.js";
import { Lane, laneEntry } from "./lane.js";
import { direct, Lanes } from "./lanes.js";
import { ReadAhead } from "./read-ahead.js";
import { cutsHeld, defaultLimits, type LogReaderOptions, type ReaderLimits } from "./reader-options.js";
import { allRules, type ProtocolRules } from "./rules.js";
import { BufferedWindow, StreamedWindow, waitsFor, type WindowSource } from "./windows.js";

type Decision = Exclude<QueueDecision, { readonly kind: "window" }> | { readonly kind: "window"; readonly window: BufferedWindow };

export class CutLogReader implements LogReader, WindowSource {
  readonly #options: LogReaderOptions;
  readonly #limits: ReaderLimits;
  readonly #rules: ProtocolRules;
  readonly #cuts: Topic;
  readonly #lanes = new Lanes();
  #queue: CutQueue | null = null;
  #tail: LogTail | null = null;
  #logId: LogId | null = null;
  #applied: AppliedCut | null = null;
  #cutsReadTo = 0;
  #cutsPaused = false;
  #lastCuts: StoredRecord | null = null;
  #undecided: { position: Position; sinceMs: number } | null = null;
  #idle = false;
  /** The last read brought nothing: what is missing is not on its way (a writer stores a cut behind its rows). */
  #stalled = false;
  /** Of a record that cannot be read. What was here before it is handed over; unless `.cuts`, alone followed then, has a start beyond it, it is thrown. */
  #unreadable: Error | null = null;
  #verifiedMs = 0;
  /** Decided while the window before it is applied. */
  #next: Decision | null = null;
  #settled: Window | null = null;

  constructor(options: LogReaderOptions) {
    this.#options = options;
    this.#limits = { ...defaultLimits, ...options.limits };
    this.#rules = options.rules ?? allRules;
    this.#cuts = cutsTopic(options.prefix);
  }

  async identity(signal: AbortSignal): Promise<LogId | null> {
    this.#logId = await readLogId(this.#options.store, this.#options.prefix, signal);
    return this.#logId;
  }

  state(): ReaderState {
    if (this.#undecided !== null) {
      return {
        kind: "undecided",
        position: this.#undecided.position,
        sinceMs: this.#options.clock.monotonicMs() - this.#undecided.sinceMs,
      };
    }
    const notReached = this.#queue?.notReached ?? null;
    if (notReached !== null) return { kind: "start-not-reached", position: notReached };
    return { kind: this.#idle ? "idle" : "reading" };
  }

  newest(): Position | null {
    return this.#queue?.newest ?? null;
  }

  async *windows(after: AppliedCut | null, signal: AbortSignal): AsyncIterable<Window> {
    await this.#open(after, signal);
    for (;;) {
      signal.throwIfAborted();
      if (this.#next === null) await this.#takeWhatIsThere(signal);
      const decision: Decision = this.#next ?? this.#decide();
      this.#next = null;
      switch (decision.kind) {
        case "obey":
          await this.#obey(decision.start, signal);
          break;
        case "window":
          yield* this.#hand(decision.window, this.#readAhead(decision.window, signal));
          break;
        case "incomplete":
          if (decision.exhausted || this.#lanes.heldBytes() <= this.#limits.totalBytes) {
            await this.more(decision.cut, waitsFor(decision.cut, this.base), signal);
            break;
          }
          this.#decided();
          yield* this.#hand(new StreamedWindow(this, decision.cut), null);
          break;
        case "nothing":
          this.#undecided = null;
          await this.#pump(null, signal);
          break;
      }
    }
  }

  async *#hand(window: BufferedWindow | StreamedWindow, ahead: ReadAhead | null): AsyncIterable<Window> {
    try {
      yield window;
    } finally {
      await ahead?.end();
    }
    this.#settle(window);
    ahead?.rethrow();
  }

  /** From here on everything is counted from the window's end. Idempotent. */
  #settle(window: BufferedWindow | StreamedWindow): void {
    if (this.#settled === window) return;
    this.#settled = window;
    this.#applied = window.after();
    window.settle();
    this.#required().settle(this.#applied);
  }

  #decide(): Decision {
    const decision = this.#required().decide(this.#lanes.byTopic);
    if (decision.kind !== "window") return decision;
    this.#decided();
    return { kind: "window", window: new BufferedWindow(this, decision.cut) };
  }

  #readAhead(window: BufferedWindow, signal: AbortSignal): ReadAhead | null {
    if (window.bytes < this.#limits.aheadBytes) return null;
    const step = async (stop: AbortSignal): Promise<void> => {
      const due = this.#next === null && this.#lanes.heldBytes() >= this.#limits.showBytes;
      if (!due || !(await this.#decideAhead(window, signal))) await this.#pump(null, signal, stop);
    };
    // Once a start is obeyed, what is read before its places are sought would be taken for its own.
    return new ReadAhead(step, () => this.#next?.kind !== "obey" && this.#hasRoom(), signal);
  }

  /** False: nothing is whole yet. */
  async #decideAhead(window: BufferedWindow, signal: AbortSignal): Promise<boolean> {
    this.#settle(window);
    const decision = this.#decide();
    if (decision.kind === "incomplete" || decision.kind === "nothing") return false;
    this.#next = decision;
    if (decision.kind === "window") await this.#options.ahead?.(decision.window, signal);
    return true;
  }

  // ── what windows need (WindowSource) ──

  get before(): AppliedCut | null {
    return this.#applied;
  }
  get logId(): LogId {
    if (this.#logId === null) throw new TailraceError("internal", { what: "the log's identity was not read" });
    return this.#logId;
  }
  get lanes(): ReadonlyMap<Topic, readonly Lane[]> {
    return this.#lanes.byTopic;
  }
  get snapshotTopic(): Topic {
    return snapshotTopic(this.#options.prefix);
  }
  get base(): ObeyedEpoch["base"] {
    const obeyed = this.#required().obeyed;
    if (obeyed === null) throw new TailraceError("internal", { what: "a window without an obeyed epoch" });
    return obeyed.base;
  }

  isVoid(cut: PendingCut): boolean {
    return this.#required().isVoid(cut);
  }

  /** Goes back to the beginning of the window in every partition. */
  async rewind(): Promise<void> {
    for (const lane of this.#lanes.all()) await this.#seek(lane, lane.rewind());
  }

  async more(cut: PendingCut, needs: (lane: Lane) => boolean, signal: AbortSignal): Promise<void> {
    this.#wait(cut, this.#stalled || isExhausted(cut, this.base, this.#lanes.byTopic));
    await this.#pump(needs, signal);
  }

  /** `stop` ends the waiting; what has come is taken in all the same. */
  async #pump(needs: ((lane: Lane) => boolean) | null, signal: AbortSignal, stop: AbortSignal = signal): Promise<void> {
    this.#flow(needs);
    const waitMs = this.#undecided === null ? 1_000 : 200;
    const records = await this.#openTail().next(waitMs, stop);
    this.#idle = records === null && needs === null;
    this.#stalled = records === null;
    if (this.#stalled && this.#unreadable !== null) throw this.#unreadable;
    if (this.#stalled || this.#undecided !== null) await this.#verify(signal);
    if (records !== null) await this.#take(records, signal);
  }

  /** Without waiting: a window of all that has come costs the target little more than one of the first page. A log that never ends is not read to its end. */
  async #takeWhatIsThere(signal: AbortSignal): Promise<void> {
    const { clock } = this.#options;
    const beganMs = clock.monotonicMs();
    while (this.#unreadable === null && this.#hasRoom()) {
      if (this.#lanes.heldBytes() >= this.#limits.showBytes || clock.monotonicMs() - beganMs > this.#limits.gatherMs) return;
      this.#flow(null);
      const records = await this.#openTail().next(0, signal);
      if (records === null) return;
      await this.#take(records, signal);
    }
  }

  #hasRoom(): boolean {
    const next = this.#next?.kind === "window" ? this.#next.window.bytes : 0;
    return this.#lanes.heldBytes() + next < this.#limits.totalBytes && this.#required().size < cutsHeld;
  }

  async #take(records: readonly StoredRecord[], signal: AbortSignal): Promise<void> {
    const first = records[0];
    if (first?.topic === this.#cuts) this.#takeCuts(records);
    else if (first !== undefined) await this.#takeRecords(first.topic, first.partition, records, signal);
  }

  // ── opening ──

  async #open(after: AppliedCut | null, signal: AbortSignal): Promise<void> {
    const { store, topics, group, elsewhere } = this.#options;
    if (this.#queue !== null) throw new TailraceError("internal", { what: "windows() is legal once per reader" });
    if (this.#logId === null) await this.identity(signal);
    if (after !== null && after.logId !== this.#logId) {
      const where = { log: this.#logId, target: after.logId };
      throw new TailraceError("log.identity", { what: "the target was filled from another log", where });
    }
    const bounds = await store.bounds([this.#cuts, ...topics], signal);
    const cuts = bounds.get(this.#cuts)?.[0] ?? { first: offset(0), end: offset(0) };
    const inPlace = after !== null && (!this.#rules.rescan || (await this.#stillThere(after, cuts.first, cuts.end, signal)));
    this.#applied = after;
    this.#queue = new CutQueue(after, inPlace, {
      group,
      elsewhere,
      snapshotTopic: this.snapshotTopic,
      cutsTopic: this.#cuts,
      rules: this.#rules,
      mergeRecords: this.#limits.mergeRecords,
    });
    this.#cutsReadTo = inPlace && after !== null ? after.offset + 1 : cuts.first;
    const from = new Map<Topic, readonly Offset[]>([[this.#cuts, [offset(this.#cutsReadTo)]]]);
    for (const topic of topics) {
      const starts = (bounds.get(topic) ?? []).map((partition, i) => {
        const wanted = inPlace ? (after?.ends.get(topic)?.[i] ?? partition.first) : partition.first;
        if (wanted < partition.first) throw gap(topic, i, wanted, partition.first);
        return wanted;
      });
      this.#lanes.byTopic.set(
        topic,
        starts.map((start, i) => new Lane(topic, i, start)),
      );
      from.set(topic, starts);
    }
    this.#tail = await store.tail(from, signal);
    this.#verifiedMs = this.#options.clock.monotonicMs();
  }

  async #stillThere(after: AppliedCut, first: Offset, end: Offset, signal: AbortSignal): Promise<boolean> {
    if (after.offset < first || after.offset >= end) return false;
    this.#lastCuts = await cutHeld(this.#options.store, this.#cuts, after, signal);
    return this.#lastCuts !== null;
  }

  // ── deciding ──

  /** A new epoch: nothing that is held belongs to it, and its records begin at the ends its writer saw. */
  async #obey(start: StartRecord, signal: AbortSignal): Promise<void> {
    const bounds = await this.#options.store.bounds(this.#options.topics, signal);
    passing("sink.seek-before");
    this.#unreadable = null;
    for (const lane of this.#lanes.all()) {
      const first = bounds.get(lane.topic)?.[lane.partition]?.first ?? 0;
      const begins = start.ends.get(lane.topic)?.[lane.partition] ?? 0;
      const needed = Math.max(begins, this.#applied?.ends.get(lane.topic)?.[lane.partition] ?? 0);
      // Below `needed` the target has everything: an embedded log may have forgotten it.
      if (first > needed) throw gap(lane.topic, lane.partition, needed, first);
      await this.#seek(lane, lane.restart(Math.max(begins, first)));
    }
  }

  async #seek(lane: Lane, to: Offset): Promise<void> {
    await this.#openTail().seek(lane.topic, lane.partition, to);
  }

  #wait(cut: PendingCut, exhausted: boolean): void {
    if (!exhausted) {
      this.#undecided = null;
      return;
    }
    const { position } = cut.record;
    const now = this.#options.clock.monotonicMs();
    if (this.#undecided === null || !samePosition(this.#undecided.position, position)) this.#undecided = { position, sinceMs: now };
    if (now - this.#undecided.sinceMs > this.#limits.watchdogMs) {
      throw (
        this.#unreadable ??
        new TailraceError("log.undecided", {
          what: "records of a cut are missing and no start of a writer says what holds",
          where: { position: formatPosition(position), offset: cut.offset },
        })
      );
    }
  }

  #decided(): void {
    this.#undecided = null;
    this.#idle = false;
  }

  /** The log may have lost its tail and grown again: then this reader's place in it means nothing, and a new one begins at the applied cut. */
  async #verify(signal: AbortSignal): Promise<void> {
    const now = this.#options.clock.monotonicMs();
    if (now - this.#verifiedMs < this.#limits.verifyMs) return;
    this.#verifiedMs = now;
    const last = this.#lastCuts;
    if (last === null) return;
    if (await isHeld(this.#options.store, this.#cuts, last, signal)) return;
    throw new TailraceError("log.tail-lost", { what: "`.cuts` no longer holds what was read from it", where: { offset: last.offset } });
  }

  // ── taking records in ──

  #takeCuts(records: readonly StoredRecord[]): void {
    const queue = this.#required();
    for (const stored of records) {
      if (stored.offset < this.#cutsReadTo) continue;
      this.#cutsReadTo = stored.offset + 1;
      this.#lastCuts = stored;
      queue.push({ offset: stored.offset, record: decodeCutsRecord(stored) });
    }
  }

  async #takeRecords(topic: Topic, partition: number, records: readonly StoredRecord[], signal: AbortSignal): Promise<void> {
    const lane = this.#lanes.at(topic, partition);
    const obeyed = this.#required().obeyed;
    if (lane === undefined) return;
    const fresh = records.filter((stored) => stored.offset >= lane.readTo);
    const lastOffset = fresh.at(-1)?.offset;
    if (lastOffset === undefined) return;
    lane.readTo = lastOffset + 1;
    // Before a start is obeyed nothing can be kept; the start then seeks back to where its records begin.
    if (obeyed === null) return;
    passing("sink.fetched");
    const { decoded, failure } = await decodeUpToFailure(this.#options.decoder, fresh, signal);
    this.#unreadable = failure;
    passing("sink.decoded");
    const applied = this.#required().applied;
    fresh.forEach((stored, i) => {
      const record = decoded[i];
      if (record === null || record === undefined) return;
      lane.isPastEpoch ||= record.epoch > obeyed.epoch;
      if (this.#rules.memberByEpoch && record.epoch !== obeyed.epoch) return;
      if (comparePositions(record.at, obeyed.base.position) <= 0) return;
      if (this.#rules.skipApplied && !isAbove(record.at, applied)) lane.below += 1;
      else lane.push(laneEntry(stored.offset, record, this.#options.elsewhere));
    });
  }

  // ── flow ──

  #flow(needs: ((lane: Lane) => boolean) | null): void {
    const tail = this.#openTail();
    const obeyed = this.#required().obeyed !== null && this.#unreadable === null;
    direct(tail, this.#lanes, { limits: this.#limits, obeyed, needs });
    const pauseCuts = this.#required().size > cutsHeld && this.#undecided === null;
    if (pauseCuts === this.#cutsPaused) return;
    this.#cutsPaused = pauseCuts;
    if (pauseCuts) tail.pause(this.#cuts, 0);
    else tail.resume(this.#cuts, 0);
  }

  #openTail(): LogTail {
    if (this.#tail === null) throw new TailraceError("internal", { what: "the reader is not open" });
    return this.#tail;
  }

  #required(): CutQueue {
    if (this.#queue === null) throw new TailraceError("internal", { what: "the reader is not open" });
    return this.#queue;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const tail = this.#tail;
    this.#tail = null;
    await tail?.[Symbol.asyncDispose]();
  }
}
