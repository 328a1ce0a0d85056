/**
 * O3 and O4: looks at the target at least a hundred times a second from a session of its own. From the snapshot's end cut on, and while no
 * table is under repair, the bank's sum is right in every glance, no key's version ever goes back, and neither does the position.
 */
import { setTimeout as pause } from "node:timers/promises";
import { Client } from "pg";

/** One statement, hence one snapshot: phase, position and money belong together. */
export interface WatcherOptions {
  readonly url: string;
  readonly pipeline: string;
  readonly bankSum: number;
  /** Schema of the hostile application's tables. */
  readonly schema?: string;
}
export interface WatcherReport {
  /** Glances in the streaming phase. */
  readonly looked: number;
  /** Longest time between two glances while PostgreSQL answered. */
  readonly longestGapMs: number;
  readonly faults: readonly string[];
}

interface Glance {
  phase: string | null;
  history: string | null;
  order: string | null;
  index: string | null;
  money: string | null;
  keys: string[] | null;
  versions: string[] | null;
}

export class Watcher implements AsyncDisposable {
  readonly #options: WatcherOptions;
  readonly #versions = new Map<string, number>();
  readonly #faults: string[] = [];
  #position: readonly number[] = [0, 0, 0];
  #looked = 0;
  #longestGapMs = 0;
  #stopped = false;
  #loop: Promise<void> = Promise.resolve();

  constructor(options: WatcherOptions) {
    this.#options = options;
  }

  start(): void {
    this.#loop = this.#watch();
  }

  async stop(): Promise<WatcherReport> {
    this.#stopped = true;
    await this.#loop;
    return { looked: this.#looked, longestGapMs: this.#longestGapMs, faults: this.#faults };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  get looked(): number {
    return this.#looked;
  }

  async #watch(): Promise<void> {
    while (!this.#stopped) {
      // Whatever limits the database sets by default, they are not for whoever watches a busy machine.
      const client = new Client({ connectionString: this.#options.url, application_name: "watcher", options: "-c statement_timeout=0" });
      client.on("error", () => {});
      try {
        await client.connect();
        await this.#watchOver(client);
      } catch (error) {
        if (!isOutage(error)) throw error;
        await pause(50);
      } finally {
        await client.end().catch(() => {});
      }
    }
  }

  async #watchOver(client: Client): Promise<void> {
    const text = this.#sql();
    let last = performance.now();
    while (!this.#stopped) {
      const { rows } = await client.query<Glance>({ name: "glance", text, values: [this.#options.pipeline] });
      if (rows[0] !== undefined) this.#judge(rows[0]);
      const now = performance.now();
      this.#longestGapMs = Math.max(this.#longestGapMs, now - last);
      last = now;
      await pause(4);
    }
  }

  #sql(): string {
    const schema = this.#options.schema ?? "public";
    return `SELECT
       CASE WHEN EXISTS (SELECT FROM tailrace.pipeline_table t WHERE t.pipeline = p.pipeline AND t.repair IS NOT NULL) THEN 'repair' ELSE p.phase END AS phase, p.history::text AS history, p.ord::text AS order, p.idx::text AS index,
       (SELECT sum(balance) FROM (SELECT balance FROM ${schema}.account UNION ALL SELECT balance FROM ${schema}.vault) m)::text AS money,
       array_agg(v.key) AS keys, array_agg(v.version::text) AS versions
     FROM tailrace.pipeline p,
       LATERAL (SELECT 'a' || id AS key, version FROM ${schema}.account UNION ALL SELECT 'v' || name, version FROM ${schema}.vault) v
     WHERE p.pipeline = $1 GROUP BY p.pipeline, p.phase, p.history, p.ord, p.idx`;
  }

  #judge(glance: Glance): void {
    const position = [Number(glance.history), Number(glance.order), Number(glance.index)];
    if (isBelow(position, this.#position)) this.#fault(`position went back from ${this.#position.join(":")} to ${position.join(":")}`);
    this.#position = position;
    if (glance.phase !== "streaming") return;
    this.#looked += 1;
    if (Number(glance.money) !== this.#options.bankSum) this.#fault(`the bank holds ${glance.money} at ${position.join(":")}`);
    const { keys, versions } = glance;
    keys?.forEach((key, i) => {
      const version = Number(versions?.[i]);
      if (version < (this.#versions.get(key) ?? 0)) this.#fault(`${key} went back from version ${this.#versions.get(key)} to ${version}`);
      this.#versions.set(key, version);
    });
  }

  #fault(what: string): void {
    if (this.#faults.length < 20) this.#faults.push(what);
  }
}

function isBelow(a: readonly number[], b: readonly number[]): boolean {
  const first = a.findIndex((n, i) => n !== b[i]);
  return first >= 0 && (a[first] ?? 0) < (b[first] ?? 0);
}

/** The server is away, comes back or has no place left, or the state tables are not there yet. */
function isOutage(error: unknown): boolean {
  const code = (error as { code?: unknown }).code;
  if (typeof code === "string") return /^(08|57P|53300|ECONN|EPIPE|ENOENT|42P01|3F000|55000|ETIMEDOUT)/.test(code);
  return error instanceof Error && /terminated|ended|closed|timeout|not queryable/i.test(error.message);
}
