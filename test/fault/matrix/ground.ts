/**
 * Where a fault strikes: a hostile application's database, a log, a PostgreSQL database, and source and sink as they run in their processes, but
 * here in this one, so that a case costs little and its clock can be counted. Everything lies in one folder that goes away with it.
 */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { PassThrough } from "node:stream";
import { tmpdir } from "node:os";
import { join } from "node:path";
import Database from "better-sqlite3";
import { Client } from "pg";
import { stringify } from "yaml";
import { type Invocation, type Verb, VerbOptions } from "../../../cli/invocation.js";
import { Output } from "../../../cli/output/output.js";
import { applyPipeline } from "../../../cli/pipeline/apply.js";
import { capturedBy } from "../../../cli/pipeline/source.js";
import { checkSettings } from "../../../cli/settings/load-settings.js";
import { readYaml } from "../../../cli/settings/read-yaml.js";
import { type Clock, systemClock } from "../../../core/clock.js";
import { asTailraceError, describeError, type ErrorCode, type TailraceError } from "../../../core/errors.js";
import { createLogger, type Logger } from "../../../core/logger.js";
import { noMetrics } from "../../../core/metrics.js";
import { Secret } from "../../../core/secret.js";
import type { Settings } from "../../../core/settings.js";
import type { Service } from "../../../core/status.js";
import { openSinkService } from "../../../services/sink/main.js";
import { openSourceService } from "../../../services/source/main.js";
import { HostileApplication, setUpHostileDatabase } from "../../support/hostile-application.js";
import { until } from "../../support/oracles/until.js";
import type { Watcher } from "../../support/oracles/watcher.js";
import { freshDatabase, type TestDatabase } from "../../support/postgres.js";
import { caughtUp, judgeRows, watch } from "../harness/judge.js";
import { mapped } from "../harness/pipeline.js";
import { stretched } from "../harness/pace.js";
import { newestCaptured, type Place, placeAtTarget } from "../harness/place.js";
import { Stalls } from "./stalls.js";

export type Role = "source" | "sink";
export interface GroundOptions {
  /** The block `log` of the settings. */
  readonly log?: object;
  /** Where the pipeline's database is to be made; default: the tests' shared server. */
  readonly database?: () => Promise<TestDatabase>;
  /** The way of the services to PostgreSQL; the oracles go straight. */
  readonly targetUrl?: (url: string) => string;
  readonly folder?: string;
  readonly rows?: number;
}

/** What ends after a heal, or says why it stops, does so within this time (O6), on a machine that does nothing else. */
export const livenessMs = (): number => stretched(30_000);

export class Ground implements AsyncDisposable {
  readonly name = `matrix${Math.floor(Math.random() * 1e9).toString(36)}`;
  readonly folder: string;
  readonly file: string;
  readonly application: HostileApplication;
  readonly clock = new CountingClock();
  readonly #settingsFile: string;
  readonly #running = new Map<Role, Running>();
  readonly #heard: { code: ErrorCode; service: string }[] = [];
  readonly #lines: string[] = [];
  readonly #stalls = new Stalls();
  #watcher: Watcher | null = null;
  #seed = 0;
  /** The least history that counts as caught up. */
  history = 0;
  /** A past was put back: what the application was told before that says nothing any more. */
  pastReplaced = false;

  static async make(options: GroundOptions = {}): Promise<Ground> {
    const ground = new Ground(options, await (options.database ?? freshDatabase)());
    await ground.apply();
    await ground.startBoth();
    await ground.caughtUp();
    await until(
      () => ground.lines().some((line) => line.includes("sink.finished")),
      livenessMs(),
      () => `indexes are not built\n${ground.describe()}`,
    );
    return ground;
  }

  private constructor(
    private readonly options: GroundOptions,
    readonly database: TestDatabase,
  ) {
    this.folder = options.folder ?? mkdtempSync(join(tmpdir(), "tailrace-matrix-"));
    this.file = join(this.folder, "app.db");
    this.#settingsFile = join(this.folder, "tailrace.yaml");
    setUpHostileDatabase(this.file, { seed: 5, rows: options.rows ?? 300, triggers: true });
    this.application = new HostileApplication(this.file);
    this.settle({});
  }

  get url(): string {
    return this.database.url;
  }

