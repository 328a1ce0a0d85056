/**
 * A whole pipeline under test: a hostile application's database, a log, a PostgreSQL database, the services as processes of their own, and a
 * supervisor that starts again whatever was killed. Everything lies in one folder that goes away with it.
 */
import { execFile } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import Database from "better-sqlite3";
import { Client } from "pg";
import { stringify } from "yaml";
import { HostileApplication, setUpHostileDatabase } from "../../support/hostile-application.js";
import type { CrashPoint } from "../../../core/crash-points.js";
import { freshDatabase, type TestDatabase } from "../../support/postgres.js";
import type { PostgresServer } from "../../support/postgres-server.js";
import { BoundsWatch } from "../../support/oracles/process-bounds.js";
import type { TcpProxy } from "../../support/tcp-proxy.js";
import type { Names } from "../../support/oracles/tables-equal.js";
import { until } from "../../support/oracles/until.js";
import { stretched } from "./pace.js";
import { newestCaptured, type Place, placeAtTarget } from "./place.js";
import { builtCommand, type Role, RoleProcess } from "./role-process.js";

export interface PipelineOptions {
  readonly seed: number;
  readonly log: { readonly kind: "embedded" } | { readonly kind: "kafka"; readonly brokers: readonly string[] };
  /** Rows of the table that makes the snapshot long. */
  readonly rows?: number;
  /** The way of the services to PostgreSQL; the oracles go straight. */
  readonly through?: (url: string) => Promise<TcpProxy>;
  /** The application's own triggers exist before capture is installed. */
  readonly triggers?: boolean;
  /** Entry of another build than the one in `dist`. */
  readonly command?: string;
  /** A server of the run's own, that may be killed. */
  readonly server?: PostgresServer;
}
export interface CrashAt {
  readonly point: CrashPoint;
  readonly pass: number;
  readonly how?: "kill" | "stop";
}
export interface Said {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}
/** What the settings file maps other than by name. */
export const names: Names = {};
export const mapped: Readonly<Record<string, object>> = {
  document: { columns: { nul_text: { type: "bytea" } } },
  line: { columns: { placed: { type: "timestamptz", from: "epoch-ms" } } },
};
const run = promisify(execFile);

export class TestPipeline implements AsyncDisposable {
  readonly name: string;
  readonly folder: string;
  readonly file: string;
  readonly application: HostileApplication;
  readonly bounds = new BoundsWatch({ rssMiBMax: 400, descriptorsMax: 120 });
  readonly #command: string;
  readonly #settings: string;
  readonly #temporary: string;
  readonly #running = new Map<Role, RoleProcess>();
  readonly #zombies: RoleProcess[] = [];
  /** Of two sources without a lock between them either may find the topics claimed, and stop. */
  readonly #rivals = new Set<RoleProcess>();
  #starts = 0;

  static async make(options: PipelineOptions): Promise<TestPipeline> {
    const database = await freshDatabase(options.server?.url);
    return new TestPipeline(options, database, options.through === undefined ? null : await options.through(database.url));
  }

