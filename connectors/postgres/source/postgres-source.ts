/**
 * PostgreSQL as a Source: what the application commits there, told in whole transactions from the moment its slot was made.
 *
 * Promises: a transaction is told again until the other side has committed it, since the server is only told to forget what `prune` names; then, when
 * nothing is on its way, whatever lies behind, so that an idle table does not make its log grow. The transaction at the pruned position itself stays,
 * by which the past is recognised at the next start. Transactions that touched our own state row are not told: they are the other direction's.
 * Nothing is ever read from the tables.
 */
import { Acknowledged } from "../../../core/capture/acknowledged.js";
import { type Clock, systemClock } from "../../../core/clock.js";
import type { BatchPart } from "../../../core/contracts/change.js";
import type { Batch, Beginning, CaptureLogUse, Lag, RereadProgress, Source } from "../../../core/contracts/source.js";
import { TailraceError } from "../../../core/errors.js";
import { Secret } from "../../../core/secret.js";
import { type Anchor, anchor, type TableId, type WriterEpoch, writerEpoch } from "../../../core/vocabulary/ids.js";
import { isAbove, type Position } from "../../../core/vocabulary/position.js";
import { type ConnectionSettings, parseConnectionUrl } from "../connection-url.js";
import { defaultInboxLimits, Inbox, type InboxLimits } from "./inbox.js";
import { type Lsn, lsn, recordAt } from "./lsn.js";
import type { WayPlace } from "./marker.js";
import { Relations } from "./relations.js";
import { ReplicationStream } from "./replication-stream.js";
import type { SlotFigures } from "./slot.js";
import { asSourceError, withSourceErrors } from "./source-errors.js";
import { wayName } from "./way-back.js";
import { defaultPartLimits, type PartLimits, streaming, WayBatch } from "./way-batch.js";
import { type WayBeginning, wayBeginning } from "./way-beginning.js";
import { WayHold } from "./way-hold.js";
import { WayLedger } from "./way-ledger.js";
import { encodeWayToken } from "./way-token.js";

export interface PostgresSourceOptions extends WayPlace {
  readonly url: Secret | string;
  readonly clock?: Clock;
  readonly limits?: Partial<InboxLimits & PartLimits>;
  readonly pace?: Partial<Pace>;
}
export interface Pace {
  readonly lookMs: number;
  /** Between two confirmations, unless there is much to confirm. Each costs a small write at the server. */
  readonly confirmMs: number;
}

const defaultPace: Pace = { lookMs: 1_000, confirmMs: 10_000 };
const confirmBytes = 1 << 20;
const confirmBytesLeast = 4_096;

/** Rejects with `source.way-back-closed`, `source.locked`, `source.slot-lost`, … */
export async function openPostgresSource(options: PostgresSourceOptions, signal: AbortSignal): Promise<PostgresSource> {
  const { url, pipeline, group, clock = systemClock } = options;
  const settings = parseConnectionUrl(url instanceof Secret ? url.reveal() : url);
  return withSourceErrors(async () => {
    const hold = await WayHold.take({ settings, place: { pipeline, group }, clock }, signal);
    try {
      return new PostgresSource({ ...options, clock, settings, pace: { ...defaultPace, ...options.pace } }, hold, await hold.refuseMoved());
    } catch (thrown) {
      await hold[Symbol.asyncDispose]();
      throw thrown;
    }
  });
}

interface Reading {
  readonly inbox: Inbox;
  readonly stream: ReplicationStream;
  readonly begun: WayBeginning;
}
type Options = Omit<PostgresSourceOptions, "clock" | "pace"> & {
  readonly clock: Clock;
  readonly pace: Pace;
  readonly settings: ConnectionSettings;
};

export class PostgresSource implements Source {
  readonly #options: Options;
  readonly #hold: WayHold;
  readonly #ledger: WayLedger;
  readonly #closing = new AbortController();
  readonly #looking: Promise<void>;
  #failure: unknown = null;
  #reading: Reading | null = null;
  #isIterated = false;
  #epoch: number;
  #pruned: Position | null = null;
  #confirmed: Lsn;
  #confirmedAtMs = Number.NEGATIVE_INFINITY;
  readonly #acknowledged = new Acknowledged();

