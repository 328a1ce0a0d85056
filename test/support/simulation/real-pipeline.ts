/**
 * A whole pipeline in this process, of real parts: an SQLite file, an embedded log, a PostgreSQL database, and both services as their main.ts wires
 * them, each call of theirs through ports that may fail. Time is real, but delays are short.
 */
import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Client } from "pg";
import { stringify } from "yaml";
import { surveySource } from "../../../cli/pipeline/survey.js";
import { loadSettings } from "../../../cli/settings/load-settings.js";
import { openEmbeddedLog } from "../../../connectors/embedded-log/embedded-log.js";
import { connectTarget } from "../../../connectors/postgres/connect.js";
import { openSqliteInspector } from "../../../connectors/sqlite/inspect/inspector.js";
import { openSqliteSource } from "../../../connectors/sqlite/sqlite-source.js";
import type { Retention } from "../../../core/capture/retention.js";
import { type Clock, systemClock } from "../../../core/clock.js";
import { asTailraceError, type TailraceError } from "../../../core/errors.js";
import { LogAppliedPublisher } from "../../../core/log/applied-board.js";
import { LogAppliedFollower } from "../../../core/log/applied-follower.js";
import { CutLogReader } from "../../../core/log/reader.js";
import { CutLogWriter } from "../../../core/log/writer.js";
import { createLogger } from "../../../core/logger.js";
import { noMetrics } from "../../../core/metrics.js";
import type { Service, ServiceStatus } from "../../../core/status.js";
import { countedTopics, topicSpecs } from "../../../core/topics.js";
import { theGroup, writerId } from "../../../core/vocabulary/ids.js";
import { createDecoder } from "../../../schemas/decoder.js";
import { createEncoder } from "../../../schemas/encoder.js";
import { openRegistry } from "../../../schemas/registry/open-registry.js";
import { SinkService } from "../../../services/sink/sink-service.js";
import { SourceService } from "../../../services/source/source-service.js";
import { differences } from "../oracles/tables-equal.js";
import { until } from "../oracles/until.js";
import { freshDatabase, type TestDatabase } from "../postgres.js";
import { SourceFile } from "../sqlite.js";
import { Ports } from "./ports.js";

const never = new AbortController().signal;
/** Longer than any delay between tries: what somebody is given to end. */
const patienceMs = 15_000;
/** Nobody waits for long, and nobody is given up early. */
const quick: Clock = { ...systemClock, delay: (ms, signal) => systemClock.delay(ms > patienceMs ? ms : Math.min(ms, 25), signal) };

export interface Running {
  readonly ports: Ports;
  readonly status: () => ServiceStatus;
  error: TailraceError | null;
  ended: boolean;
  stop(): Promise<void>;
}

export class RealPipeline implements AsyncDisposable {
  readonly prefix = "shop";
  readonly logPath: string;
  readonly said: string[] = [];
  readonly #running: Running[] = [];
  #names = 0;

  static async make(ddl: string, retention: Retention = { retain: "applied", maxBytes: 1 << 30 }): Promise<RealPipeline> {
    const pipeline = new RealPipeline(await SourceFile.of(ddl), await freshDatabase(), retention);
    await pipeline.#apply();
    return pipeline;
  }

  private constructor(
    readonly file: SourceFile,
    readonly database: TestDatabase,
    readonly retention: Retention,
  ) {
    this.logPath = join(file.directory, "log.db");
  }

