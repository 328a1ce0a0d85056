/**
 * Somebody who moves a database with nothing but the command: a folder with a file and a settings file, a PostgreSQL database, and processes that
 * are started, asked and stopped as in a terminal. Everything goes away with it.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import Database from "better-sqlite3";
import { Client } from "pg";
import { stringify } from "yaml";
import { answerOf, type Ended, start, tailrace } from "../cli/command.js";
import type { ServiceName } from "../../core/status.js";
import { differences, type Names } from "../support/oracles/tables-equal.js";
import { until } from "../support/oracles/until.js";
import { freePorts, portsOfPipeline } from "../support/ports.js";
import { freshDatabase, type TestDatabase } from "../support/postgres.js";

export const shopSchema = `
  PRAGMA journal_mode = WAL;
  CREATE TABLE customers (id INTEGER PRIMARY KEY, name TEXT NOT NULL);
  CREATE TABLE orders (id INTEGER PRIMARY KEY, customer INTEGER NOT NULL REFERENCES customers (id), total REAL, note TEXT, placed INTEGER);
  CREATE INDEX orders_by_customer ON orders (customer);
  CREATE TABLE heap (a, b);
  INSERT INTO customers VALUES (1, 'Ada'), (2, 'Bo'), (3, 'Cy');
  WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000)
    INSERT INTO orders SELECT i, 1 + i % 3, i / 7.0, 'note ' || i, 1700000000000 + i FROM n;
`;
const patienceMs = 120_000;

export interface OperatorOptions {
  readonly ddl?: string;
  /** The block `log` of the settings; default: none. */
  readonly log?: object;
  readonly tables?: object;
  /** PostgreSQL of a test's own, one that may be killed. */
  readonly server?: string;
}
interface ServiceStatus {
  readonly service: string;
  readonly state: string;
  readonly why: string | null;
  readonly code: string | null;
}
export interface Status {
  readonly state: string;
  readonly services: readonly ServiceStatus[];
  readonly behind: { readonly changes: number | null; readonly ms: number | null; readonly why: string | null };
  readonly positions: { readonly head: string | null; readonly applied: string | null };
  readonly needsPerson: readonly string[];
  readonly next: readonly string[];
}

export class Operator implements AsyncDisposable {
  readonly folder = mkdtempSync(join(tmpdir(), "tailrace-e2e-"));
  readonly pipeline = `walk${Math.floor(Math.random() * 1e9).toString(36)}`;
  readonly #running = new Set<{ readonly child: ChildProcess; readonly ended: Promise<unknown> }>();
  file = join(this.folder, "shop.db");
  port = 0;

  private constructor(
    readonly database: TestDatabase,
    readonly options: OperatorOptions,
  ) {}

  static async make(options: OperatorOptions = {}): Promise<Operator> {
    const operator = new Operator(await freshDatabase(options.server), options);
    [operator.port = 0] = await freePorts(portsOfPipeline);
    operator.sql(options.ddl ?? shopSchema);
    operator.settings({});
    return operator;
  }

  /** Writes the settings file; what is given wins. */
  settings(more: Readonly<Record<string, unknown>>, file = "tailrace.yaml"): void {
    const { log, tables } = this.options;
    const settings = {
      pipeline: this.pipeline,
      source: { kind: "sqlite", path: "./shop.db" },
      ...(log === undefined ? {} : { log }),
      target: { url: this.database.url, schema: "public" },
      ...(tables === undefined ? {} : { tables }),
      http: { listen: `127.0.0.1:${this.port}` },
    };
    writeFileSync(join(this.folder, file), stringify({ ...settings, ...more }));
  }

  /** For an application that follows its route. */
  get place(): { readonly file: string; readonly url: string; readonly pipeline: string } {
    return { file: this.file, url: this.database.url, pipeline: this.pipeline };
  }

  /** As an application that opens the file, writes and closes it. */
  sql(text: string): void {
    const db = new Database(this.file, { timeout: 10_000 });
    try {
      db.exec(text);
    } finally {
      db.close();
    }
  }