  constructor(options: Options, hold: WayHold, figures: SlotFigures) {
    this.#options = options;
    this.#hold = hold;
    this.#ledger = new WayLedger(figures, options.clock.wallMs());
    this.#epoch = hold.way.writerEpoch;
    this.#confirmed = figures.slot?.confirmed ?? lsn(0);
    this.#looking = this.#look();
  }

  /** Those that are told. */
  get tables(): readonly TableId[] {
    return this.#hold.tables.map(({ plan }) => plan.source);
  }

  epochSeen(): WriterEpoch {
    return writerEpoch(this.#epoch);
  }

  async claiming(epoch: WriterEpoch): Promise<void> {
    if (epoch <= this.#epoch) return;
    await withSourceErrors(() => this.#hold.storeEpoch(epoch));
    this.#epoch = epoch;
  }

  async *batches(beginning: Beginning, signal: AbortSignal): AsyncGenerator<Batch, void, undefined> {
    if (this.#isIterated) throw new Error("one iteration over a source's batches at a time");
    this.#isIterated = true;
    try {
      yield* this.#told(beginning, signal);
    } catch (thrown) {
      throw await this.#explained(asSourceError(thrown));
    } finally {
      this.#isIterated = false;
    }
  }

  async acknowledged(position: Position, epoch: WriterEpoch): Promise<void> {
    await this.claiming(epoch);
    this.#acknowledged.note(position);
  }

  lag(applied: Position | null): Lag {
    return this.#ledger.lag(applied, this.#reading?.inbox.waiting ?? null, this.#options.clock.wallMs());
  }

  /** PostgreSQL's log cannot be asked about a place in it; what this process has told, it knows. */
  recognises(at: Position, past: Anchor): boolean {
    return this.#ledger.recognises(at, past);
  }

  /** The server hears of it at the next look. */
  prune(below: Position): Promise<void> {
    if (this.#pruned === null || isAbove(below, this.#pruned)) this.#pruned = below;
    this.#ledger.forget(below);
    return Promise.resolve();
  }

  /** Nothing is read again: both sides were equal when the way back was opened. */
  progress(): readonly RereadProgress[] {
    return [];
  }

  captureLog(): CaptureLogUse {
    return this.#ledger.use(this.#options.clock.wallMs());
  }

  lastLook(): null {
    return null;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closing.abort();
    await this.#reading?.stream[Symbol.asyncDispose]();
    await this.#hold[Symbol.asyncDispose]();
    await this.#looking;
  }

  get #openingAnchor(): Anchor {
    return anchor(Buffer.from(this.#hold.way.opening, "utf8"));
  }

  async *#told(beginning: Beginning, signal: AbortSignal): AsyncGenerator<Batch, void, undefined> {
    if (this.#failure !== null) throw this.#failure;
    const { clock, group, limits } = this.#options;
    const { end, slot } = await this.#hold.refuseMoved();
    const begun = wayBeginning(beginning, this.#hold.way, { end, confirmed: slot.confirmed });
    const relations = new Relations(this.#hold.tables);
    await using reading = await this.#read(begun, relations, signal);
    this.#reading = reading;
    this.#ledger.begin(begun.at);
    const { history } = begun.at;
    const token = { opening: this.#hold.way.opening };
    if (begun.isOpening) {
      this.#ledger.tell({ at: begun.at, changes: () => 0, committedMs: clock.wallMs(), anchor: this.#openingAnchor });
      yield this.#openingBatch(begun.at, relations);
      await this.#acknowledged.reach(begun.at, signal);
    }
    for (;;) {
      const transactions = await reading.inbox.next(signal);
      const batch = new WayBatch({
        transactions,
        inbox: reading.inbox,
        token,
        history,
        group,
        limits: { ...defaultPartLimits, ...limits },
      });
      const committedMs = Number(transactions[0].begun.committedUs / 1_000n);
      this.#ledger.tell({ at: batch.position, changes: () => batch.changes, committedMs, anchor: batch.anchor });
      yield batch;
      await this.#acknowledged.reach(batch.position, signal);
    }
  }

  /** A slot that is gone because the way back was closed is not lost. */
  async #explained(error: unknown): Promise<unknown> {
    if (!(error instanceof TailraceError) || error.code !== "source.slot-lost") return error;
    return await this.#hold.refuseClosed().then(
      () => error,
      (closed: unknown) => asSourceError(closed),
    );
  }

  async #read(begun: WayBeginning, relations: Relations, signal: AbortSignal): Promise<Reading & AsyncDisposable> {
    const { settings, clock, pipeline, group, limits } = this.#options;
    let stream: ReplicationStream | null = null;
    const inbox = new Inbox({
      pipeline,
      group,
      history: begun.at.history,
      relations,
      past: begun.past,
      toldUpTo: begun.toldUpTo,
      limits: { ...defaultInboxLimits, ...limits },
      onFull: (full) => stream?.pause(full),
    });
    const { slot, publication } = this.#hold.way;
    stream = await ReplicationStream.open(
      {
        settings,
        clock,
        slot,
        publication,
        applicationName: wayName({ pipeline, group }),
        onMessage: (message, bytes) => inbox.push(message, bytes),
        onCaughtUp: (end) => inbox.caughtUp(end),
        onEnd: (why) => inbox.fail(asSourceError(why)),
        freeSlot: () => this.#hold.freeSlot(),
      },
      signal,
    );
    stream.confirm(this.#confirmed);
    const close = async (): Promise<void> => {
      this.#reading = null;
      await stream[Symbol.asyncDispose]();
    };
    return { inbox, stream, begun, [Symbol.asyncDispose]: close };
  }

  /** Nothing but the tables as they are: from here on the log has a position, and the other side something to hold on to. */
  #openingBatch(at: Position, { descriptions }: Relations): Batch {
    let ended = false;
    const opening = this.#openingAnchor;
    const resume = encodeWayToken({ opening: this.#hold.way.opening, at, anchor: opening });
    const phases = streaming(this.#options.group);
    return {
      position: at,
      async *parts(): AsyncIterable<BatchPart> {
        for (const table of descriptions) yield { kind: "control", control: { kind: "schema", table, at } };
        ended = true;
        await Promise.resolve();
      },
      end: () => {
        if (!ended) throw new Error("the end of a batch is known when its parts were taken");
        return { resume, anchor: opening, phases };
      },
    };
  }

  /** Now and then, as long as the source is open: what the slot keeps, and what it need not keep any more. */
  async #look(): Promise<void> {
    const { clock, pace } = this.#options;
    try {
      for (;;) {
        await clock.delay(pace.lookMs, this.#closing.signal);
        this.#ledger.looked(await this.#hold.look(), clock.wallMs());
        await this.#confirm();
      }
    } catch (thrown) {
      if (this.#closing.signal.aborted) return;
      this.#failure = asSourceError(thrown);
      this.#reading?.inbox.fail(this.#failure);
    }
  }

  async #confirm(): Promise<void> {
    const at = this.#forgettable();
    const { clock, pace } = this.#options;
    const more = at === null ? 0 : at - this.#confirmed;
    const isLate = clock.monotonicMs() - this.#confirmedAtMs >= pace.confirmMs;
    if (at !== null && (more >= confirmBytes || (isLate && more >= confirmBytesLeast))) {
      await this.#hold.confirm(at);
      this.#confirmed = at;
      this.#confirmedAtMs = clock.monotonicMs();
    }
    // Said in any case: a server that hears nothing takes us for dead, and it cannot ask while nothing is read.
    this.#reading?.stream.confirm(this.#confirmed);
  }

  /** Everything before it is at the other side, or nobody's business. */
  #forgettable(): Lsn | null {
    const pruned = this.#pruned;
    const reading = this.#reading;
    if (pruned === null || reading === null || pruned.history !== reading.begun.at.history) return null;
    const carried = recordAt(pruned);
    const quiet = reading.inbox.nothingUpTo;
    if (quiet === null || reading.begun.past.isPending || isAbove(this.#ledger.told, pruned)) return carried;
    return quiet > carried ? quiet : carried;
  }
}
