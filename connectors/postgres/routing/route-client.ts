/**
 * `tailrace/routing`: lets a Node application follow its route. A piece of work runs on the side that may be written now; while the route is paused it is
 * held, and it is begun on the other side when the route says so.
 *
 * Promises: work is begun only while the route is known to be fresh, and begun again only when a fence has refused it (then nothing of it was committed).
 * Relies on the work being one transaction that is rolled back when it throws, and on its error being passed on.
 *
 * A source that one process has at a time (DuckDB) is let go of when the route leaves it: no work runs there by then, and none begins before that has ended.
 */
import { groupNumber } from "./group-number.js";
import { isFencedOff, isLockedOut, type Route } from "./route.js";
import { RouteFollower } from "./route-follower.js";

export type { Route } from "./route.js";
export { isFencedOff, isLockedOut } from "./route.js";

export interface RouteOptions {
  /** PostgreSQL, where tailrace.route is. A role that may read that table is enough. */
  readonly url: string;
  readonly pipeline: string;
  /** By its name in `groups:`, or its number. Default: `main`, all tables that no group names. */
  readonly group?: string | number;
  /** Cut off from PostgreSQL for so long, nothing is written any more (default 5 s). */
  readonly leaseMs?: number;
  /**
   * Go on writing to the source while cut off. Safe where the source refuses writes by itself once it was switched away from (SQLite: yes); without it,
   * an outage of PostgreSQL stops the application before the cutover as well.
   */
  readonly sourceIsFenced?: boolean;
  /**
   * Closes the source's file, for a source that one process has at a time (DuckDB). Called when the route leaves the source and no work runs there any
   * more; called again if it rejects. Work opens the file when it needs it; that it could not, since the file is held or was put aside, counts as a
   * refusal of the fence.
   */
  readonly leaveSource?: () => Promise<void>;
  readonly onChange?: (route: Route) => void;
  readonly onTrouble?: (thrown: unknown) => void;
}
export type Writable = "source" | "target";

/** A fenced source is asked again so often; the route's change comes sooner. */
const againMs = 20;

export async function openRoute(options: RouteOptions): Promise<RouteClient> {
  return await RouteClient.open(options);
}

export class RouteClient implements AsyncDisposable {
  #waiters: (() => void)[] = [];
  #closed = false;
  #follower: RouteFollower | null = null;
  /** Pieces of work that run at the source. */
  #atSource = 0;
  #hasLeft = false;
  #leaving: Promise<void> | null = null;

  private constructor(private readonly options: RouteOptions) {}

  /** Rejects when PostgreSQL cannot be asked. */
  static async open(options: RouteOptions): Promise<RouteClient> {
    const client = new RouteClient(options);
    const { group = 1 } = options;
    client.#follower = await RouteFollower.open({
      url: options.url,
      pipeline: options.pipeline,
      group: typeof group === "number" ? group : await groupNumber(options.url, options.pipeline, group),
      leaseMs: options.leaseMs ?? 5_000,
      onChange: (route) => options.onChange?.(route),
      onFresh: () => {
        client.#leaveIfDue();
        client.#wake();
      },
      onTrouble: (thrown) => options.onTrouble?.(thrown),
    });
    return client;
  }

  /** The newest that was heard. For display; `write` decides by what is fresh. */
  route(): Route | null {
    return this.#follower?.last() ?? null;
  }

  /** Where may be written now; null: nowhere, for now. */
  writable(): Writable | null {
    const fresh = this.#follower?.fresh() ?? null;
    if (fresh !== null) return fresh.side === "paused" ? null : fresh.side;
    const last = this.#follower?.last() ?? null;
    return this.options.sourceIsFenced === true && last?.side === "source" ? "source" : null;
  }

  /**
   * Runs `work` where it may write, as soon as it may. The signal ends the waiting; work that has begun is the caller's own.
   */
  async write<T>(work: (side: Writable) => T | Promise<T>, signal?: AbortSignal): Promise<T> {
    for (;;) {
      signal?.throwIfAborted();
      if (this.#closed) throw new Error("the route is closed");
      const side = this.writable();
      if (side === null) {
        await this.#change(null, signal);
        continue;
      }
      if (side === "source" && this.#leaving !== null) {
        await this.#leaving;
        continue;
      }
      try {
        return await (side === "source" ? this.#workAtSource(work) : work(side));
      } catch (thrown) {
        if (!isFencedOff(thrown) && !(side === "source" && this.options.leaveSource !== undefined && isLockedOut(thrown))) throw thrown;
        this.#follower?.hint();
        await this.#change(againMs, signal);
      }
    }
  }

  async #workAtSource<T>(work: (side: Writable) => T | Promise<T>): Promise<T> {
    this.#atSource += 1;
    this.#hasLeft = false;
    try {
      return await work("source");
    } finally {
      this.#atSource -= 1;
      this.#leaveIfDue();
    }
  }

  #leaveIfDue(): void {
    const { leaveSource, onTrouble } = this.options;
    const side = this.#follower?.last()?.side ?? "source";
    if (leaveSource === undefined || side === "source" || this.#atSource > 0 || this.#hasLeft || this.#leaving !== null) return;
    this.#leaving = leaveSource()
      .then(
        () => {
          this.#hasLeft = true;
        },
        (thrown: unknown) => onTrouble?.(thrown),
      )
      .finally(() => {
        this.#leaving = null;
        this.#wake();
      });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true;
    this.#wake();
    await this.#leaving;
    await this.#follower?.[Symbol.asyncDispose]();
  }

  #wake(): void {
    for (const wake of this.#waiters.splice(0)) wake();
  }

  /** Something fresh is heard, or so many milliseconds have passed. */
  #change(mostMs: number | null, signal: AbortSignal | undefined): Promise<void> {
    return new Promise((resolve) => {
      const timer = mostMs === null ? null : setTimeout(wake, mostMs);
      function wake(): void {
        if (timer !== null) clearTimeout(timer);
        signal?.removeEventListener("abort", wake);
        resolve();
      }
      signal?.addEventListener("abort", wake, { once: true });
      this.#waiters.push(wake);
    });
  }
}
