/** A pipeline with applications that follow (or do not follow) its route, and somebody who strikes while a cutover runs. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { createInterface } from "node:readline";
import Database from "better-sqlite3";
import { Client } from "pg";
import type { CutoverState } from "../../../core/cutover/states.js";
import { start } from "../../cli/command.js";
import { Operator } from "../../e2e/operator.js";
import { until } from "../../support/oracles/until.js";
import { killRoleOnceThere } from "./run-struck.js";

export type Victim = "tool at a point" | "tool" | "tool stopped" | "source" | "sink" | "sessions" | "broker" | "postgres" | "nobody";
export interface Strike {
  readonly kind: "run" | "rehearse";
  readonly victim: Victim;
  readonly step: CutoverState;
  readonly afterMs: number;
}
export const describeStrike = ({ kind, victim, step, afterMs }: Strike): string => `${kind}: ${victim} at ${step} + ${afterMs} ms`;

/** Dies by its own hand exactly where the state is stored and nothing was done, or all is done and the next state is not stored. */
const pointOf = ({ step, afterMs }: Strike): string => `${step}.${afterMs % 2 === 0 ? "before" : "after"}`;

export interface Outside {
  /** Default: the embedded log. */
  readonly brokers?: readonly string[];
  readonly broker?: () => Promise<void>;
  /** Default: the server that all tests share, which nobody may kill. */
  readonly server?: string;
  readonly postgres?: () => Promise<void>;
}

const wealth = 20 * 1_000_000;
const ddl = `
  PRAGMA journal_mode = WAL;
  CREATE TABLE account (id INTEGER PRIMARY KEY, balance INTEGER NOT NULL);
  CREATE TABLE tx_ledger (id INTEGER PRIMARY KEY, side TEXT NOT NULL);
  CREATE TABLE person (id INTEGER PRIMARY KEY AUTOINCREMENT, email TEXT NOT NULL UNIQUE, account INTEGER REFERENCES account (id) ON DELETE CASCADE);
  WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20) INSERT INTO account SELECT i, 1000000 FROM n;
  WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 500) INSERT INTO person SELECT i, 'p' || i || '@x', 1 + i % 20 FROM n;
`;

/** One application process and what it has told. */
export class Writer {
  readonly acknowledged = new Map<number, string>();
  readonly attempted = new Set<number>();
  /** Sides in the order of acknowledgement. */
  readonly sides: string[] = [];
  readonly failures: string[] = [];
  readonly #child: ChildProcess;
  readonly #ended: Promise<unknown>;

  constructor(operator: Operator, firstId: number, mode: "routed" | "deaf") {
    const script = join(process.cwd(), "test/fault/cutover/application.mjs");
    const words = [script, operator.file, operator.database.url, operator.pipeline, String(firstId), mode];
    this.#child = spawn(process.execPath, words, { stdio: ["ignore", "pipe", "inherit"] });
    this.#ended = once(this.#child, "close");
    if (this.#child.stdout !== null) createInterface({ input: this.#child.stdout }).on("line", (line) => this.#heard(line));
  }

  async stop(): Promise<void> {
    this.#child.kill("SIGTERM");
    await this.#ended;
  }

  /** It has written again, wherever. */
  async progress(more = 3): Promise<void> {
    const before = this.acknowledged.size;
    await until(
      () => {
        if (this.#child.exitCode !== null) throw new Error(`the application ended with ${this.#child.exitCode}`);
        return this.acknowledged.size >= before + more;
      },
      60_000,
      () => `no write is acknowledged any more (${this.failures.slice(-3).join("; ")})`,
    );
  }

  #heard(line: string): void {
    const said = JSON.parse(line) as { attempt?: number; ack?: number; side?: string; why?: string };
    if (said.attempt !== undefined) this.attempted.add(said.attempt);
    if (said.ack !== undefined && said.side !== undefined) {
      this.acknowledged.set(said.ack, said.side);
      if (this.sides.at(-1) !== said.side) this.sides.push(said.side);
    }
    if (said.why !== undefined) this.failures.push(said.why);
  }
}

export class Rig implements AsyncDisposable {
  #settledSlowestMs = 0;

