/**
 * One run of the model: the database, a log, writer processes and two sinks, all of them our code over parts in memory, and the judge. The
 * judge looks after every commit of the target: its rows are the source's rows at the cut, its constraints hold; and at the end: nothing is
 * stuck, both sides are equal.
 */
import { appliedView } from "../../../core/log/applied-view.js";
import type { AppliedCut, LogSession } from "../../../core/contracts/log.js";
import { asTailraceError, describeError } from "../../../core/errors.js";
import { allRules, type ProtocolRules } from "../../../core/log/rules.js";
import { CutLogWriter } from "../../../core/log/writer.js";
import { appliedTopic, topicSpecs } from "../../../core/topics.js";
import { type WriterEpoch, pipelineId, tableId, writerId } from "../../../core/vocabulary/ids.js";
import { formatPosition, type Position, samePosition } from "../../../core/vocabulary/position.js";
import { relay } from "../../../services/source/relay.js";
import { MemoryLog } from "../../support/memory-log-store.js";
import { Codec, counted, prefix, topicOf } from "./codec.js";
import { ModelDatabase } from "./database.js";
import { whatIsWrong } from "./judge.js";
import type { Op, RunOptions, Schedule } from "./schedule.js";
import { Sink } from "./sink.js";
import { allSourceRules, ModelSource, type ReadPlan, type SourceRules } from "./source.js";
import { allStoreRules, carryOut, type Fate, laneName, ModelStore, type StoreRules } from "./store.js";
import { allTargetRules, ModelTarget, type TargetRules } from "./target.js";
import { Task } from "./task.js";

export interface Rules {
  readonly protocol?: Partial<ProtocolRules>;
  readonly source?: Partial<SourceRules>;
  readonly target?: Partial<TargetRules>;
  readonly store?: Partial<StoreRules>;
}
interface Go {
  readonly fate: Fate;
  readonly plan: ReadPlan;
}
/** What a process may meet and go on. */
const expected = new Set(["log.append-failed", "log.tail-lost", "log.claimed", "log.cut-voided", "target.fenced"]);
const signal = new AbortController().signal;
const stored: Fate = { kind: "stored" };

export class World {
  readonly log = new MemoryLog();
  readonly database: ModelDatabase;
  readonly codec: Codec;
  readonly target: ModelTarget;
  readonly rules: {
    readonly protocol: ProtocolRules;
    readonly source: SourceRules;
    readonly target: TargetRules;
    readonly store: StoreRules;
  };
  /** `.applied`. */
  board: AppliedCut | null = null;
  failure: string | null = null;
  readonly stats: Record<string, number> = {};
  readonly #sinks: readonly [Sink, Sink];
  #writer: Writer | null = null;
  #names = 0;
  #restored = false;
  #answerLost = false;
  losses = 0;
  /** Markers written since the source's past was replaced or passed over: each must come. */
  readonly markers: string[] = [];

  constructor(
    readonly options: RunOptions,
    rules: Rules = {},
  ) {
    const kinds = { A: options.kindOfA, B: options.kindOfB };
    this.rules = {
      protocol: { ...allRules, ...rules.protocol },
      source: { ...allSourceRules, ...rules.source },
      target: { ...allTargetRules, ...rules.target },
      store: { ...allStoreRules, ...rules.store },
    };
    this.codec = new Codec(kinds, options);
    this.database = new ModelDatabase(kinds, options.action, this.codec.tables);
    this.target = new ModelTarget(kinds, this.rules.target, options.immediateUnique);
    for (const spec of topicSpecs(prefix, [tableId("A"), tableId("B")])) {
      this.log.create(spec.topic === topicOf("A") ? { ...spec, partitions: options.partitionsOfA } : spec);
    }
    this.#sinks = [new Sink(this), new Sink(this)];
  }

  newName(): string {
    return `n${++this.#names}`;
  }

  count(what: string): void {
    this.stats[what] = (this.stats[what] ?? 0) + 1;
  }

  fail(why: string): void {
    this.failure ??= why;
  }

  /** Every process that ended must have ended for a reason that the product survives. */
  look(task: Pick<Task<never>, "ended" | "error">): void {
    if (!task.ended || task.error === null) return;
    const { code } = asTailraceError(task.error);
    this.count(code);
    // A past that was replaced while a large batch was being read looks like missing rows.
    const torn = code === "source.log-damaged" && this.#restored;
    if (!expected.has(code) && !torn)
      this.fail(`${describeError(task.error)} ${task.error instanceof Error ? (task.error.stack ?? "") : ""}`);
  }

