/**
 * Follows one row of tailrace.route: told by NOTIFY, asked again and again below it, since a notification may be lost with its connection.
 *
 * What it knows is fresh for the time of a lease, counted from the moment the question was sent, not from the answer's arrival. A connection that is lost
 * is made anew; until then what is known grows stale, and whoever writes by it stops by himself.
 */
import pg from "pg";
import type { Route } from "./route.js";

export interface FollowOptions {
  readonly url: string;
  readonly pipeline: string;
  readonly group: number;
  readonly leaseMs: number;
  readonly onChange: (route: Route) => void;
  /** Something is known to be fresh again, changed or not. */
  readonly onFresh: () => void;
  readonly onTrouble: (thrown: unknown) => void;
}

const channel = "tailrace_route";
const againMs = 200;

export class RouteFollower implements AsyncDisposable {
  #route: Route | null = null;
  #freshUntilMs = Number.NEGATIVE_INFINITY;
  #client: pg.Client | null = null;
  #timer: NodeJS.Timeout | null = null;
  #asking: Promise<void> | null = null;
  #closed = false;

  private constructor(private readonly options: FollowOptions) {}

  /** Rejects when the first question cannot be answered. */
  static async open(options: FollowOptions): Promise<RouteFollower> {
    const follower = new RouteFollower(options);
    try {
      await follower.#ask();
    } catch (thrown) {
      await follower[Symbol.asyncDispose]();
      throw thrown;
    }
    follower.#schedule(options.leaseMs / 4);
    return follower;
  }

  /** null: nothing fresh is known. */
  fresh(): Route | null {
    return performance.now() < this.#freshUntilMs ? this.#route : null;
  }

  /** The newest that was heard, however old. */
  last(): Route | null {
    return this.#route;
  }

  /** Asks now: somebody met a fence that nobody told of. */
  hint(): void {
    if (!this.#closed) this.#schedule(0);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true;
    if (this.#timer !== null) clearTimeout(this.#timer);
    const client = this.#client;
    this.#client = null;
    await client?.end().catch(() => {});
    await this.#asking?.catch(() => {});
  }

  #schedule(ms: number): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      this.#asking = this.#turn().finally(() => {
        this.#asking = null;
      });
    }, ms);
    // Not unref'd: with its connection lost, nothing else would keep a process alive that waits for the route.
  }

  async #turn(): Promise<void> {
    if (this.#closed) return;
    try {
      await this.#ask();
      if (!this.#closed) this.#schedule(this.options.leaseMs / 4);
    } catch (thrown) {
      if (this.#closed) return;
      this.options.onTrouble(thrown);
      this.#schedule(againMs);
    }
  }

  async #ask(): Promise<void> {
    const client = this.#client ?? (await this.#connect());
    const askedMs = performance.now();
    try {
      const { rows } = await client.query<{ side: Route["side"]; version: string }>({
        name: "tailrace_route",
        text: "SELECT side, version FROM tailrace.route WHERE pipeline = $1 AND group_id = $2",
        values: [this.options.pipeline, this.options.group],
      });
      const [row] = rows;
      // A pipeline that was never switched has no row yet.
      this.#learn(row === undefined ? { side: "source", version: 0 } : { side: row.side, version: Number(row.version) }, askedMs);
    } catch (thrown) {
      this.#drop(client);
      throw thrown;
    }
  }

  /** An answer that was overtaken by a notification is old news. */
  #learn(route: Route, atMs: number): void {
    const before = this.#route;
    if (before !== null && route.version < before.version) return;
    this.#route = route;
    this.#freshUntilMs = Math.max(this.#freshUntilMs, atMs + this.options.leaseMs);
    if (before === null || route.version !== before.version) this.options.onChange(route);
    this.options.onFresh();
  }

  async #connect(): Promise<pg.Client> {
    const { leaseMs, url } = this.options;
    const client = new pg.Client({
      connectionString: url,
      application_name: "tailrace-routing",
      connectionTimeoutMillis: Math.max(1_000, leaseMs),
      // A question that gets no answer is a lost connection.
      query_timeout: Math.max(1_000, leaseMs),
      keepAlive: true,
    });
    client.on("error", (error) => {
      this.options.onTrouble(error);
      this.#drop(client);
      this.hint();
    });
    client.on("notification", ({ payload }) => this.#notified(payload ?? "", performance.now()));
    await client.connect();
    await client.query(`LISTEN ${channel}`);
    this.#client = client;
    return client;
  }

  /** Tells at once; how long it holds is only said by an answer to a question of ours. */
  #notified(payload: string, atMs: number): void {
    const said = parse(payload);
    if (said === null || said.pipeline !== this.options.pipeline || said.group !== this.options.group) return;
    this.#learn({ side: said.side, version: said.version }, atMs - this.options.leaseMs);
    this.hint();
  }

  #drop(client: pg.Client): void {
    if (this.#client === client) this.#client = null;
    void client.end().catch(() => {});
  }
}

interface Notified extends Route {
  readonly pipeline: string;
  readonly group: number;
}

function parse(payload: string): Notified | null {
  try {
    return JSON.parse(payload) as Notified;
  } catch {
    return null;
  }
}