  get #tables() {
    return this.file.tables().map(({ description }) => description.table);
  }

  async #apply(): Promise<void> {
    const { file, database, prefix } = this;
    using inspector = openSqliteInspector(file.path, { group: theGroup });
    const settingsFile = join(file.directory, "tailrace.yaml");
    writeFileSync(settingsFile, stringify({ pipeline: prefix, source: { kind: "sqlite", path: file.path } }));
    const { settings } = loadSettings(settingsFile, {});
    const { plan } = await surveySource(inspector, settings, { applied: null, census: false, now: new Date(0), onTable: () => {} });
    await using target = await connectTarget({ url: database.url, pipeline: file.pipeline }, never);
    await target.prepare(plan, async () => {}, never);
    await this.makeTopics();
  }

  async makeTopics(): Promise<void> {
    await using store = await openEmbeddedLog({ path: this.logPath, clock: quick });
    await store.ensure(topicSpecs(this.prefix, this.#tables), never);
  }

  async start(role: "source" | "sink", plan: Ports["plan"] = () => null): Promise<Running> {
    const ports = new Ports(null);
    ports.plan = plan;
    const service = role === "source" ? await this.#source(ports) : await this.#sink(ports);
    const abort = new AbortController();
    const running: Running = {
      ports,
      status: () => service.status(),
      error: null,
      ended: false,
      stop: async () => {
        abort.abort();
        await until(
          async () => running.ended,
          30_000,
          () => `the ${role} does not end`,
        );
      },
    };
    this.#running.push(running);
    void service
      .run(abort.signal)
      .catch((thrown: unknown) => void (running.error = asTailraceError(thrown)))
      .then(() => service[Symbol.asyncDispose]())
      .then(() => void (running.ended = true));
    return running;
  }

  /** Lines of what differs between source and target. */
  async different(): Promise<readonly string[]> {
    const client = new Client({ connectionString: this.database.url });
    await client.connect();
    try {
      return (await differences(this.file.path, client, {})).map(({ table, what }) => `${table}: ${what}`);
    } finally {
      await client.end();
    }
  }

  async equal(what: string, meanwhile: () => void | Promise<void> = () => {}): Promise<void> {
    let seen: readonly string[] = [];
    const look = async (): Promise<boolean> => {
      await meanwhile();
      seen = await this.different();
      return seen.length === 0;
    };
    await until(look, 60_000, () => `${what}: ${seen.join("; ")}\n${this.said.slice(-20).join("\n")}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const running of this.#running) if (!running.ended) await running.stop();
    await this.file[Symbol.asyncDispose]();
    await this.database[Symbol.asyncDispose]();
    rmSync(this.logPath, { force: true });
  }

  #common(ports: Ports) {
    return {
      pipeline: this.file.pipeline,
      clock: quick,
      metrics: noMetrics,
      log: createLogger({ level: "info", base: {}, write: (line) => void this.said.push(line.trim()) }),
      codec: <T extends object>(codec: T): T => ports.wrap("codec", codec),
      registry: (store: Parameters<typeof openRegistry>[1]["store"]) => openRegistry(null, { store, prefix: this.prefix }),
    };
  }

  async #source(ports: Ports): Promise<Service & AsyncDisposable> {
    const { pipeline, codec, registry, ...common } = this.#common(ports);
    const { clock } = common;
    const { prefix, file } = this;
    const store = ports.made("log", await openEmbeddedLog({ path: this.logPath, clock }));
    const schemas = registry(store);
    const follower = ports.made("follower", new LogAppliedFollower({ store, clock, prefix, groups: () => [theGroup] }));
    const name = `w${++this.#names}`;
    const writer = new CutLogWriter({
      store,
      decoder: codec(createDecoder({ registry: schemas })),
      clock,
      prefix,
      pipeline,
      writer: writerId(name),
      topics: countedTopics(prefix, this.#tables),
      applied: (signal) => follower.latest(signal),
      newLogId: () => name,
    });
    const openSource = () =>
      openSqliteSource({ path: file.path, pipeline, group: theGroup, lockDirectory: join(file.directory, "locks"), clock });
    return new SourceService({
      groups: () => [{ id: theGroup, name: "main" }],
      ...common,
      pipeline,
      prefix,
      retention: this.retention,
      store,
      writer: ports.wrap("writer", writer),
      encoder: codec(createEncoder({ prefix, registry: schemas, clock })),
      follower,
      openSource: ports.opening("openSource", openSource),
    });
  }

  async #sink(ports: Ports): Promise<Service & AsyncDisposable> {
    const { pipeline, codec, registry, ...common } = this.#common(ports);
    const { clock } = common;
    const { prefix, database } = this;
    const store = ports.made("log", await openEmbeddedLog({ path: this.logPath, clock }));
    const decoder = codec(createDecoder({ registry: registry(store) }));
    return new SinkService({
      ...common,
      pipeline,
      group: theGroup,
      direction: "forward",
      store,
      publisher: ports.made("publisher", new LogAppliedPublisher(store, clock, prefix)),
      openTarget: ports.opening("openTarget", (signal: AbortSignal) => connectTarget({ url: database.url, pipeline }, signal)),
      onPlan: () => {},
      openReader: ({ tables }) =>
        ports.made("reader", new CutLogReader({ store, decoder, clock, prefix, group: theGroup, topics: countedTopics(prefix, tables) })),
    });
  }
}
