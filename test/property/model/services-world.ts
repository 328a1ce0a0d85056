/**
 * The model with the services' own loops: source and sink service under their supervisors, with their retries, housekeeping, pauses and
 * publishing, over a database, a log and a target in memory and a clock that is simulated. Every call that a process makes through a contract
 * may fail, or find its process dead. The judge looks after every commit and at the end.
 */
import type { Retention } from "../../../core/capture/retention.js";
import type { AppliedCut } from "../../../core/contracts/log.js";
import { asTailraceError, describeError, type TailraceError } from "../../../core/errors.js";
import { LogAppliedPublisher } from "../../../core/log/applied-board.js";
import { LogAppliedFollower } from "../../../core/log/applied-follower.js";
import { CutLogReader } from "../../../core/log/reader.js";
import { CutLogWriter } from "../../../core/log/writer.js";
import { createLogger } from "../../../core/logger.js";
import { noMetrics } from "../../../core/metrics.js";
import type { Service } from "../../../core/status.js";
import { cutsTopic, topicSpecs } from "../../../core/topics.js";
import { pipelineId, tableId, theGroup, writerId } from "../../../core/vocabulary/ids.js";
import { formatPosition } from "../../../core/vocabulary/position.js";
import { SinkService } from "../../../services/sink/sink-service.js";
import { SourceService } from "../../../services/source/source-service.js";
import { MemoryLog } from "../../support/memory-log-store.js";
import { Ports } from "../../support/simulation/ports.js";
import { SimulatedClock } from "../../support/simulation/simulated-clock.js";
import { Codec, counted, prefix, topicOf } from "./codec.js";
import { ModelDatabase } from "./database.js";
import { whatIsWrong } from "./judge.js";
import { ModelTargetPort, type TargetPlace } from "./model-target-port.js";
import type { RunOptions } from "./schedule.js";
import { allSourceRules, ModelSource, type SourceRules } from "./source.js";
import { allTargetRules, ModelTarget } from "./target.js";

export type Role = "source" | "sink";
export const roles: readonly Role[] = ["source", "sink"];

export interface WorldOptions extends RunOptions {
  readonly retention: Retention;
  readonly narrow: boolean;
}
/** One run of a service in a process. */
export interface Process {
  readonly role: Role;
  readonly ports: Ports;
  readonly abort: AbortController;
  /** null: runs, or was told to stop and has done so. */
  error: TailraceError | null;
  ended: boolean;
}
/** In simulated time; what takes longer hangs. */
const patienceMs = 600_000;

export class ServicesWorld implements TargetPlace {
  readonly clock = new SimulatedClock();
  readonly log: MemoryLog;
  readonly database: ModelDatabase;
  readonly codec: Codec;
  readonly target: ModelTarget;
  holder: TargetPlace["holder"] = null;
  paused = false;
  finished = false;
  failure: string | null = null;
  readonly warnings: string[] = [];
  readonly stops: string[] = [];
  /** Written since the source's past was replaced or passed over: each must come. */
  readonly markers: string[] = [];
  readonly running: Record<Role, Process | null> = { source: null, sink: null };
  #names = 0;

  constructor(
    readonly options: WorldOptions,
    private readonly rules: { readonly source?: Partial<SourceRules> } = {},
  ) {
    const kinds = { A: options.kindOfA, B: options.kindOfB };
    this.log = new MemoryLog({ timer: (ms, fire) => this.clock.after(ms, fire) });
    this.codec = new Codec(kinds, options);
    this.database = new ModelDatabase(kinds, options.action, this.codec.tables);
    this.target = new ModelTarget(kinds, allTargetRules, options.immediateUnique);
    for (const spec of topicSpecs(prefix, [tableId("A"), tableId("B")]))
      this.log.create(spec.topic === topicOf("A") ? { ...spec, partitions: options.partitionsOfA } : spec);
  }

  fail(why: string): void {
    this.failure ??= why;
  }

  committed(applied: AppliedCut): void {
    const why = whatIsWrong(this, applied);
    if (why !== null) this.fail(`wrong at cut ${formatPosition(applied.position)} of epoch ${applied.epoch}: ${why}`);
  }

  start(role: Role, plan: Ports["plan"] = () => null): Process {
    const ports = new Ports(this.clock);
    ports.plan = plan;
    const service = role === "source" ? this.#source(ports) : this.#sink(ports);
    const process: Process = { role, ports, abort: new AbortController(), error: null, ended: false };
    this.running[role] = process;
    void this.#live(service, process);
    return process;
  }