  committed(applied: AppliedCut): void {
    this.count("windows");
    const why = whatIsWrong(this, applied);
    if (why !== null) this.fail(`wrong at cut ${formatPosition(applied.position)} of epoch ${applied.epoch}: ${why}`);
  }

  takenOver(): void {
    const { applied } = this.target;
    const why = applied === null ? null : whatIsWrong(this, applied);
    if (why !== null) this.fail(`a successor finds at cut ${applied === null ? "" : formatPosition(applied.position)}: ${why}`);
  }

  async run({ ops }: Schedule): Promise<string | null> {
    this.#sinks[0].own();
    for (const op of ops) {
      if (this.failure !== null) return this.failure;
      await this.#do(op);
    }
    if (this.failure === null) await this.#settle();
    return this.failure;
  }

  async #do(op: Op): Promise<void> {
    const { database, log } = this;
    switch (op.op) {
      case "transaction":
        return database.transaction(op.list);
      case "write":
        return this.#write({ fate: op.fate, plan: op });
      case "kill writer":
        return this.#killWriter(op.which);
      case "land":
        if (log.deliverLate(op.n % Math.max(1, log.lateWrites))) this.count("landed");
        return;
      case "see":
        return this.#sinks[op.sink].see(op.share);
      case "apply":
        return this.#sinks[op.sink].apply(op.crash);
      case "own":
        return this.#sinks[op.sink].own();
      case "prune":
        return this.#prune();
      case "backup":
        return database.backup();
      case "restore":
        this.markers.length = 0;
        this.#restored = true;
        return database.restore(op.n);
      case "rebuild":
        return database.loseTriggers(op.table);
      case "heal":
        return database.heal();
      case "mark":
        return void (op.kind === "marker"
          ? this.markers.push(database.special("marker", op.table, op.k))
          : database.special(op.kind, op.table, op.k));
      case "lose":
        return this.#lose(op.part, op.n);
    }
  }

  async #write(go: Go): Promise<void> {
    if (this.#writer === null || this.#writer.task.ended) this.#writer = this.#newWriter();
    const cut = this.#answerLost && go.fate.kind === "stored";
    this.#answerLost = false;
    await this.#writer.step(cut ? { ...go, fate: { kind: "unanswered" } } : go);
    this.look(this.#writer.task);
  }

  #newWriter(): Writer {
    return new Writer(this, this.newName());
  }

  #killWriter(which: number): void {
    const inFlight = this.#writer?.store.inFlight ?? [];
    carryOut(this.log, inFlight, { kind: "partial", which });
    this.#writer = null;
    this.#answerLost = false;
    this.count("writer killed");
  }

  async #prune(): Promise<void> {
    if (this.board !== null) await this.#writer?.source?.prune(this.board.position);
  }

  /** Never the first record of `.cuts`: a log that has lost its name is another log, and a person is asked. */
  #lose(part: number, n: number): void {
    const lanes = [...counted.flatMap((topic) => this.log.boundsOf(topic).map((bounds, partition) => ({ topic, partition, bounds })))];
    const cuts = { topic: cutsOf(this.log), partition: 0, bounds: this.log.boundsOf(cutsOf(this.log))[0] };
    const lane = part < lanes.length ? lanes[part] : cuts;
    if (lane?.bounds === undefined) return;
    const least = lane.topic === cuts.topic ? 1 : 0;
    if (lane.bounds.end - n < least) return;
    this.log.loseTail(lane.topic, lane.bounds.end - n, lane.partition);
    this.losses += 1;
    // A leader that has lost its tail is a new one: the request in hand gets no answer.
    this.#answerLost = this.#writer?.task.place === "append";
    this.count("tail lost");
    for (const sink of this.#sinks) sink.lost(laneName(lane.topic, lane.partition), lane.bounds.end - n);
  }

  /** Everything late lands, gaps are healed, then writer and sink run until nothing moves. */
  async #settle(): Promise<void> {
    this.log.deliverAllLate();
    // Time passes as well: whoever compares now and then, compares.
    this.losses += 1;
    this.database.heal();
    const [sink] = this.#sinks;
    sink.own();
    const go: Go = { fate: stored, plan: { chunks: 1, chunkRows: 3, between: [] } };
    let still = 0;
    for (let i = 0; i < 600 && still < 4 && this.failure === null; i++) {
      const before = this.#measure();
      await this.#write(go);
      sink.seeAll();
      await sink.apply("no");
      if (sink.ended) sink.own();
      still = before === this.#measure() ? still + 1 : 0;
    }
    if (this.failure === null) this.#judgeEnd();
  }

  #measure(): string {
    const ends = [cutsOf(this.log), ...counted].flatMap((topic) => this.log.boundsOf(topic).map(({ end }) => end));
    return `${ends.join()} ${this.target.applied === null ? "" : formatPosition(this.target.applied.position)} ${this.#writer?.task.place}`;
  }

  #judgeEnd(): void {
    const { applied } = this.target;
    const written = this.#writer?.source?.position ?? null;
    if (this.#writer?.task.place !== "idle") return this.fail(`stuck: the writer waits at ${this.#writer?.task.place}`);
    if (applied === null || written === null) return this.fail("stuck: nothing was ever applied");
    const places = `target at ${formatPosition(applied.position)}, writer at ${formatPosition(written)}`;
    if (!samePosition(applied.position, written)) return this.fail(`stuck: ${places}; sink ${this.#sinks[0].describe()}`);
    if (applied.phase !== "streaming") return this.fail("stuck: the snapshot never ends");
    if (this.target.loose.size > 0) return this.fail("stuck: a repair never ends");
    const why = whatIsWrong(this, applied, this.database.rows);
    if (why !== null) this.fail(`wrong at the end: ${why}`);
    // A marker may come again after a takeover; it never gets lost.
    const lost = this.markers.filter((marker) => !this.target.markers.includes(marker));
    if (lost.length > 0) this.fail(`markers that never came: ${lost.join()}`);
  }
}