  get settings(): Settings {
    return checkSettings(readYaml(this.#settingsFile), process.env).settings;
  }

  get settingsFile(): string {
    return this.#settingsFile;
  }

  /** Writes the settings; what is given wins. */
  settle(more: Readonly<Record<string, unknown>>): void {
    const { log, targetUrl } = this.options;
    const settings = {
      pipeline: this.name,
      source: { kind: "sqlite", path: "./app.db" },
      log: log ?? { kind: "embedded" },
      target: { url: targetUrl === undefined ? this.url : targetUrl(this.url), schema: "public" },
      tables: Object.fromEntries(this.#tables().map((table) => [table, mapped[table] ?? {}])),
      http: { listen: "127.0.0.1:0" },
    };
    writeFileSync(this.#settingsFile, stringify({ ...settings, ...more }));
  }

  // ── what an operator does ──

  async apply(): Promise<void> {
    await applyPipeline(this.#invocation({}), this.settings, { setWal: false });
  }

  /** The same settings, for another file, as if it were on another machine. */
  async applyTo(file: string): Promise<void> {
    this.settle({ source: { kind: "sqlite", path: file } });
    await this.apply();
    this.settle({});
  }

  /** Any verb of the command, as the program calls it. */
  async verb(verb: Verb, words: readonly string[] = [], options: Readonly<Record<string, unknown>> = {}): Promise<void> {
    await verb({ ...this.#invocation(options), words });
  }

  async start(role: Role): Promise<void> {
    if (this.#runs(role)) throw new Error(`${role} runs already`);
    this.#running.set(role, await Running.start(role, this.settings, { clock: this.clock, log: this.#logger(role) }));
  }

  async startBoth(): Promise<void> {
    for (const role of ["source", "sink"] as const) if (!this.#runs(role)) await this.start(role);
  }

  /** The capture log's order up to which the log has the rows; -1: the source does not know yet. */
  relayed(): number {
    return Number(this.#running.get("source")?.service.status().position?.split(":")[1] ?? -1);
  }

  /** Waits until it is at work: its log answers, and it has its place there. */
  async atWork(role: Role): Promise<void> {
    await until(
      () => this.#running.get(role)?.service.status().state === "running",
      livenessMs(),
      () => `${role} does not begin\n${this.describe()}`,
    );
  }

  async stop(...roles: readonly Role[]): Promise<void> {
    const asked = roles.length === 0 ? (["source", "sink"] as const) : roles;
    await Promise.all(asked.flatMap((role) => this.#running.get(role)?.stop() ?? []));
  }

  // ── what the application does ──

  /** So many transactions, as fast as it can. */
  async write(transactions = 40): Promise<void> {
    await this.application.start({ seed: ++this.#seed, transactions, big: 60 });
    await this.application.finished();
  }

  /** Goes on until `application.stop()`. */
  async writing(rate = 100): Promise<void> {
    await this.application.start({ seed: ++this.#seed, rate, big: 60 });
  }

  sql(text: string): void {
    const db = new Database(this.file, { timeout: 10_000 });
    try {
      db.exec(text);
    } finally {
      db.close();
    }
  }

  // ── what is said ──

  /** A case begins: what was heard before is forgotten, and the target is watched from now on. */
  begin({ watched = true } = {}): void {
    this.#heard.length = 0;
    this.#lines.length = 0;
    this.#stalls.begin();
    if (!watched) return;
    this.#watcher = watch(this);
    this.#watcher.start();
  }

  heard(): ReadonlySet<ErrorCode> {
    return new Set(this.#heard.map(({ code }) => code));
  }

  /** What a case may hear though it is not about it: the machine has stalled, and what depends on answers in time was lost. */
  excused(): readonly ErrorCode[] {
    return this.#stalls.excused(this.application.report().slowestMs);
  }

  /** The newest lines of both services' logs. */
  lines(): readonly string[] {
    return this.#lines;
  }

  /** How many sessions have failed with the code. */
  times(code: ErrorCode): number {
    return this.#heard.filter((one) => one.code === code).length;
  }

  /** A service says within the time that it waits, and for what; or that it has stopped. */
  async says(role: Role, ...codes: readonly ErrorCode[]): Promise<void> {
    const wanted = (): boolean => this.#heard.some(({ code, service }) => service === role && codes.includes(code));
    await until(wanted, livenessMs(), () => `${role} does not say ${codes.join(" or ")}\n${this.describe()}`);
  }

  hasStopped(role: Role): boolean {
    return this.#ended(role) !== null;
  }

  /** A service ends within the time because a person is needed, with one of the codes. */
  async stops(role: Role, ...codes: readonly ErrorCode[]): Promise<TailraceError> {
    await until(
      () => this.#ended(role) !== null,
      livenessMs(),
      () => `${role} does not stop\n${this.describe()}`,
    );
    const error = this.#ended(role);
    if (error === null || !codes.includes(error.code)) throw new Error(`${role} stopped with something else\n${this.describe()}`);
    return error;
  }

  async caughtUp(): Promise<void> {
    await caughtUp(this, { history: this.history });
  }

  /** Both sides hold the same, every transaction once, and nothing was ever half visible. An empty list is the proof. */
  async judge(): Promise<readonly string[]> {
    const seen = await this.#watcher?.stop();
    this.#watcher = null;
    const faults = await judgeRows(this, { ledger: !this.pastReplaced });
    return [...(this.pastReplaced ? [] : (seen?.faults.map((fault) => `seen from outside: ${fault}`) ?? [])), ...faults];
  }

  // ── what the oracles ask ──

  place(): Promise<Place | null> {
    return placeAtTarget(this.url, this.name);
  }

  newestCaptured(): number {
    return newestCaptured(this.file);
  }

  /** Nobody starts a service again here: one that has ended ends the wait. */
  revive(): void {
    for (const role of ["source", "sink"] as const) {
      const error = this.#ended(role);
      if (error !== null) throw new Error(`${role} has ended: ${describeError(error)}`);
    }
  }

  describe(): string {
    const states = [...this.#running].map(([role, { service }]) => `${role}: ${JSON.stringify(service.status())}`);
    return [...states, ...this.#lines.slice(-15)].join("\n");
  }

  async client(): Promise<Client> {
    const client = new Client({ connectionString: this.url, options: "-c statement_timeout=0" });
    await client.connect();
    return client;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.application.kill();
    await this.#watcher?.stop();
    await this.stop();
    this.#stalls[Symbol.dispose]();
    await this.database[Symbol.asyncDispose]();
    if (this.options.folder === undefined) rmSync(this.folder, { recursive: true, force: true });
  }

  #runs(role: Role): boolean {
    const running = this.#running.get(role);
    return running !== undefined && running.error === undefined;
  }

  #ended(role: Role): TailraceError | null {
    return this.#running.get(role)?.error ?? null;
  }

  #tables(): readonly string[] {
    const db = new Database(this.file, { readonly: true });
    try {
      const sql =
        "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%' AND name NOT LIKE '\\_cdc\\_%' ESCAPE '\\'";
      return db.prepare(sql).pluck().all() as string[];
    } finally {
      db.close();
    }
  }

  #logger(role: Role): Logger {
    const write = (line: string): void => {
      this.#lines.push(line.trim());
      if (this.#lines.length > 200) this.#lines.shift();
      const { code, service } = JSON.parse(line) as { code?: ErrorCode; service: string };
      if (code !== undefined) this.#heard.push({ code, service });
    };
    return createLogger({ level: "info", base: { service: role }, write });
  }

  #invocation(options: Readonly<Record<string, unknown>>): Invocation {
    const streams = { stdout: new PassThrough().resume(), stderr: new PassThrough().resume() };
    return {
      words: [],
      options: new VerbOptions(options),
      globals: { config: this.#settingsFile, yes: true, quiet: true, verbose: false, timeoutMs: null },
      out: new Output(streams, "json", "none", true),
      signal: AbortSignal.timeout(60_000),
      settings: () => Promise.resolve(checkSettings(readYaml(this.#settingsFile), process.env)),
      stage: () => {},
    };
  }
}

type OpenService = Service & AsyncDisposable;

/** A service at work. */
class Running {
  /** undefined: it runs; null: it was asked to stop. */
  error: TailraceError | null | undefined = undefined;
  readonly #abort = new AbortController();
  readonly #ended: Promise<void>;

  static async start(role: Role, settings: Settings, host: { readonly clock: Clock; readonly log: Logger }): Promise<Running> {
    const full = { ...host, metrics: noMetrics };
    if (role === "source") return new Running(await openSourceService(settings, capturedBy(settings), full));
    return new Running(await openSinkService(settings, settings.target.url ?? new Secret(""), full));
  }

  private constructor(readonly service: OpenService) {
    this.#ended = this.#run();
  }

  async stop(): Promise<void> {
    this.#abort.abort();
    await this.#ended;
  }

  async #run(): Promise<void> {
    let error: TailraceError | null = null;
    try {
      await this.service.run(this.#abort.signal);
    } catch (thrown) {
      error = asTailraceError(thrown);
    }
    await this.service[Symbol.asyncDispose]();
    this.error = error;
  }
}

/** Counts how often anybody waits: whoever waits for a dependency in a busy loop is found by number, not by time. */
export class CountingClock implements Clock {
  delays = 0;

  wallMs(): number {
    return systemClock.wallMs();
  }

  monotonicMs(): number {
    return systemClock.monotonicMs();
  }

  delay(ms: number, signal: AbortSignal): Promise<void> {
    this.delays += 1;
    return systemClock.delay(ms, signal);
  }
}
