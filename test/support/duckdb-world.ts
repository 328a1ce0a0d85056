/** A pipeline from a DuckDB file, an application that follows its route, and what both sides hold in the end. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { DuckDBInstance } from "@duckdb/node-api";
import { Operator } from "../e2e/operator.js";
import { kindsTable } from "./duckdb-kinds.js";
import { readDuckDb } from "./duckdb-read.js";
import { until } from "./oracles/until.js";

const wealth = 20 * 1_000_000;
const ddl = `
  CREATE TABLE account (id INTEGER PRIMARY KEY, balance BIGINT NOT NULL);
  CREATE TABLE tx_ledger (id BIGINT PRIMARY KEY, side VARCHAR NOT NULL);
  INSERT INTO account SELECT range + 1, 1000000 FROM range(20);
  ${kindsTable}`;

/** What the application tells. */
export class RoutedApplication {
  readonly acknowledged = new Map<number, string>();
  readonly attempted = new Set<number>();
  /** Sides in the order of acknowledgement. */
  readonly sides: string[] = [];
  readonly failures: string[] = [];
  readonly #child: ChildProcess;
  readonly #ended: Promise<unknown>;

  constructor(words: readonly string[]) {
    this.#child = spawn(process.execPath, ["test/support/duckdb-routed.mjs", ...words], { stdio: ["ignore", "pipe", "inherit"] });
    this.#ended = once(this.#child, "close");
    if (this.#child.stdout !== null) createInterface({ input: this.#child.stdout }).on("line", (line) => this.#heard(line));
  }

  async stop(signal: NodeJS.Signals = "SIGTERM"): Promise<void> {
    if (this.#child.exitCode === null && this.#child.signalCode === null) this.#child.kill(signal);
    await this.#ended;
  }

  /** It has written again, wherever. */
  async progress(more = 5): Promise<void> {
    const before = this.acknowledged.size;
    await until(
      () => this.acknowledged.size >= before + more,
      60_000,
      () => `no write is acknowledged any more (${this.failures.slice(-3).join("; ")})`,
    );
  }

  #heard(line: string): void {
    const said = JSON.parse(line) as { attempt?: number; ack?: number; side?: string; why?: string; trouble?: string };
    if (said.attempt !== undefined) this.attempted.add(said.attempt);
    if (said.ack !== undefined && said.side !== undefined) {
      this.acknowledged.set(said.ack, said.side);
      if (this.sides.at(-1) !== said.side) this.sides.push(said.side);
    }
    const trouble = said.why ?? said.trouble;
    if (trouble !== undefined) this.failures.push(trouble);
  }
}

export class StockWorld implements AsyncDisposable {
  #applications: RoutedApplication[] = [];

  private constructor(
    readonly operator: Operator,
    readonly file: string,
  ) {}

  static async make(): Promise<StockWorld> {
    const operator = await Operator.make({ tables: { account: {}, tx_ledger: {}, kinds: {} } });
    const file = join(operator.folder, "stock.duckdb");
    const instance = await DuckDBInstance.create(file);
    const connection = await instance.connect();
    await connection.run(ddl);
    connection.closeSync();
    instance.closeSync();
    operator.settings({ source: { kind: "duckdb", path: "./stock.duckdb", memoryMb: 300, pollMs: 20 } });
    return new StockWorld(operator, file);
  }

  /** Where the file lies now. */
  get place(): string {
    return existsSync(`${this.file}.tailrace`) ? `${this.file}.tailrace` : this.file;
  }

  get application(): RoutedApplication {
    const application = this.#applications.at(-1);
    if (application === undefined) throw new Error("no application was started");
    return application;
  }

  async startApplication(firstId: number): Promise<void> {
    this.#applications.push(new RoutedApplication([this.file, this.operator.database.url, this.operator.pipeline, String(firstId)]));
    await this.application.progress();
  }

  /** At the target, as the application does. */
  async sql(...statements: readonly string[]): Promise<void> {
    for (const statement of statements) await this.operator.database.query(statement);
  }

  /** Of the forward direction: a new one would be a new snapshot. */
  async history(): Promise<string> {
    const rows = await this.operator.database.query<{ history: string }>(
      "SELECT history::text FROM tailrace.pipeline WHERE direction = 'forward'",
    );
    return rows[0]?.history ?? "none";
  }

  /** Nobody writes any more, and what was written has come to the other side. */
  async settled(): Promise<void> {
    for (const application of this.#applications) await application.stop();
    const [route] = await this.operator.database.query<{ side: string }>("SELECT side FROM tailrace.route");
    if (route?.side !== "target") await this.operator.caughtUp();
    let seen = "";
    await until(
      async () => {
        // Whoever brings changes back has the file now and then.
        const here = await this.#atSource().catch((thrown: unknown) => String(thrown));
        const there = await this.#atTarget();
        seen = JSON.stringify([here, there]).slice(0, 400);
        return JSON.stringify(here) === JSON.stringify(there);
      },
      60_000,
      () => `both sides do not become equal: ${seen}`,
    );
  }

  /** Once settled: every acknowledged transaction is there once, none that was never tried, and no money came or went. */
  async judge(): Promise<void> {
    const { ids, sum } = await this.#atTarget();
    const there = new Set(ids);
    const lost = this.#applications.flatMap(({ acknowledged }) => [...acknowledged.keys()].filter((id) => !there.has(String(id))));
    const attempted = new Set(this.#applications.flatMap((application) => [...application.attempted].map(String)));
    const strange = ids.filter((id) => !attempted.has(id));
    if (lost.length + strange.length > 0 || sum !== String(wealth) || there.size !== ids.length) {
      throw new Error(`lost ${lost.slice(0, 5).join()} (${lost.length}), strange ${strange.slice(0, 5).join()}, sum ${sum}`);
    }
  }

  async #atSource(): Promise<Held> {
    const { place } = this;
    const ids = await readDuckDb(place, "SELECT id::VARCHAR FROM tx_ledger ORDER BY id");
    const sums = await readDuckDb(place, "SELECT sum(balance)::VARCHAR FROM account");
    const kinds = await readDuckDb(place, "SELECT id::VARCHAR FROM kinds ORDER BY id");
    return { ids: ids.map(([id]) => id ?? ""), sum: sums[0]?.[0] ?? "", kinds: kinds.map(([id]) => id ?? "") };
  }

  async #atTarget(): Promise<Held> {
    const ids = await this.operator.database.query<{ id: string }>("SELECT id::text FROM tx_ledger ORDER BY tx_ledger.id");
    const sums = await this.operator.database.query<{ sum: string }>("SELECT sum(balance)::text FROM account");
    const kinds = await this.operator.database.query<{ id: string }>("SELECT id::text FROM kinds ORDER BY kinds.id");
    return { ids: ids.map(({ id }) => id), sum: sums[0]?.sum ?? "", kinds: kinds.map(({ id }) => id) };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const application of this.#applications) await application.stop("SIGKILL");
    await this.operator[Symbol.asyncDispose]();
  }
}

interface Held {
  readonly ids: readonly string[];
  readonly sum: string;
  readonly kinds: readonly string[];
}