  private constructor(
    readonly operator: Operator,
    readonly routed: Writer,
    readonly deaf: Writer,
    private readonly outside: Outside,
  ) {}

  static async make(outside: Outside = {}): Promise<Rig> {
    const tables = { account: {}, tx_ledger: {}, person: {} };
    const { brokers, server } = outside;
    const operator = await Operator.make({
      ddl,
      tables,
      ...(brokers === undefined ? {} : { log: { kind: "kafka", brokers } }),
      ...(server === undefined ? {} : { server }),
    });
    await operator.answer("apply");
    operator.run();
    await operator.caughtUp();
    const rig = new Rig(operator, new Writer(operator, 0, "routed"), new Writer(operator, 10_000_000, "deaf"), outside);
    await rig.routed.progress();
    await rig.deaf.progress();
    return rig;
  }

  get settledSlowestMs(): number {
    return this.#settledSlowestMs;
  }

  /** Runs a cutover with one strike, settles what is left, and says whether it was switched. */
  async strike(strike: Strike): Promise<{ readonly switched: boolean; readonly exit: number | null }> {
    await this.#ready();
    const env: Record<string, string> = strike.victim === "tool at a point" ? { TAILRACE_CUTOVER_CRASH_AT: pointOf(strike) } : {};
    const tool = start(["cutover", strike.kind, "--progress", "json", "--json", "--max-lag", "30s"], { cwd: this.operator.folder, env });
    let struck: Promise<void> = Promise.resolve();
    let isDue = true;
    if (tool.child.stderr !== null) {
      createInterface({ input: tool.child.stderr }).on("line", (line) => {
        if (!isDue || !line.includes(`"step":"${strike.step}"`) || !line.includes('"begins"')) return;
        isDue = false;
        struck = this.#hit(strike, tool.child);
      });
    }
    if (strike.victim === "tool stopped") {
      await until(
        () => !isDue || tool.child.exitCode !== null,
        60_000,
        () => "the tool does not get there",
      );
      await struck;
    } else {
      await tool.ended;
      await struck;
    }
    const switched = await this.settle();
    if (strike.victim === "tool stopped" && tool.child.exitCode === null) {
      tool.child.kill("SIGCONT");
      await tool.ended;
      await this.#assertSettled(switched);
    }
    return { switched, exit: tool.child.exitCode };
  }

