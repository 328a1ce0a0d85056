/**
 * The source as a long-lived service: holds the file, follows the log's writer sessions, forgets what the target has committed, and says how far
 * the target is behind.
 */
import type { Retention } from "../../core/capture/retention.js";
import type { Clock } from "../../core/clock.js";
import type { AppliedCut, AppliedFollower, AppliedView, ChangeEncoder, LogSession, LogWriter } from "../../core/contracts/log.js";
import type { LogStore } from "../../core/contracts/log-store.js";
import type { Lag, Source } from "../../core/contracts/source.js";
import { passing } from "../../core/crash-points.js";
import { disposeQuietly } from "../../core/dispose.js";
import { asTailraceError, explainError, TailraceError } from "../../core/errors.js";
import type { NamedGroup } from "../../core/group-loops.js";
import type { Logger } from "../../core/logger.js";
import type { Counter, Gauge, Metrics } from "../../core/metrics.js";
import type { Service, ServiceStatus } from "../../core/status.js";
import { type Situation, supervise, together } from "../../core/supervise.js";
import { leastEnds } from "../../core/log/applied-view.js";
import { cutsTopic } from "../../core/topics.js";
import { offset, type WriterEpoch } from "../../core/vocabulary/ids.js";
import { formatPosition, type Position, samePosition } from "../../core/vocabulary/position.js";
import { CaptureLogKeeper } from "./capture-log-keeper.js";
import { type Relayed, relay } from "./relay.js";

export interface SourceServiceOptions {
  readonly pipeline: string;
  readonly prefix: string;
  readonly retention: Retention;
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly store: LogStore;
  readonly writer: LogWriter;
  readonly encoder: ChangeEncoder;
  readonly follower: AppliedFollower;
  /** Whose sinks read the log; asked for each session. */
  readonly groups: () => readonly NamedGroup[];
  readonly openSource: () => Promise<Source>;
}

/** One writer session, and how far the log has acknowledged it. */
interface Writing {
  readonly source: Source;
  readonly session: LogSession;
  readonly reached: { acknowledged: Position | null };
}

interface GroupLag extends NamedGroup {
  readonly lag: Lag | null;
}

const housekeepingMs = 500;
/** A source that is busy gives up, and one that has just begun does not know its place yet: so what is forgotten already is asked for again. */
const pruneAgainMs = 10_000;

export class SourceService implements Service, AsyncDisposable {
  readonly name = "source";
  readonly #options: SourceServiceOptions;
  readonly #meters: SourceMeters;
  readonly #keeper: CaptureLogKeeper;
  #situation: Situation;
  #source: Source | null = null;
  #firstClaim = true;
  #position: Position | null = null;
  #epoch: number | null = null;
  #relayed = { cuts: 0, records: 0, bytes: 0 };
  #phase: string | null = null;
  #groups: readonly NamedGroup[] = [];

  constructor(options: SourceServiceOptions) {
    this.#options = options;
    this.#meters = new SourceMeters(options.metrics);
    this.#keeper = new CaptureLogKeeper(options);
    this.#situation = { state: "starting", sinceMs: options.clock.wallMs(), error: null, attempt: null };
  }