  private constructor(
    options: PipelineOptions,
    readonly database: TestDatabase,
    readonly proxy: TcpProxy | null,
  ) {
    this.name = `fault${Math.floor(Math.random() * 1e9).toString(36)}`;
    this.#command = options.command ?? builtCommand;
    this.folder = mkdtempSync(join(tmpdir(), "tailrace-fault-"));
    this.file = join(this.folder, "app.db");
    this.#temporary = join(this.folder, "tmp");
    mkdirSync(this.#temporary);
    this.#settings = join(this.folder, "tailrace.yaml");
    setUpHostileDatabase(this.file, { seed: options.seed, rows: options.rows ?? 3000, triggers: options.triggers ?? true });
    this.application = new HostileApplication(this.file);
    writeFileSync(this.#settings, stringify(this.#settingsOf(options)));
  }

  get url(): string {
    return this.database.url;
  }

  /** Runs a verb; its exit code is part of the answer. */
  async tailrace(...words: readonly string[]): Promise<Said> {
    try {
      const said = await run(process.execPath, [this.#command, ...words, "-c", this.#settings], {
        cwd: this.folder,
        env: this.#env(),
        timeout: 120_000,
      });
      return { code: 0, ...said };
    } catch (error) {
      const failed = error as { code?: number | string; stdout?: string; stderr?: string };
      if (typeof failed.code !== "number") throw error;
      return { code: failed.code, stdout: failed.stdout ?? "", stderr: failed.stderr ?? "" };
    }
  }

  async apply(): Promise<void> {
    const said = await this.tailrace("apply", "--yes");
    if (said.code !== 0) throw new Error(`apply ended with ${said.code}: ${said.stderr}${said.stdout}`);
  }

  /** `crashAt`: where this life of the process ends. */
  start(role: Role, crashAt: CrashAt | null = null): RoleProcess {
    const now = this.#running.get(role);
    if (now !== undefined && now.end === null) throw new Error(`${role} runs already`);
    const started = this.#spawn(
      role,
      crashAt === null ? {} : { TAILRACE_CRASH_AT: `${crashAt.point}:${crashAt.pass}:${crashAt.how ?? "kill"}` },
    );
    this.#running.set(role, started);
    return started;
  }

  /** A second process of a role that runs; it counts as a zombie until it is adopted. */
  double(role: Role): RoleProcess {
    const second = this.#spawn(role, {});
    this.#zombies.push(second);
    return second;
  }

  isUp(role: Role): boolean {
    const now = this.#running.get(role);
    return now !== undefined && now.end === null;
  }

  process(role: Role): RoleProcess | null {
    return this.#running.get(role) ?? null;
  }

  /** Starts what is down; throws for an end that a person would be asked about. */
  revive(roles: readonly Role[] = ["source", "sink"]): void {
    for (const role of roles) {
      const process = this.#running.get(role);
      if (process === undefined) continue;
      this.bounds.sample(role, process.pid);
      if (process.end === null) continue;
      const { code, signal } = process.end;
      const gaveWay = code === 6 && this.#rivals.has(process) && process.lastLines.some((line) => line.includes('"log.claimed"'));
      if (signal === null && code !== 75 && code !== 0 && !gaveWay) {
        throw new Error(`${role} ended with ${code}:\n${process.lastLines.slice(-12).join("\n")}`);
      }
      this.start(role);
    }
    for (const zombie of this.#zombies) this.bounds.sample(`${zombie.role} (successor or zombie)`, zombie.pid);
  }

  /** Stops the process of a role without ending it, and starts its successor. Whoever of the two survives is the role's process. */
  replace(role: Role, { lockLost = false } = {}): { readonly zombie: RoleProcess; readonly successor: RoleProcess } {
    const zombie = this.#running.get(role);
    if (zombie === undefined || zombie.end !== null) throw new Error(`${role} does not run`);
    zombie.stop();
    this.#running.delete(role);
    this.#zombies.push(zombie);
    if (lockLost) this.#loseSourceLock();
    const successor = this.start(role);
    if (lockLost) this.#rivals.add(successor);
    return { zombie, successor };
  }

  /** Waits until a process has stopped itself at its crash point. */
  async stopped(process: RoleProcess): Promise<void> {
    await until(
      () => process.isStopped(),
      stretched(60_000),
      () => `${process.name} does not come to its point\n${this.describe()}`,
    );
  }

  /** The one that was stopped has outlived its successor. */
  adopt(zombie: RoleProcess): void {
    this.#zombies.splice(this.#zombies.indexOf(zombie), 1);
    this.#running.set(zombie.role, zombie);
  }

  continueZombies(): void {
    for (const zombie of this.#zombies) zombie.continue();
  }

  /** Ends processes that have a successor. */
  async bury(): Promise<void> {
    await Promise.all(this.#zombies.splice(0).map((zombie) => zombie.kill()));
  }

  place(): Promise<Place | null> {
    return placeAtTarget(this.url, this.name);
  }

  /** Oldest row of the capture log. */
  oldestCaptured(): number {
    const db = new Database(this.file, { readonly: true });
    try {
      return Number(db.prepare("SELECT coalesce(min(seq), 0) FROM _cdc_log").pluck().get());
    } finally {
      db.close();
    }
  }

  /** Newest row of the capture log. */
  newestCaptured(): number {
    return newestCaptured(this.file);
  }

  async client(): Promise<Client> {
    const client = new Client({ connectionString: this.url });
    await client.connect();
    return client;
  }

  /** Sessions of this pipeline at PostgreSQL. */
  async backends(): Promise<number> {
    const client = await this.client();
    try {
      const { rows } = await client.query<{ n: string }>(
        "SELECT count(*)::text AS n FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE 'tailrace/%'",
      );
      return Number(rows[0]?.n);
    } finally {
      await client.end();
    }
  }

  /** Files beside the database and in the state folder that nobody knows. */
  unknownFiles(): readonly string[] {
    const known = /^(app\.db.*|tailrace\.yaml|tmp|\.tailrace|(source|sink)-\d+\.log)$/;
    const knownState = /^(log\.db(-wal|-shm)?|source-[0-9a-f]+\.lock(-journal)?)$/;
    const state = join(this.folder, ".tailrace");
    return [
      ...readdirSync(this.folder).filter((name) => !known.test(name)),
      ...(existsSync(state) ? readdirSync(state).filter((name) => !knownState.test(name)) : []),
    ];
  }

  /** What processes left in their folder for temporary files. */
  leftBehind(): readonly string[] {
    return readdirSync(this.#temporary);
  }

  describe(): string {
    return ["source", "sink"]
      .map((role) => {
        const process = this.#running.get(role as Role);
        return `${role} (${JSON.stringify(process?.end ?? "running")}):\n${process?.lastLines.slice(-15).join("\n") ?? ""}`;
      })
      .join("\n");
  }

  async stopServices(): Promise<void> {
    await this.bury();
    await Promise.all([...this.#running.values()].map((process) => (process.end === null ? process.terminate() : process.ended)));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.application.kill();
    await this.bury();
    await Promise.all(
      [...this.#running.values()].map((process) => (process.end === null ? process.kill().then(() => process.ended) : process.ended)),
    );
    await this.proxy?.[Symbol.asyncDispose]();
    await this.database[Symbol.asyncDispose]();
    if (process.env["TAILRACE_TEST_KEEP"] === undefined) rmSync(this.folder, { recursive: true, force: true });
  }

  /** As if somebody had removed it, or the file lay on a disk that two machines share: a source that holds the lock keeps nobody away. */
  #loseSourceLock(): void {
    const state = join(this.folder, ".tailrace");
    for (const name of readdirSync(state)) if (/^source-.*\.lock/.test(name)) rmSync(join(state, name));
  }

  #spawn(role: Role, more: NodeJS.ProcessEnv): RoleProcess {
    this.#starts += 1;
    const where = { command: this.#command, settings: this.#settings, folder: this.folder, env: { ...this.#env(), ...more } };
    return new RoleProcess(role, `${role}-${this.#starts}`, where);
  }

  #env(): NodeJS.ProcessEnv {
    return { ...process.env, TMPDIR: this.#temporary, NODE_OPTIONS: "" };
  }

  #urlOfServices(): string {
    if (this.proxy === null) return this.url;
    const url = new URL(this.url);
    url.hostname = "127.0.0.1";
    url.port = String(this.proxy.port);
    return url.href;
  }

  #settingsOf({ log }: PipelineOptions): object {
    const db = new Database(this.file, { readonly: true });
    const tables = db.prepare("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'").pluck().all() as string[];
    db.close();
    return {
      pipeline: this.name,
      source: { kind: "sqlite", path: "./app.db" },
      log: log.kind === "embedded" ? { kind: "embedded" } : { kind: "kafka", brokers: log.brokers },
      target: { url: this.#urlOfServices(), schema: "public" },
      tables: Object.fromEntries(tables.map((table) => [table, mapped[table] ?? {}])),
      http: { listen: "127.0.0.1:0" },
    };
  }
}
