/** The sink as a long-lived service: owns the target, applies what the log gives, and says how far it has come. */
import { mayBeMended } from "../../core/apply/may-be-mended.js";
import type { Clock } from "../../core/clock.js";
import type { AppliedCut, AppliedPublisher, LogReader, Window } from "../../core/contracts/log.js";
import type { LogStore } from "../../core/contracts/log-store.js";
import type { Conservation, Direction, LeftOut, Target, TargetSession } from "../../core/contracts/target.js";
import { disposeQuietly } from "../../core/dispose.js";
import { asTailraceError, describeError, explainError, TailraceError } from "../../core/errors.js";
import type { Logger } from "../../core/logger.js";
import type { Counter, Gauge, Histogram, Metrics } from "../../core/metrics.js";
import type { GroupService } from "../../core/group-loops.js";
import type { ServiceState, ServiceStatus } from "../../core/status.js";
import { type Situation, supervise, together } from "../../core/supervise.js";
import { type GroupId, type OwnerEpoch, type TableId, theGroup } from "../../core/vocabulary/ids.js";
import { formatPosition } from "../../core/vocabulary/position.js";
import type { TargetPlan } from "../../core/contracts/plan.js";
import { groupsOf } from "../../core/plan/groups.js";
import { applier } from "./applier.js";

export interface SinkServiceOptions {
  readonly pipeline: string;
  /** null: the first of the plan, whichever that is when it is first read. */
  readonly group: GroupId | null;
  readonly direction: Direction;
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly store: LogStore;
  readonly publisher: AppliedPublisher;
  readonly openTarget: (signal: AbortSignal) => Promise<Target>;
  /** `ahead` hears of windows that the reader has ready while one is applied. */
  readonly openReader: (what: Readable, ahead: Ahead) => LogReader;
  /** Whenever a session has read it, before the target is owned. */
  readonly onPlan: (plan: TargetPlan, group: GroupId) => void;
}
/** `tables`: those of the group that the log may hold changes of. `elsewhere`: those of other groups. */
export interface Readable {
  readonly group: GroupId;
  readonly tables: readonly TableId[];
  readonly elsewhere: readonly TableId[];
}
export type Ahead = (window: Window, signal: AbortSignal) => Promise<void>;

const takeoverMs = 3_000;
const watchMs = 500;
const lookAgainMs: readonly number[] = [500, 1_000, 2_000, 4_000];

export class SinkService implements GroupService {
  readonly name = "sink";
  readonly #options: SinkServiceOptions;
  readonly #meters: SinkMeters;
  #situation: Situation;
  #group: GroupId | null;
  #follows = false;
  #applied: AppliedCut | null = null;
  #reader: LogReader | null = null;
  #paused = false;
  #windows = 0;
  #records = 0;
  #leftOut: readonly LeftOut[] = [];

  constructor(options: SinkServiceOptions) {
    this.#options = options;
    this.#group = options.group;
    this.#meters = new SinkMeters(options.metrics);
    this.#situation = { state: "starting", sinceMs: options.clock.wallMs(), error: null, attempt: null };
  }