const cutsOf = (log: MemoryLog) => {
  const topic = log.topics().find((name) => name === appliedTopic(prefix).replace(/applied$/, "cuts"));
  if (topic === undefined) throw new Error("no .cuts");
  return topic;
};

/** A source process: supervisor, relay, writer. */
class Writer {
  readonly task: Task<Go>;
  readonly store: ModelStore;
  source: ModelSource | null = null;
  #go: Go = { fate: stored, plan: { chunks: 1, chunkRows: 3, between: [] } };
  #lossesSeen: number;
  #nowMs = 0;

  constructor(
    private readonly world: World,
    name: string,
  ) {
    this.#lossesSeen = world.losses;
    this.store = new ModelStore(world.log, async (place) => (await this.#park(place)).fate, null, world.rules.store);
    const writer = new CutLogWriter({
      store: this.store,
      decoder: world.codec,
      clock: { ...noClock, monotonicMs: () => this.#nowMs },
      prefix,
      pipeline: pipelineId(prefix),
      writer: writerId(name),
      topics: counted,
      applied: async () => appliedView(world.board === null ? [] : [world.board], false),
      newLogId: () => world.newName(),
      rules: world.rules.protocol,
    });
    this.task = new Task(async () => {
      for (let firstClaim = true; ; ) {
        try {
          const source = this.#newSource();
          const claiming = (epoch: WriterEpoch): Promise<void> => source.claiming(epoch);
          await using session = await writer.open({ firstClaim, epochSeen: source.epochSeen(), claiming }, signal);
          firstClaim = false;
          this.world.count("epochs");
          await this.#relay(session);
        } catch (error) {
          if (asTailraceError(error).verdict !== "retry") throw error;
          this.world.count(asTailraceError(error).code);
          firstClaim = false;
        }
      }
    });
  }

  async step(go: Go): Promise<void> {
    this.#go = go;
    await this.task.step(go);
  }

  async #park(place: string): Promise<Go> {
    this.#go = await this.task.park(place);
    return this.#go;
  }

  #newSource(session: LogSession | null = null): ModelSource {
    const { database, rules } = this.world;
    const beforeBatch = async (): Promise<void> => {
      // Sooner or later after a loss the slow comparison is due.
      if (session === null || this.#lossesSeen === this.world.losses) return;
      this.#nowMs += 60_000;
      await session.verifyTail(signal);
      this.#lossesSeen = this.world.losses;
    };
    return new ModelSource({
      database,
      rules: rules.source,
      plan: () => this.#go.plan,
      idle: async () => void (await this.#park("idle")),
      beforeBatch,
      wholeRows: this.world.options.wholeRows,
      passedOver: () => void (this.world.markers.length = 0),
    });
  }

  async #relay(session: LogSession): Promise<void> {
    const source = this.#newSource(session);
    this.source = source;
    await relay({ source, session, encoder: this.world.codec, onCut: () => this.world.count("cuts") }, signal);
  }
}

const noClock = {
  wallMs: () => 0,
  monotonicMs: () => 0,
  delay: async (): Promise<void> => {
    throw new Error("nothing in the model waits for time");
  },
};

export async function runSchedule(schedule: Schedule, rules: Rules = {}, stats: Record<string, number> = {}): Promise<string | null> {
  const world = new World(schedule.options, rules);
  const failure = await world.run(schedule);
  for (const [what, n] of Object.entries(world.stats)) stats[what] = (stats[what] ?? 0) + n;
  return failure;
}
export type { Position };