  run(signal: AbortSignal): Promise<void> {
    const { clock, log } = this.#options;
    const onChange = (situation: Situation): void => {
      this.#situation = situation;
    };
    return supervise({ name: this.name, clock, log, onChange, session: (alive, s) => this.#session(alive, s) }, signal);
  }

  status(): ServiceStatus {
    const { state, error, attempt, sinceMs } = this.#situation;
    const wallMs = this.#options.clock.wallMs();
    const view = this.#options.follower.current();
    const applied = view.least;
    const lag = this.#lag(applied);
    return {
      service: "source",
      pipeline: this.#options.pipeline,
      state,
      why: error === null ? null : explainError(error),
      code: error?.code ?? null,
      attempt: attempt === null ? null : { n: attempt.n, nextInMs: Math.max(0, attempt.nextAtMs - wallMs) },
      sinceMs: wallMs - sinceMs,
      position: this.#position === null ? null : formatPosition(this.#position),
      details: {
        epoch: this.#epoch,
        phase: this.#phase,
        relayed: this.#relayed,
        applied: applied === null ? null : formatPosition(applied.position),
        head: lag === null ? null : formatPosition(lag.head),
        behind: lag === null ? null : { changes: lag.changes, ms: lag.ms },
        ...(this.#groups.length > 1
          ? { behindOf: this.#lags(view).map(({ id, lag: of }) => ({ id, changes: of?.changes, ms: of?.ms })) }
          : {}),
        captureLog: this.#keeper.status(),
        lastLook: this.#source?.lastLook() ?? null,
        reread: this.#source?.progress() ?? [],
      },
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await disposeQuietly(this.#source);
    this.#source = null;
    await disposeQuietly(this.#options.follower);
    await disposeQuietly(this.#options.store);
  }

  /** One writer session. The source stays open over sessions that the log ended: its lock is what keeps a second process away. */
  async #session(alive: () => void, signal: AbortSignal): Promise<void> {
    try {
      this.#source ??= await this.#options.openSource();
      const source = this.#source;
      this.#groups = this.#options.groups();
      const claiming = (epoch: WriterEpoch): Promise<void> => source.claiming(epoch);
      const opening = { firstClaim: this.#firstClaim, epochSeen: source.epochSeen(), claiming };
      await using session = await this.#options.writer.open(opening, signal);
      this.#firstClaim = false;
      this.#epoch = session.epoch;
      this.#running(alive);
      this.#options.log.info(
        { event: "source.session", epoch: session.epoch, resumed: session.beginning.resume !== null },
        "writing to the log",
      );
      // What a session begins at is whole in the log as well.
      const writing = { source, session, reached: { acknowledged: session.beginning.resume?.position ?? null } };
      await together([(s) => this.#relay(writing, alive, s), (s) => this.#housekeep(writing, s)], this.#options.clock, signal);
    } catch (thrown) {
      const error = asTailraceError(thrown);
      if (error.code.startsWith("source.")) {
        await disposeQuietly(this.#source);
        this.#source = null;
      }
      // A file that was there is being replaced, as far as anybody can tell; one that never was is a mistake in the settings.
      if (error.code === "source.missing" && this.#epoch !== null) {
        throw new TailraceError("source.replaced", { what: "The source's file is gone", where: error.where, cause: error });
      }
      throw thrown;
    }
  }

  #running(alive: () => void): void {
    alive();
    if (this.#situation.state === "running") return;
    this.#situation = { state: "running", sinceMs: this.#options.clock.wallMs(), error: null, attempt: null };
  }

  #relay({ source, session, reached }: Writing, alive: () => void, signal: AbortSignal): Promise<void> {
    const onCut = (cut: { readonly position: Position }, relayed: Relayed): void => {
      alive();
      this.#position = cut.position;
      reached.acknowledged = cut.position;
      this.#relayed = {
        cuts: this.#relayed.cuts + 1,
        records: this.#relayed.records + relayed.records,
        bytes: this.#relayed.bytes + relayed.bytes,
      };
      this.#meters.cut(relayed);
      for (const phase of relayed.phases.values()) this.#setPhase(phase);
    };
    return relay({ source, session, encoder: this.#options.encoder, onCut }, signal);
  }

  #setPhase(phase: string): void {
    if (this.#phase === phase) return;
    this.#phase = phase;
    this.#options.log.info({ event: "source.phase", phase }, `phase: ${phase}`);
  }

  async #housekeep({ source, session, reached }: Writing, signal: AbortSignal): Promise<void> {
    const { clock, follower, store, prefix } = this.#options;
    let trimmed: Position | null = null;
    const compared = new Set<AppliedCut>();
    let pruned: { readonly below: Position; readonly atMs: number } | null = null;
    for (;;) {
      await clock.delay(housekeepingMs, signal);
      const applied = follower.current();
      this.#meters.lag(this.#lags(applied));
      await session.verifyTail(signal);
      const all = applied.all.every(({ logId }) => logId === session.logId) ? applied.all : [];
      const ours = all.length === 0 ? null : applied.least;
      for (const cut of all) {
        if (compared.has(cut)) continue;
        if (!source.recognises(cut.position, cut.anchor)) throw otherPast(cut.position);
      }
      compared.clear();
      for (const cut of all) compared.add(cut);
      const below = this.#keeper.forgetBelow(source, { applied: ours?.position ?? null, acknowledged: reached.acknowledged });
      const nowMs = clock.monotonicMs();
      if (below !== null && (pruned === null || !samePosition(below, pruned.below) || nowMs - pruned.atMs >= pruneAgainMs)) {
        pruned = { below, atMs: nowMs };
        await source.prune(below);
      }
      // Offsets of an older session may be of records that the log has lost since, and given out again.
      if (ours === null || all.some(({ epoch }) => epoch !== session.epoch) || ours.position === trimmed) continue;
      trimmed = ours.position;
      const cuts = cutsTopic(prefix);
      await store.trim(new Map([...leastEnds(all), [cuts, [ours.offset]]]), new Map([[cuts, [offset(0), session.startOffset]]]));
      passing("source.store-trimmed");
    }
  }

  /** Of each group: what of the log its sink has not passed yet, whosever tables it is of. */
  #lags({ byGroup }: AppliedView): readonly GroupLag[] {
    return this.#groups.map(({ id, name }) => ({ id, name, lag: this.#lag(byGroup.get(id) ?? null) }));
  }

  #lag(applied: AppliedCut | null): Lag | null {
    if (this.#source === null) return null;
    try {
      return this.#source.lag(applied?.position ?? null);
    } catch {
      // The loop that uses the source meets the same error and says it.
      return null;
    }
  }
}

const otherPast = (at: Position): TailraceError =>
  new TailraceError("log.other-past", {
    what: "What the target has applied is of a past of the source that is gone",
    where: { applied: formatPosition(at) },
  });

class SourceMeters {
  readonly #records: Counter;
  readonly #bytes: Counter;
  readonly #cuts: Counter;
  readonly #lagChanges: Gauge;
  readonly #lagSeconds: Gauge;
  #measured = new Set<string>();

  constructor(metrics: Metrics) {
    this.#records = metrics.counter("tailrace_source_records_total", "Records appended to the log, tombstones included");
    this.#bytes = metrics.counter("tailrace_source_bytes_total", "Bytes of keys and values appended to the log");
    this.#cuts = metrics.counter("tailrace_source_cuts_total", "Cuts appended to the log");
    this.#lagChanges = metrics.gauge("tailrace_lag_changes", "Changes committed at the source that the group's sink has not passed", [
      "group",
    ]);
    this.#lagSeconds = metrics.gauge(
      "tailrace_lag_seconds",
      "Age of the oldest change that the group's sink has not passed, by the source's clock; 0 when none",
      ["group"],
    );
  }

  cut(relayed: Relayed): void {
    this.#records.add(relayed.records);
    this.#bytes.add(relayed.bytes);
    this.#cuts.add(1);
  }

  lag(lags: readonly GroupLag[]): void {
    const gone = [...this.#measured].filter((group) => lags.every(({ name }) => name !== group));
    this.#measured = new Set(lags.map(({ name }) => name));
    for (const group of gone) this.#set(group, null);
    for (const { name, lag } of lags) this.#set(name, lag);
  }

  #set(group: string, lag: Lag | null): void {
    this.#lagChanges.set(lag?.changes.kind === "known" ? lag.changes.value : null, { group });
    this.#lagSeconds.set(lag?.ms.kind === "known" ? lag.ms.value / 1000 : null, { group });
  }
}
