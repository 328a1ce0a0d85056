/**
 * The connections that stand beside the owner's lock. TCP tells nobody that a way has died in one direction: a statement was done, its answer is
 * lost, and who waits for it waits for a quarter of an hour. So the beat asks the server what it has of us, over the lock's own connection.
 *
 * Promises: a connection whose session the server no longer has, or that waits for an answer although the server has long been idle, is broken: what
 * waits on it is rejected as on any lost connection. A statement that takes long is left alone, however long it takes.
 */
import { TailraceError } from "../../core/errors.js";
import type { Connection } from "./connection.js";

const unansweredMs = 10_000;

export class Companions {
  readonly #connections: Connection[] = [];

  add(connection: Connection): void {
    this.#connections.push(connection);
  }

  /** Asks over `asked`, which is none of these. Rejects when it is lost itself. */
  async check(asked: Connection): Promise<void> {
    const alive = this.#connections.filter((connection) => connection.lost() === null);
    const waiting = new Map(alive.map((connection) => [connection, connection.waitingMs()]));
    const rows = await asked.rows<{ pid: number; idle_ms: number | null }>(
      `SELECT pid, CASE WHEN state <> 'active' THEN extract(epoch FROM clock_timestamp() - state_change)::float8 * 1000 END AS idle_ms
       FROM pg_stat_activity WHERE pid = ANY ($1::integer[])`,
      [alive.map(({ pid }) => pid)],
    );
    const idle = new Map(rows.map(({ pid, idle_ms }) => [pid, idle_ms]));
    for (const connection of alive) {
      const idleMs = idle.get(connection.pid);
      if (idleMs === undefined) connection.break(lost("The server has ended the session, and we were not told", connection));
      else if ((idleMs ?? 0) > unansweredMs && (waiting.get(connection) ?? 0) > unansweredMs)
        connection.break(lost("The server has answered, and the answer did not arrive", connection));
    }
  }

  /** Whoever has lost the lock has no business with the others. */
  break(reason: unknown): void {
    for (const connection of this.#connections) connection.break(reason);
  }
}

const lost = (what: string, { pid }: Connection): TailraceError =>
  new TailraceError("target.unavailable", { what, where: { backend: pid } });