  async #live(service: Service & AsyncDisposable, process: Process): Promise<void> {
    try {
      await service.run(process.abort.signal);
    } catch (thrown) {
      if (process.ports.isDead) return;
      process.error = asTailraceError(thrown);
      this.stops.push(process.error.code);
      if (process.error.code === "internal") this.warnings.push(`${describeError(thrown)} ${(thrown as Error).stack ?? ""}`);
    }
    await service[Symbol.asyncDispose]();
    process.ended = true;
    this.clock.activity += 1;
  }

  /** SIGKILL: no call of its comes back any more. */
  kill(role: Role): void {
    const process = this.running[role];
    if (process === null) return;
    process.ports.isDead = true;
    this.running[role] = null;
  }

  /** SIGTERM: it gives back what it holds. */
  async stop(role: Role): Promise<Process | null> {
    const process = this.running[role];
    if (process === null) return null;
    process.abort.abort();
    await this.until(() => process.ended || process.ports.isDead, `the ${role} does not end when it is told to`);
    if (process.ended && process.ports.leaks().length > 0) this.fail(`the ${role} has not given back ${process.ports.leaks().join()}`);
    this.running[role] = null;
    return process;
  }

  /** Lets everybody run, time included. */
  async run(ms: number): Promise<void> {
    const endMs = this.clock.monotonicMs() + ms;
    await this.clock.rest();
    while (this.failure === null && this.clock.monotonicMs() < endMs && this.clock.advance()) await this.clock.rest();
  }

  async until(isDone: () => boolean, what: string): Promise<void> {
    const endMs = this.clock.monotonicMs() + patienceMs;
    await this.clock.rest();
    while (this.failure === null && !isDone()) {
      if (this.clock.monotonicMs() > endMs || !this.clock.advance()) return this.fail(`${what}: ${this.describe()}`);
      await this.clock.rest();
    }
  }

  /** Both sides are equal, and nothing is left to be done. */
  isSettled(): boolean {
    const { applied, loose } = this.target;
    if (applied === null || applied.phase !== "streaming" || loose.size > 0) return false;
    if (applied.position.order !== this.database.newestSeq) return false;
    return roles.every((role) => this.running[role]?.ended === false) && whatIsWrong(this, applied, this.database.rows) === null;
  }

  describe(): string {
    const { applied } = this.target;
    const places = `target at ${applied === null ? "nothing" : formatPosition(applied.position)}, source's newest ${this.database.newestSeq}`;
    const why = applied === null ? "" : whatIsWrong(this, applied, this.database.rows);
    const processes = roles.map(
      (role) => `${role} ${this.running[role] === null ? "is not there" : this.running[role]?.ended === true ? "has ended" : "runs"}`,
    );
    return `${places}; ${processes.join(", ")}; ${why ?? "equal"}; ${this.warnings.slice(-5).join(" | ")}`;
  }

  #logger(): ReturnType<typeof createLogger> {
    return createLogger({ level: "info", base: {}, write: (line) => void this.warnings.push(line.trim()) });
  }

  #source(ports: Ports): SourceService {
    const { clock, codec, options, database } = this;
    const store = ports.made("log", this.log.store());
    const codecPort = ports.wrap("codec", codec);
    const followerPort = ports.made("follower", new LogAppliedFollower({ store, clock, prefix, groups: () => [theGroup] }));
    const name = `n${++this.#names}`;
    const writer = new CutLogWriter({
      store,
      decoder: codecPort,
      clock,
      prefix,
      pipeline: pipelineId(prefix),
      writer: writerId(name),
      topics: counted,
      applied: (signal) => followerPort.latest(signal),
      newLogId: () => name,
    });
    const openSource = async (): Promise<ModelSource> =>
      new ModelSource({
        database,
        rules: { ...allSourceRules, ...this.rules.source },
        plan: () => ({ chunks: 1, chunkRows: 3, between: [] }),
        idle: (signal) => clock.delay(400, signal),
        beforeBatch: async () => {},
        wholeRows: options.wholeRows,
        passedOver: () => void (this.markers.length = 0),
      });
    return new SourceService({
      groups: () => [{ id: theGroup, name: "main" }],
      pipeline: prefix,
      prefix,
      retention: options.retention,
      clock,
      log: this.#logger(),
      metrics: noMetrics,
      store,
      writer: ports.wrap("writer", writer),
      encoder: codecPort,
      follower: followerPort,
      openSource: ports.opening("openSource", openSource),
    });
  }

  #sink(ports: Ports): SinkService {
    const { clock, options } = this;
    const store = ports.made("log", this.log.store());
    const publisher = ports.made("publisher", new LogAppliedPublisher(store, clock, prefix));
    const held = { mergeRecords: options.mergeRecords, totalBytes: options.heldBytes, laneBytes: options.heldBytes };
    const limits = { ...held, aheadBytes: 1, showBytes: 1 };
    return new SinkService({
      pipeline: prefix,
      group: theGroup,
      direction: "forward",
      clock,
      log: this.#logger(),
      metrics: noMetrics,
      store,
      publisher,
      openTarget: ports.opening("openTarget", async () => new ModelTargetPort(this, ports)),
      onPlan: () => {},
      openReader: () =>
        ports.made(
          "reader",
          new CutLogReader({ store, decoder: ports.wrap("codec", this.codec), clock, prefix, group: theGroup, topics: counted, limits }),
        ),
    });
  }
}

export const cuts = cutsTopic(prefix);
