/**
 * Looks at the target again and again, as a reader of it would: when does a commit become visible, and is a transaction ever seen by half? Each
 * look is one statement, hence one moment of the database.
 */
import { Connection } from "../../connectors/postgres/connection.js";
import { parseConnectionUrl } from "../../connectors/postgres/connection-url.js";
import { systemClock } from "../../core/clock.js";
import type { Secret } from "../../core/secret.js";
import { percentile } from "./percentile.js";
import type { Story } from "./story.js";

export interface Seen {
  /** Transactions that became visible while it looked. */
  readonly commits: number;
  readonly p50Ms: number | null;
  readonly p99Ms: number | null;
  /** Looks at the sum of all balances, and how often it was off or a transaction was missing in the row. */
  readonly looks: number;
  readonly halfTransactions: number;
}

const lookEveryMs = 5;
/** The sum reads every customer, which costs the target more than the newest number does. */
const sumEvery = 4;

export class Onlooker {
  readonly #latencies: number[] = [];
  #newest = 0;
  #looks = 0;
  #half = 0;
  #commits = 0;

  constructor(
    private readonly story: Pick<Story, "sum" | "numbered">,
    private readonly committedAt: ReadonlyMap<number, number>,
  ) {}

  seen(): Seen {
    return {
      commits: this.#commits,
      p50Ms: percentile(this.#latencies, 0.5),
      p99Ms: percentile(this.#latencies, 0.99),
      looks: this.#looks,
      halfTransactions: this.#half,
    };
  }

  /** Legal from the end of the snapshot on: before it, half transactions may be visible. Ends by abort. */
  async look(url: Secret, signal: AbortSignal): Promise<void> {
    await using connection = await Connection.open(parseConnectionUrl(url.reveal()), {
      applicationName: "tailrace demo onlooker",
      pipelined: false,
    });
    this.#newest = await this.#newestOf(connection);
    for (let n = 0; !signal.aborted; n++) {
      if (n % sumEvery === 0) await this.#sum(connection);
      this.#note(await this.#newestOf(connection));
      await systemClock.delay(lookEveryMs, signal).catch(() => {});
    }
  }

  async #sum(connection: Connection): Promise<void> {
    const { sum, numbered } = this.story;
    const [row] = await connection.rows<{ sum: string; missing: string }>(
      `SELECT (${sum.sql}) AS sum, (SELECT coalesce(max(id), 0) - count(*) FROM public.${numbered})::text AS missing`,
    );
    this.#looks += 1;
    if (row?.sum !== sum.always || row.missing !== "0") this.#half += 1;
  }

  #note(newest: number): void {
    const nowMs = performance.timeOrigin + performance.now();
    for (let n = this.#newest + 1; n <= newest; n++) {
      this.#commits += 1;
      const committedMs = this.committedAt.get(n);
      // A commit can be visible before the application's own message about it has come through.
      if (committedMs !== undefined) this.#latencies.push(Math.max(0, nowMs - committedMs));
    }
    this.#newest = Math.max(this.#newest, newest);
  }

  async #newestOf(connection: Connection): Promise<number> {
    const [row] = await connection.rows<{ newest: string }>(
      `SELECT coalesce(max(id), 0)::text AS newest FROM public.${this.story.numbered}`,
    );
    return Number(row?.newest ?? 0);
  }
}