  /** As the operator does after a crash: one command, within half a minute, leaves everything settled. */
  async settle(): Promise<boolean> {
    const beganMs = performance.now();
    let said = "";
    await until(
      async () => {
        const ended = await this.operator.tailrace("cutover", "abort", "--json");
        said = `${ended.code} ${ended.stdout}${ended.stderr}`;
        return ended.code === 0 && (await this.#state()) !== "open";
      },
      120_000,
      () => `abort does not settle it: ${said}`,
    );
    this.#settledSlowestMs = Math.max(this.#settledSlowestMs, performance.now() - beganMs);
    const switched = (await this.#state()) === "done";
    await this.#assertSettled(switched);
    return switched;
  }

  /** Nothing may be missing, doubled or off by a cent, wherever the application is now. */
  async judge(switched: boolean): Promise<readonly string[]> {
    await this.routed.stop();
    await this.deaf.stop();
    const faults: string[] = [];
    if (!switched) {
      await this.operator.caughtUp();
      faults.push(...(await this.operator.different({})));
    }
    const client = new Client({ connectionString: this.operator.database.url });
    await client.connect();
    try {
      const { rows } = await client.query<{ id: string }>("SELECT id FROM tx_ledger");
      const found = new Set(rows.map(({ id }) => Number(id)));
      for (const writer of [this.routed, this.deaf]) {
        const lost = [...writer.acknowledged.keys()].filter((id) => !found.has(id));
        if (lost.length > 0)
          faults.push(`${lost.length} acknowledged writes are lost, the first ${lost[0]} (${writer.acknowledged.get(lost[0] ?? 0)})`);
      }
      const invented = [...found].filter((id) => !this.routed.attempted.has(id) && !this.deaf.attempted.has(id));
      if (invented.length > 0) faults.push(`${invented.length} rows that nobody wrote`);
      const sum = await client.query<{ sum: string }>("SELECT sum(balance) AS sum FROM account");
      if (Number(sum.rows[0]?.sum) !== wealth) faults.push(`the sum of all balances is ${sum.rows[0]?.sum}, not ${wealth}`);
      const ledger = await client.query<{ n: string }>("SELECT count(*) AS n FROM tx_ledger");
      if (Number(ledger.rows[0]?.n) !== found.size) faults.push("a number is there twice");
    } finally {
      await client.end();
    }
    if (this.routed.sides.join(">") !== (switched ? "source>target" : "source"))
      faults.push(`the routed application wrote to ${this.routed.sides.join(">")}`);
    if (this.deaf.sides.join(">") !== "source") faults.push("the deaf application wrote elsewhere");
    return faults;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.routed.stop();
    await this.deaf.stop();
    await this.operator[Symbol.asyncDispose]();
  }

  async #state(): Promise<"open" | "done" | "undone" | "none"> {
    const [last] = await this.#ask<{ state: string }>("SELECT state FROM tailrace.cutover ORDER BY id DESC LIMIT 1");
    if (last === undefined) return "none";
    return last.state === "done" || last.state === "undone" ? last.state : "open";
  }

  async #assertSettled(switched: boolean): Promise<void> {
    const [route] = await this.#ask<{ side: string }>("SELECT side FROM tailrace.route");
    const [fence] = this.operator.rows<{ kept: number }>("SELECT coalesce(fence_kept, 0) AS kept FROM _cdc_state");
    const seen = `${route?.side}, fence ${fence?.kept === 1 ? "kept" : "not kept"}`;
    // A tool that was stopped and continued may put up a fence for the time of one lease.
    const good = seen === (switched ? "target, fence kept" : "source, fence not kept");
    if (!good) throw new Error(`settled as ${switched ? "switched" : "undone"} and found ${seen}`);
    await this.routed.progress();
    if (!switched) await this.deaf.progress();
  }

  async #hit({ victim, afterMs }: Strike, tool: ChildProcess): Promise<void> {
    if (victim === "nobody" || victim === "tool at a point") return;
    await new Promise((resolve) => setTimeout(resolve, afterMs));
    switch (victim) {
      case "tool":
        tool.kill("SIGKILL");
        return;
      case "tool stopped":
        tool.kill("SIGSTOP");
        // Stopped with SQLite's write lock in hand it stops everybody, the application too: nothing but its end or SIGCONT helps then.
        while (!this.#isFileFree()) {
          tool.kill("SIGCONT");
          await new Promise((resolve) => setTimeout(resolve, 5));
          tool.kill("SIGSTOP");
        }
        return;
      case "source":
      case "sink":
        await killRoleOnceThere(this.operator, victim);
        return;
      case "sessions":
        await this.#endSessions();
        return;
      case "broker":
        await this.outside.broker?.();
        return;
      case "postgres":
        await this.outside.postgres?.();
        return;
    }
  }

  /** A strike at something that is refused beforehand would strike at nothing: whatever the last one broke must have healed by itself. */
  async #ready(): Promise<void> {
    let said = "";
    await until(
      async () => {
        const ended = await this.operator.tailrace("cutover", "preflight", "--max-lag", "30s");
        said = ended.stdout + ended.stderr;
        return ended.code === 0;
      },
      90_000,
      () => `the gates do not open again:\n${said}`,
    );
  }

  #isFileFree(): boolean {
    const db = new Database(this.operator.file, { timeout: 2_000 });
    try {
      db.exec("BEGIN IMMEDIATE; ROLLBACK");
      return true;
    } catch {
      return false;
    } finally {
      db.close();
    }
  }

  /** What a restart of the server is to everybody who is connected. */
  async #endSessions(): Promise<void> {
    const client = new Client({ connectionString: this.operator.database.url });
    await client.connect();
    await client.query(
      "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()",
    );
    await client.end();
  }

  async #ask<T = unknown>(sql: string): Promise<T[]> {
    const client = new Client({ connectionString: this.operator.database.url });
    client.on("error", () => {});
    await client.connect();
    try {
      return (await client.query(sql)).rows as T[];
    } finally {
      await client.end();
    }
  }
}
