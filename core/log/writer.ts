/**
 * The relay's side of the log protocol: claim, read back, pick, start; then a session that appends batches with their cuts.
 *
 * Promises: behind our start every older writer's unfinished work is void; a cut is stored behind (or with) its rows and names how many there
 * must be. A crash between claim and start leaves a claim that fences and nothing else; after a start, rows without a cut, which the next
 * start voids.
 */
import type { Clock } from "../clock.js";
import type { AppliedCut, AppliedView, ChangeDecoder, LogSession, LogWriter, WriterOpening } from "../contracts/log.js";
import type { Bounds, LogAppender, LogStore } from "../contracts/log-store.js";
import type { Beginning } from "../contracts/source.js";
import { passing } from "../crash-points.js";
import { TailraceError } from "../errors.js";
import { cutsTopic } from "../topics.js";
import {
  type LogId,
  logId,
  type Offset,
  offset,
  type PipelineId,
  type Topic,
  type WriterEpoch,
  type WriterId,
  writerEpoch,
} from "../vocabulary/ids.js";
import { comparePositions, type Position, samePosition } from "../vocabulary/position.js";
import { Claims } from "./claims.js";
import type { CutsEvent } from "./cut-queue.js";
import { type CutRecord, type CutsRecord, decodeCutsRecord, encodeCutsRecord, type StartRecord } from "./cut-records.js";
import { eachRecord } from "./each-record.js";
import { type Picked, pick } from "./pick.js";
import { allRules, type ProtocolRules } from "./rules.js";
import { WriterSession } from "./session.js";

export interface LogWriterOptions {
  readonly store: LogStore;
  readonly decoder: ChangeDecoder;
  readonly clock: Clock;
  readonly prefix: string;
  readonly pipeline: PipelineId;
  readonly writer: WriterId;
  /** Topics whose records count: one per table, and `.snapshot`. */
  readonly topics: readonly Topic[];
  /** What the target's groups have applied, as published; asked at every open. */
  applied(signal: AbortSignal): Promise<AppliedView>;
  /** Random id for a log that is begun. */
  newLogId(): string;
  readonly rules?: ProtocolRules;
}

/** How many of the last records of a topic are looked at for an epoch that `.cuts` has forgotten. */
const tailRecords = 50;
const attemptsMost = 20;

interface CutsView {
  readonly logId: LogId;
  readonly events: readonly CutsEvent[];
  readonly appliedRecord: CutRecord | null;
  readonly end: Offset;
}

export class CutLogWriter implements LogWriter {
  readonly #options: LogWriterOptions;
  readonly #rules: ProtocolRules;
  readonly #cuts: Topic;
  /** Epoch of our newest claim, whether or not its answer came. */
  #claimed = 0;

  constructor(options: LogWriterOptions) {
    this.#options = options;
    this.#rules = options.rules ?? allRules;
    this.#cuts = cutsTopic(options.prefix);
  }

