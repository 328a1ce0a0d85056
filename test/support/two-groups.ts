/**
 * An application with two table groups: `billing`, which is written where its route says, and `main`, which stays in the file. It writes to both all the
 * time, in transactions of two tables each, every one with a number of its own, and remembers which were acknowledged. No write may fail.
 */
import { setTimeout as pause } from "node:timers/promises";
import Database from "better-sqlite3";
import { Client } from "pg";
import { openRoute } from "../../connectors/postgres/routing/route-client.js";
import { until } from "./oracles/until.js";

export const twoGroupsSchema = `
  PRAGMA journal_mode = WAL;
  CREATE TABLE customers (id INTEGER PRIMARY KEY, name TEXT NOT NULL, visits INTEGER NOT NULL DEFAULT 0);
  CREATE TABLE visits (id INTEGER PRIMARY KEY, customer INTEGER NOT NULL REFERENCES customers (id), at REAL);
  CREATE TABLE invoices (id INTEGER PRIMARY KEY AUTOINCREMENT, n INTEGER NOT NULL, total REAL);
  CREATE TABLE lines (id INTEGER PRIMARY KEY AUTOINCREMENT, invoice INTEGER NOT NULL REFERENCES invoices (id) ON DELETE CASCADE, what TEXT);
  INSERT INTO customers (id, name) VALUES (1, 'Ada'), (2, 'Bo');
`;
export const twoGroups = { billing: ["invoices", "lines"] };

export interface Place {
  readonly file: string;
  readonly url: string;
  readonly pipeline: string;
}
/** Whoever holds the file's write lock may get no time for a while. */
const writePatienceMs = 60_000;
type Counted = "source" | "target" | "main";

export class TwoGroups implements AsyncDisposable {
  readonly #stop = new AbortController();
  readonly #ended: Promise<void>[];
  /** Acknowledged transactions: of `billing` by side, and of `main`. */
  readonly written = { source: 0, target: 0, main: 0 };
  /** The longest time between two writes to `main`. */
  longestMs = 0;

  private constructor(
    private readonly file: Database.Database,
    private readonly client: Client,
    private readonly route: Awaited<ReturnType<typeof openRoute>>,
  ) {
    // A write that fails is told of by `stop`.
    this.#ended = [this.#billing(), this.#main()];
    for (const one of this.#ended) one.catch(() => {});
  }

  static async start({ file, url, pipeline }: Place): Promise<TwoGroups> {
    const client = new Client({ connectionString: url });
    await client.connect();
    const route = await openRoute({ url, pipeline, group: "billing", sourceIsFenced: true });
    return new TwoGroups(new Database(file, { timeout: writePatienceMs }), client, route);
  }

  /** So many more transactions are acknowledged there. */
  async until(where: Counted, more: number): Promise<void> {
    const from = this.written[where];
    await until(
      () => this.written[where] >= from + more,
      120_000,
      () => `the application does not write to ${where}`,
    );
  }

  /** Ends the writing; rejects with whatever write has failed. */
  async stop(): Promise<void> {
    this.#stop.abort();
    await Promise.all(this.#ended);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await Promise.allSettled(this.#ended);
    this.file.close();
    await this.route[Symbol.asyncDispose]();
    await this.client.end();
  }

  async #billing(): Promise<void> {
    for (let n = 1; !this.#stop.signal.aborted; n++) {
      const side = await this.route.write(async (writable) => {
        await (writable === "source" ? this.#bill(n) : this.#billAtTarget(n));
        return writable;
      });
      this.written[side] += 1;
      await pause(5);
    }
  }

  async #main(): Promise<void> {
    const insert = this.file.prepare("INSERT INTO visits (id, customer, at) VALUES (?, ?, julianday('now'))");
    const count = this.file.prepare("UPDATE customers SET visits = visits + 1 WHERE id = ?");
    const visit = this.file.transaction((n: number) => {
      insert.run(n, 1 + (n % 2));
      count.run(1 + (n % 2));
    });
    for (let last = performance.now(); !this.#stop.signal.aborted; ) {
      visit.immediate(this.written.main + 1);
      this.written.main += 1;
      this.longestMs = Math.max(this.longestMs, performance.now() - last);
      last = performance.now();
      await pause(5);
    }
  }

  #bill(n: number): Promise<void> {
    this.file
      .transaction(() => {
        const { lastInsertRowid } = this.file.prepare("INSERT INTO invoices (n, total) VALUES (?, ?)").run(n, n / 7);
        this.file.prepare("INSERT INTO lines (invoice, what) VALUES (?, 'at the source')").run(lastInsertRowid);
      })
      .immediate();
    return Promise.resolve();
  }

  async #billAtTarget(n: number): Promise<void> {
    await this.client.query(
      "WITH i AS (INSERT INTO invoices (n, total) VALUES ($1, 0.5) RETURNING id) INSERT INTO lines (invoice, what) SELECT id, 'at the target' FROM i",
      [n],
    );
  }
}

/** What of it PostgreSQL lacks, has twice or has invented, once everything has arrived. */
export async function judgeTwoGroups({ source, target, main }: TwoGroups["written"], client: Client): Promise<readonly string[]> {
  const faults: string[] = [];
  const numbers = async (what: string, sql: string, expected: number): Promise<void> => {
    const { rows } = await client.query<{ n: number }>(sql);
    const found = new Set(rows.map(({ n }) => n));
    if (found.size !== rows.length) faults.push(`${what}: ${rows.length - found.size} are there twice`);
    const lost = Array.from({ length: expected }, (_, i) => i + 1).filter((n) => !found.delete(n));
    if (lost.length > 0) faults.push(`${what}: ${lost.length} of ${expected} acknowledged are lost, the first ${lost[0]}`);
    if (found.size > 0) faults.push(`${what}: ${found.size} that nobody wrote`);
  };
  await numbers("invoices", "SELECT n::int AS n FROM invoices", source + target);
  await numbers("invoices with their line", "SELECT n::int AS n FROM lines JOIN invoices ON invoices.id = invoice", source + target);
  await numbers("visits", "SELECT id::int AS n FROM visits", main);
  return faults;
}

/** Looks at PostgreSQL from outside, again and again: a transaction is there whole or not at all. */
export class Glances implements AsyncDisposable {
  readonly halves: string[] = [];
  taken = 0;
  readonly #stop = new AbortController();
  readonly #ended: Promise<void>;

  constructor(private readonly client: Client) {
    this.#ended = this.#look();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await this.#ended;
  }

  async #look(): Promise<void> {
    while (!this.#stop.signal.aborted) {
      const { rows } = await this.client.query<{ bills: string; visits: string }>(`
        SELECT (SELECT count(*) FROM invoices) - (SELECT count(*) FROM lines) AS bills,
               (SELECT count(*) FROM visits) - (SELECT coalesce(sum(visits), 0) FROM customers) AS visits`);
      this.taken += 1;
      const [seen] = rows;
      if (seen !== undefined && (seen.bills !== "0" || seen.visits !== "0")) this.halves.push(JSON.stringify(seen));
      await pause(10);
    }
  }
}