  rows<T = Record<string, unknown>>(sql: string): T[] {
    const db = new Database(this.file, { readonly: true });
    try {
      return db.prepare(sql).all() as T[];
    } finally {
      db.close();
    }
  }

  /** Of PostgreSQL. */
  async ask<T extends Record<string, unknown>>(sql: string): Promise<T[]> {
    const client = new Client({ connectionString: this.database.url });
    await client.connect();
    try {
      return (await client.query<T>(sql)).rows;
    } finally {
      await client.end();
    }
  }

  tailrace(...words: readonly string[]): Promise<Ended> {
    return tailrace(words, { cwd: this.folder });
  }

  /** The verb's answer; the verb must end with 0. */
  async answer(...words: readonly string[]): Promise<Record<string, unknown>> {
    const ended = await this.tailrace(...words, "--json");
    if (ended.code !== 0) throw new Error(`tailrace ${words.join(" ")} ended with ${ended.code}: ${ended.stdout}${ended.stderr}`);
    return answerOf(ended);
  }

  /**
   * As where writes may wait and a target may be behind for long: how long it takes here says how busy the machine is. And as somebody who looks at the gates
   * before: a pipeline has caught up before the service that carries changes back has so much as begun, and without that one no cutover does.
   */
  async cutover(verb: "plan" | "rehearse" | "run", ...words: readonly string[]): Promise<Record<string, unknown>> {
    const patient = ["--max-lag", "60s", "--max-pause", "60s", ...words];
    const seen = { said: "" };
    const areOpen = async (): Promise<boolean> => {
      const { code, stdout, stderr } = await this.tailrace("cutover", "preflight", ...patient);
      seen.said = `${stdout}${stderr}`;
      return code === 0;
    };
    await until(areOpen, patienceMs, () => `the gates of a cutover stay shut: ${seen.said}`);
    return await this.answer("cutover", verb, ...patient);
  }

  rollback(verb: "plan" | "run", ...words: readonly string[]): Promise<Record<string, unknown>> {
    return this.answer("rollback", verb, "--max-pause", "60s", ...words);
  }

  /** The error that a verb ends with. */
  async refusal(...words: readonly string[]): Promise<{ readonly exit: number | null; readonly code: string; readonly message: string }> {
    const ended = await this.tailrace(...words, "--json");
    const error = JSON.parse(ended.stderr.split("\n").findLast((line) => line.startsWith("{")) ?? "{}") as {
      code?: string;
      message?: string;
    };
    return { exit: ended.code, code: error.code ?? "none", message: error.message ?? "" };
  }

  async status(): Promise<Status> {
    return (await this.answer("status")) as unknown as Status;
  }