  run(signal: AbortSignal): Promise<void> {
    const { clock, log } = this.#options;
    const onChange = (situation: Situation): void => {
      this.#situation = situation;
    };
    return supervise({ name: this.name, clock, log, onChange, session: (alive, s) => this.#patiently(alive, s) }, signal);
  }

  /** null: no plan was read yet. */
  get group(): GroupId | null {
    return this.#group;
  }

  /** Null: no plan was applied by it, or it is not at work. */
  get applied(): AppliedCut | null {
    return this.#applied;
  }

  status(): ServiceStatus {
    const { error, attempt, sinceMs } = this.#situation;
    const wallMs = this.#options.clock.wallMs();
    const reader = this.#reader?.state() ?? null;
    const newest = this.#reader?.newest() ?? null;
    return {
      service: "sink",
      pipeline: this.#options.pipeline,
      state: this.#state(),
      why: error === null ? this.#why() : explainError(error),
      code: error?.code ?? (this.#isFollowing() ? "cutover.switched" : null),
      attempt: attempt === null ? null : { n: attempt.n, nextInMs: Math.max(0, attempt.nextAtMs - wallMs) },
      sinceMs: wallMs - sinceMs,
      position: this.#applied === null ? null : formatPosition(this.#applied.position),
      details: {
        epoch: this.#applied?.epoch ?? null,
        phase: this.#applied?.phase ?? null,
        newestCut: newest === null ? null : formatPosition(newest),
        reader: reader === null ? null : "position" in reader ? { ...reader, position: formatPosition(reader.position) } : reader,
        windows: this.#windows,
        records: this.#records,
        leftOut: this.#leftOut,
      },
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await disposeQuietly(this.#options.publisher);
    await disposeQuietly(this.#options.store);
  }

  #state(): ServiceState {
    if (this.#isFollowing()) return "standing-by";
    return this.#situation.state === "running" && this.#paused ? "paused" : this.#situation.state;
  }

  #isFollowing(): boolean {
    return this.#situation.state === "running" && this.#follows;
  }

  #why(): string | null {
    if (this.#isFollowing()) return "the group was switched over: the log is followed, and no row is written";
    if (this.#paused) return "paused by the operator: `tailrace resume` goes on";
    const reader = this.#reader?.state();
    if (reader?.kind === "undecided") return `the cut ${formatPosition(reader.position)} lacks records; a start of the source decides`;
    if (reader?.kind === "start-not-reached")
      return `the newest start (${formatPosition(reader.position)}) is above what is here; a newer one is needed`;
    return null;
  }

  /**
   * What refuses a row may be mended by what is on its way: whoever has mended it starts source and sink together, and the sink is the faster one. So
   * a refusal is looked at again a few times, each with all that the log holds by then, before a person is called.
   */
  async #patiently(alive: () => void, signal: AbortSignal): Promise<void> {
    const { clock, log } = this.#options;
    let tries = 0;
    for (let windows = this.#windows; ; windows = this.#windows) {
      try {
        return await this.#session(alive, signal);
      } catch (thrown) {
        tries = windows === this.#windows ? tries : 0;
        const delayMs = lookAgainMs[tries++];
        if (!mayBeMended(thrown) || delayMs === undefined) throw thrown;
        const error = asTailraceError(thrown);
        const nowMs = clock.wallMs();
        this.#situation = { state: "waiting", sinceMs: nowMs, error, attempt: { n: tries, nextAtMs: nowMs + delayMs } };
        log.warn({ event: "sink.refused", code: error.code, where: error.where, attempt: tries, delayMs }, describeError(error));
        await clock.delay(delayMs, signal);
      }
    }
  }

  async #session(alive: () => void, signal: AbortSignal): Promise<void> {
    const { direction, openTarget, openReader, onPlan } = this.#options;
    await using target = await openTarget(signal);
    const plan = await target.plan(signal);
    if (plan === null)
      throw new TailraceError("plan.missing", {
        what: "the target holds no plan of this pipeline",
        where: { pipeline: this.#options.pipeline },
      });
    const groups = groupsOf(plan);
    const group = (this.#group ??= groups[0]?.id ?? theGroup);
    onPlan(plan, group);
    if (!groups.some(({ id }) => id === group))
      throw new TailraceError("plan.missing", { what: "The plan has no such group", where: { pipeline: this.#options.pipeline, group } });
    this.#paused = await target.paused(group, signal);
    // Alone it has nothing to move on for: no other group's changes are kept because of it.
    const whenSwitched = groups.length > 1 ? "follow" : "reject";
    await using session = await target.own({ group, direction, takeoverMs, whenSwitched }, signal);
    this.#follows = session.follows;
    // Tables that an earlier plan had are among them: a cut from then counts their records.
    const tables = [...(await target.totals(group, signal)).keys()];
    const elsewhere = await target.elsewhere(group, signal);
    await using reader = openReader({ group, tables, elsewhere }, (window, s) => session.stage(window, s));
    this.#reader = reader;
    this.#applied = session.applied;
    const onOpen = (): void => {
      this.#running(alive);
      this.#options.log.info({ event: "sink.session", owner: session.epoch, applied: this.#position() }, "applying to the target");
    };
    try {
      await together(
        [(s) => this.#apply({ session, reader, group }, { alive, onOpen }, s), (s) => this.#watch({ target, session, group }, s)],
        this.#options.clock,
        signal,
      );
    } finally {
      this.#reader = null;
    }
  }

  #position(): string | null {
    return this.#applied === null ? null : formatPosition(this.#applied.position);
  }

  #running(alive: () => void): void {
    alive();
    this.#situation = { state: "running", sinceMs: this.#options.clock.wallMs(), error: null, attempt: null };
  }

  #apply(
    { session, reader, group }: { readonly session: TargetSession; readonly reader: LogReader; readonly group: GroupId },
    { alive, onOpen }: { readonly alive: () => void; readonly onOpen: () => void },
    signal: AbortSignal,
  ): Promise<void> {
    const { publisher, clock, log } = this.#options;
    let startedMs = clock.monotonicMs();
    const onApplied = (applied: AppliedCut, window: Window, counts: ReadonlyMap<TableId, Conservation>): void => {
      alive();
      const finishes = this.#applied?.phase !== applied.phase;
      this.#applied = applied;
      this.#windows += 1;
      this.#records += window.records;
      const nowMs = clock.monotonicMs();
      this.#meters.window(counts, nowMs - startedMs);
      startedMs = nowMs;
      if (finishes) log.info({ event: "sink.phase", phase: applied.phase, position: this.#position() }, `phase: ${applied.phase}`);
    };
    const onFinish = (leftOut: readonly LeftOut[]): void => {
      this.#leftOut = leftOut;
      for (const { object, why } of leftOut) log.warn({ event: "sink.left-out", object }, `${object} was left out: ${why}`);
      log.info({ event: "sink.finished" }, "indexes and foreign keys are in place");
    };
    return applier({ reader, session, group, publisher, clock, isPaused: () => this.#paused, onOpen, onApplied, onFinish }, signal);
  }

  /** Asked on a connection of its own, which may fail where the session does not; whether the session lives is the session's to say. */
  async #watch(
    { target, session, group }: { readonly target: Target; readonly session: TargetSession; readonly group: GroupId },
    signal: AbortSignal,
  ): Promise<void> {
    const { clock, log } = this.#options;
    // Of a direction that is not active, nobody's epoch is ours: it is the other's that must not change.
    let { epoch }: { epoch: OwnerEpoch | null } = session;
    if (session.follows) epoch = (await target.watch(group, signal)).owner;
    for (;;) {
      await clock.delay(watchMs, signal);
      session.assertOwned();
      this.#meters.paused(this.#paused);
      const { paused, owner } = await target.watch(group, signal).catch((thrown: unknown) => {
        if (asTailraceError(thrown).verdict === "stop") throw thrown;
        return { paused: this.#paused, owner: epoch };
      });
      // An idle owner would never meet its fence, and go on reading the topics of an older plan.
      if (owner !== epoch)
        throw new TailraceError("target.fenced", {
          what: "Another sink has taken over, or the plan was changed",
          where: { ours: session.epoch, newest: owner },
        });
      if (paused === this.#paused) continue;
      this.#paused = paused;
      log.info({ event: paused ? "sink.paused" : "sink.resumed" }, paused ? "paused" : "resumed");
    }
  }
}

class SinkMeters {
  readonly #windows: Counter;
  readonly #changes: Counter;
  readonly #seconds: Histogram;
  readonly #paused: Gauge;

  constructor(metrics: Metrics) {
    this.#windows = metrics.counter("tailrace_sink_windows_total", "Windows committed at the target");
    this.#changes = metrics.counter("tailrace_sink_changes_total", "Changes taken from the log, by table and by what became of them", [
      "table",
      "result",
    ]);
    this.#seconds = metrics.histogram(
      "tailrace_sink_window_seconds",
      "From one commit to the next, waiting included",
      [0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30],
    );
    this.#paused = metrics.gauge("tailrace_sink_paused", "1 while the operator has paused the group");
  }

  window(counts: ReadonlyMap<TableId, Conservation>, ms: number): void {
    this.#windows.add(1);
    this.#seconds.observe(ms / 1000);
    for (const [table, n] of counts) {
      for (const result of ["folded", "applied", "filtered", "quarantined", "replayed"] as const) {
        if (n[result] > 0) this.#changes.add(n[result], { table, result });
      }
    }
  }

  paused(paused: boolean): void {
    this.#paused.set(paused ? 1 : 0);
  }
}