  async open(options: WriterOpening, signal: AbortSignal): Promise<LogSession> {
    for (let attempt = 0; attempt < attemptsMost; attempt++) {
      const appender = await this.#options.store.appender(signal);
      let session: LogSession | null = null;
      try {
        session = await this.#attempt(appender, options, signal);
        if (session !== null) return session;
      } finally {
        if (session === null) await appender[Symbol.asyncDispose]();
      }
    }
    throw new TailraceError("log.claimed", { what: "other writers claim the topics again and again", where: { topic: this.#cuts } });
  }

  /** null: another writer came in between; claim again. */
  async #attempt(
    appender: LogAppender,
    { firstClaim, epochSeen, claiming }: WriterOpening,
    signal: AbortSignal,
  ): Promise<LogSession | null> {
    const published = await this.#options.applied(signal);
    const applied = published.least;
    const before = await this.#readCuts(applied, appender, signal);
    const claims = new Claims(before.appliedRecord?.epoch ?? null, this.#rules);
    for (const { record } of before.events) claims.counts(record);
    const foreign = claims.top > this.#claimed && claims.writer !== this.#options.writer;
    if (!firstClaim && foreign) {
      throw new TailraceError("log.claimed", {
        what: "another writer has claimed the topics",
        where: { epoch: claims.top, topic: this.#cuts },
      });
    }
    const tails = await this.#tails(signal);
    const highest = this.#rules.epochAboveAll
      ? Math.max(claims.top, tails.epoch, epochSeen, this.#claimed, ...published.all.map((cut) => cut.epoch))
      : claims.top;
    const epoch = writerEpoch(highest + 1);
    await claiming(epoch);
    passing("source.claiming");
    this.#claimed = epoch;
    const claimAt = await this.#appendCuts(appender, { kind: "claim", epoch, writer: this.#options.writer }, signal);
    passing("source.claimed");
    const view = await this.#readCuts(applied, null, signal);
    const upToClaim = view.events.filter((event) => event.offset < claimAt);
    const counting = new Claims(view.appliedRecord?.epoch ?? null, this.#rules);
    for (const { record } of upToClaim) counting.counts(record);
    if (!counting.counts({ kind: "claim", epoch, writer: this.#options.writer })) return null;
    return this.#start({ appender, published, view: { ...view, events: upToClaim }, epoch, claimAt, historySeen: tails.history }, signal);
  }

  async #start(
    opening: {
      readonly appender: LogAppender;
      readonly published: AppliedView;
      readonly view: CutsView;
      readonly epoch: WriterEpoch;
      readonly claimAt: number;
      readonly historySeen: number;
    },
    signal: AbortSignal,
  ): Promise<LogSession | null> {
    const { appender, published, view, epoch, claimAt } = opening;
    const applied = published.least;
    const { store, decoder, topics } = this.#options;
    const bounds = await store.bounds(topics, signal);
    const { events, appliedRecord } = view;
    const picked = await pick(
      { events, applied, appliedRecord, topics, cutsTopic: this.#cuts, bounds, store, decoder, rules: this.#rules },
      signal,
    );
    passing("source.picked");
    const start: StartRecord = { kind: "start", epoch, ...pickedBody(picked), ends: endsOf(bounds) };
    const startAt = await this.#appendCuts(appender, start, signal);
    passing("source.started");
    if (this.#rules.startBehindClaim && startAt !== claimAt + 1) return null;
    return new WriterSession({
      store,
      appender,
      clock: this.#options.clock,
      cutsTopic: this.#cuts,
      logId: view.logId,
      start,
      startAt: offset(startAt),
      beginning: beginningOf(
        picked,
        { view, published, claims: new Claims(appliedRecord?.epoch ?? null, this.#rules) },
        opening.historySeen,
      ),
      rules: this.#rules,
    });
  }

  async #appendCuts(appender: LogAppender, record: CutsRecord, signal: AbortSignal): Promise<number> {
    const written = await appender.append(
      [{ topic: this.#cuts, partition: 0, key: null, value: encodeCutsRecord(record), headers: [] }],
      signal,
    );
    const base = written[0]?.base;
    if (base === undefined) throw new TailraceError("internal", { what: "an append returned no offset" });
    return base;
  }

  /** Reads `.cuts` from the applied cut on, or from its beginning. With an appender an empty log is begun. */
  async #readCuts(applied: AppliedCut | null, appender: LogAppender | null, signal: AbortSignal): Promise<CutsView> {
    const bounds = (await this.#options.store.bounds([this.#cuts], signal)).get(this.#cuts)?.[0];
    if (bounds === undefined) throw new TailraceError("log.topic-missing", { what: "a topic is missing", where: { topic: this.#cuts } });
    if (bounds.end === bounds.first && appender !== null) {
      await this.#appendCuts(appender, { kind: "log", id: logId(this.#options.newLogId()), pipeline: this.#options.pipeline }, signal);
      return this.#readCuts(applied, null, signal);
    }
    const id = await this.#identity(bounds.first, signal);
    const appliedRecord =
      applied === null || applied.logId !== id ? null : await this.#appliedRecord(applied, bounds.first, bounds.end, signal);
    const from = appliedRecord === null || applied === null ? bounds.first : offset(applied.offset + 1);
    const events: CutsEvent[] = [];
    if (from < bounds.end) {
      for await (const page of this.#options.store.scan(this.#cuts, 0, { from, until: bounds.end }, signal)) {
        for (const stored of page) events.push({ offset: stored.offset, record: decodeCutsRecord(stored) });
      }
    }
    return { logId: id, events, appliedRecord, end: bounds.end };
  }

  async #identity(first: Offset, signal: AbortSignal): Promise<LogId> {
    const record = await this.#recordAt(first, signal);
    if (record?.kind !== "log") {
      throw new TailraceError("log.garbage", { what: "the first record of .cuts does not name the log", where: { topic: this.#cuts } });
    }
    if (record.pipeline !== this.#options.pipeline) {
      throw new TailraceError("log.pipeline", {
        what: `the topics belong to the pipeline '${record.pipeline}'`,
        where: { topic: this.#cuts, pipeline: this.#options.pipeline },
      });
    }
    return record.id;
  }

  async #appliedRecord(applied: AppliedCut, first: Offset, end: Offset, signal: AbortSignal): Promise<CutRecord | null> {
    if (applied.offset < first || applied.offset >= end) return null;
    const record = await this.#recordAt(applied.offset, signal);
    return record?.kind === "cut" && record.epoch === applied.epoch && samePosition(record.position, applied.position) ? record : null;
  }

  async #recordAt(at: Offset, signal: AbortSignal): Promise<CutsRecord | null> {
    for await (const page of this.#options.store.scan(this.#cuts, 0, { from: at, until: offset(at + 1) }, signal)) {
      const stored = page[0];
      if (stored !== undefined) return stored.offset === at ? decodeCutsRecord(stored) : null;
    }
    return null;
  }

  /** Highest epoch and history among the last records of the table topics: `.cuts` may have lost its tail. */
  async #tails(signal: AbortSignal): Promise<{ readonly epoch: number; readonly history: number }> {
    const bounds = await this.#options.store.bounds(this.#options.topics, signal);
    let epoch = 0;
    let history = 0;
    for (const [topic, partitions] of bounds) {
      for (const [partition, { first, end }] of partitions.entries()) {
        const from = offset(Math.max(first, end - tailRecords));
        const take = (of: number, at: Position): void => {
          epoch = Math.max(epoch, of);
          history = Math.max(history, at.history);
        };
        // What is not ours says nothing of our epochs, and must not keep a writer from starting.
        await eachRecord(this.#options, { topic, partition, from, until: end }, { take, unreadable: () => {} }, signal);
      }
    }
    return { epoch, history };
  }
}

const pickedBody = ({ position, counts, resume, anchor, phases }: Picked): Picked => ({ position, counts, resume, anchor, phases });

const endsOf = (bounds: Bounds): ReadonlyMap<Topic, readonly Offset[]> =>
  new Map([...bounds].map(([topic, partitions]) => [topic, partitions.map(({ end }) => end)]));

interface Seen {
  readonly view: CutsView;
  readonly published: AppliedView;
  /** Fresh: has seen nothing of the view yet. */
  readonly claims: Claims;
}

function beginningOf(picked: Picked, { view, published, claims }: Seen, historyInTails: number): Beginning {
  const later: { position: Position; anchor: Beginning["later"][number]["anchor"] }[] = [];
  let historySeen = Math.max(historyInTails, picked.position.history);
  const note = (position: Position, anchor: Beginning["later"][number]["anchor"] | null): void => {
    historySeen = Math.max(historySeen, position.history);
    if (anchor !== null && comparePositions(position, picked.position) > 0) later.push({ position, anchor });
  };
  for (const { record } of view.events) {
    const counts = claims.counts(record);
    // What a fenced-off writer says no reader can have taken for true: it may have found its own past pruned while it stood still.
    if (record.kind === "cut" || record.kind === "start") note(record.position, counts ? record.anchor : null);
  }
  for (const applied of published.all) {
    note(applied.position, applied.anchor);
    // A log that lost its tail may have gone on past it, from another past.
    const isPassed = applied.position.history === picked.position.history && comparePositions(applied.position, picked.position) <= 0;
    if (isPassed) later.push({ position: applied.position, anchor: applied.anchor });
  }
  const { resume, anchor, position } = picked;
  return { resume: resume === null || anchor === null ? null : { position, token: resume, anchor }, later, historySeen };
}