  /** Starts `tailrace run`; its standard error is thrown with a wait that fails. */
  run(...words: readonly string[]): Running {
    const started = start(["run", ...words], { cwd: this.folder });
    this.#running.add(started);
    return new Running(
      started.child,
      started.ended.finally(() => this.#running.delete(started)),
    );
  }

  /** The application writes until it is stopped. */
  async application(perSecond = 100): Promise<{ stop(): Promise<number> }> {
    const script = fileURLToPath(new URL("application.mjs", import.meta.url));
    const child = spawn(process.execPath, [script, this.file, String(perSecond)], { stdio: ["ignore", "pipe", "inherit"] });
    const started = { child, ended: once(child, "close") };
    this.#running.add(started);
    const lines = createInterface({ input: child.stdout });
    await once(lines, "line");
    return {
      stop: async () => {
        const count = once(lines, "line");
        child.kill("SIGTERM");
        const [line] = (await count) as [string];
        await started.ended;
        this.#running.delete(started);
        return Number(line);
      },
    };
  }

  async caughtUp(): Promise<void> {
    const ended = await this.tailrace("wait", "caught-up", "--timeout", `${patienceMs}ms`);
    if (ended.code !== 0) throw new Error(`${ended.stdout}${ended.stderr}${(await this.tailrace("status")).stdout}`);
  }

  /**
   * Waits until all is there once a row that the sink refuses was mended: `running`, or what was started in its place. A sink looks again for some seconds
   * and goes on by itself; one that has given up before the mend came, on a machine that has much to do, is started again, as its remedy says.
   */
  async mended(running: Running): Promise<Running> {
    let isThere = false;
    const isDecided = async (): Promise<boolean> => {
      isThere = (await this.tailrace("wait", "caught-up", "--timeout", "2s")).code === 0;
      return isThere || (await this.status()).services.some(({ service, state }) => service === "sink" && state === "stopped");
    };
    await until(isDecided, patienceMs, () => "the sink neither goes on nor stops");
    if (isThere) return running;
    await running.stop();
    const again = this.run();
    await this.caughtUp();
    return again;
  }

  /** Pauses, and waits until the sink has heard of it: what is written from now on is not applied. */
  async paused(): Promise<void> {
    await this.answer("pause");
    await this.answer("wait", "state=paused");
    await this.says("sink", ({ state }) => state === "paused");
  }

  /** Waits until the embedded log has forgotten what the target holds: from then on it cannot fill a target that holds nothing. */
  logHasForgotten(): Promise<void> {
    const path = join(this.folder, ".tailrace", "log.db");
    const first = (): number => {
      const log = new Database(path, { readonly: true, timeout: 10_000 });
      try {
        return log.prepare<[], number>("SELECT max(first) FROM partition").pluck().get() ?? 0;
      } finally {
        log.close();
      }
    };
    return until(
      () => Promise.resolve(first() > 0),
      patienceMs,
      () => "nothing was trimmed",
    );
  }

  stopped(service: ServiceName): Promise<ServiceStatus> {
    return this.says(service, ({ state }) => state === "stopped");
  }

  /** Waits until a service says what is wanted. */
  async says(service: ServiceName, wanted: (status: ServiceStatus) => boolean): Promise<ServiceStatus> {
    const seen: { status: Status | null; found: ServiceStatus | null } = { status: null, found: null };
    const look = async (): Promise<boolean> => {
      seen.status = await this.status();
      seen.found = seen.status.services.find((one) => one.service === service && wanted(one)) ?? null;
      return seen.found !== null;
    };
    await until(look, patienceMs, () => `${service} does not say what is wanted: ${JSON.stringify(seen.status)}`);
    if (seen.found === null) throw new Error("the status was lost");
    return seen.found;
  }

  /** Lines of what differs between source and target now. */
  async different(names: Names = { without: ["heap"] }): Promise<readonly string[]> {
    const client = new Client({ connectionString: this.database.url });
    await client.connect();
    try {
      return (await differences(this.file, client, names)).map(({ table, what }) => `${table}: ${what}`);
    } finally {
      await client.end();
    }
  }

  /** `label`: as the sample says it; default: the first sample of that name. */
  metric(service: ServiceName, name: string, label = ""): Promise<number | null> {
    const step = { source: 1, sink: 2, verify: 3, reverse: 5 }[service];
    return metricOf(`http://127.0.0.1:${this.port + step}/metrics`, name, label);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const { child, ended } of this.#running) {
      child.kill("SIGTERM");
      const late = setTimeout(() => child.kill("SIGKILL"), 20_000);
      await ended;
      clearTimeout(late);
    }
    if (existsSync(this.file) && this.options.log !== undefined) await this.tailrace("destroy", "--yes");
    await this.database[Symbol.asyncDispose]();
    rmSync(this.folder, { recursive: true, force: true });
  }
}

export class Running {
  constructor(
    readonly child: ChildProcess,
    readonly ended: Promise<Ended>,
  ) {}

  stop(): Promise<Ended> {
    this.child.kill("SIGTERM");
    return this.ended;
  }
}

async function metricOf(url: string, name: string, label: string): Promise<number | null> {
  const text = await (await fetch(url)).text();
  const line = text.split("\n").find((one) => (one.startsWith(`${name}{`) || one.startsWith(`${name} `)) && one.includes(label));
  return line === undefined ? null : Number(line.slice(line.lastIndexOf(" ") + 1));
}
