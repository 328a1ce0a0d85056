/**
 * One session of PostgreSQL: opened with settings that make text forms and transactions mean the same everywhere, checked for version and
 * encoding. Errors pass as the server sent them; the public methods of the target translate them.
 */
import { once } from "node:events";
import { Socket } from "node:net";
import pg, { type QueryResult } from "pg";
import { from as copyFrom } from "pg-copy-streams";
import { systemClock } from "../../core/clock.js";
import { TailraceError } from "../../core/errors.js";
import type { ConnectionSettings } from "./connection-url.js";
import { sqlState, withTargetErrors } from "./pg-errors.js";

/** With a name, the server parses and plans the text once per session. */
export interface Query {
  readonly name?: string;
  readonly text: string;
  readonly values?: readonly unknown[];
}
/** Of statements sent in one go: the first that failed by itself, or null. Those behind it were not executed. */
export interface PipelineResult {
  readonly results: readonly (QueryResult | null)[];
  readonly failure: { readonly index: number; readonly error: unknown } | null;
}
export interface OpenOptions {
  readonly applicationName: string;
  /** All statements are sent at once; COPY is impossible. */
  readonly pipelined: boolean;
  /** What is asked is small: an answer that takes longer will not come. Without it a statement may take as long as it likes. */
  readonly answerMsMax?: number;
  readonly settings?: Readonly<Record<string, string>>;
}

const versionMin = 140_000;

/** What a value's text form depends on. */
export const textFormSettings: Readonly<Record<string, string>> = {
  timezone: "UTC",
  datestyle: "ISO, YMD",
  intervalstyle: "iso_8601",
  extra_float_digits: "1",
  bytea_output: "hex",
};

/** What must not depend on the role's, the database's or the server's own settings. */
const sessionSettings: Readonly<Record<string, string>> = {
  ...textFormSettings,
  standard_conforming_strings: "on",
  // Our own statements name every schema; extension types named without one live in public.
  search_path: "pg_catalog, public, pg_temp",
  default_transaction_isolation: "read committed",
  default_transaction_read_only: "off",
  default_transaction_deferrable: "off",
  client_min_messages: "warning",
  // Time limits that an administrator set for applications: a sink idles for hours, and then writes for as long as it takes.
  statement_timeout: "0",
  transaction_timeout: "0",
  idle_session_timeout: "0",
  // A sink that is stopped inside a transaction must not hold its locks for ever; a successor does not wait for this, it ends the session.
  idle_in_transaction_session_timeout: "60s",
  tcp_keepalives_idle: "30",
  tcp_keepalives_interval: "10",
  tcp_keepalives_count: "3",
  jit: "off",
};

/** A server that is not there any more says no goodbye. */
const farewellMs = 2_000;

interface Opened {
  readonly client: pg.Client;
  readonly socket: Socket;
  readonly answerMsMax: number | null;
}

export class Connection implements AsyncDisposable {
  #lost: unknown = null;
  #unanswered = 0;
  #waitingSinceMs: number | null = null;
  private readonly client: pg.Client;

  private constructor(
    readonly pid: number,
    private readonly opened: Opened,
  ) {
    this.client = opened.client;
  }

  static async open(settings: ConnectionSettings, options: OpenOptions): Promise<Connection> {
    const { connectTimeoutMs, lockTimeoutMs, ...where } = settings;
    const socket = new Socket();
    const client = new pg.Client({
      ...where,
      stream: () => socket,
      application_name: options.applicationName,
      connectionTimeoutMillis: connectTimeoutMs,
      keepAlive: true,
      keepAliveInitialDelayMillis: 10_000,
      pipeline: options.pipelined,
    });
    let early: Connection | null = null;
    client.on("error", (error) => early?.lose(error));
    return withTargetErrors(
      async () => {
        await client.connect();
        try {
          const greeted = greet(client, { ...sessionSettings, lock_timeout: `${lockTimeoutMs}ms`, ...options.settings });
          const pid = await inTime(greeted, connectTimeoutMs, () => socket.destroy());
          early = new Connection(pid, { client, socket, answerMsMax: options.answerMsMax ?? null });
          return early;
        } catch (thrown) {
          await goodbye(client, socket);
          throw thrown;
        }
      },
      { host: settings.host, port: settings.port, database: settings.database },
    );
  }

  async query<Row extends pg.QueryResultRow = pg.QueryResultRow>(query: string | Query): Promise<QueryResult<Row>> {
    const { name, text, values } = typeof query === "string" ? { text: query } : query;
    if (this.#unanswered++ === 0) this.#waitingSinceMs = systemClock.monotonicMs();
    try {
      const asked: Promise<QueryResult<Row>> =
        values === undefined
          ? this.client.query<Row>(text)
          : this.client.query<Row>({ text, values: [...values], ...(name === undefined ? {} : { name }) });
      const { answerMsMax } = this.opened;
      if (answerMsMax === null) return await asked;
      return await inTime(asked, answerMsMax, () => this.break(silent(answerMsMax)));
    } finally {
      this.#waitingSinceMs = --this.#unanswered === 0 ? null : systemClock.monotonicMs();
    }
  }

  /** Rows only. */
  async rows<Row extends pg.QueryResultRow>(text: string, values: readonly unknown[] = []): Promise<readonly Row[]> {
    return (await this.query<Row>({ text, values })).rows;
  }

  /** Legal on a pipelined connection. Answers when every statement was answered or the connection is gone; rejects never. */
  async pipeline(queries: readonly Query[]): Promise<PipelineResult> {
    const { socket } = this.opened;
    // One write for all of them: each costs a call to the system, and wakes the server.
    socket.cork();
    const asked = queries.map((query) => this.query(query));
    socket.uncork();
    const settled = await Promise.allSettled(asked);
    // 25P02: not executed because an earlier statement failed. Should that be all there is, it is the failure.
    const failures = settled.flatMap((one, index) => (one.status === "rejected" ? [{ index, error: one.reason as unknown }] : []));
    const failure = failures.find(({ error }) => sqlState(error) !== "25P02") ?? failures[0] ?? null;
    return { results: settled.map((one) => (one.status === "fulfilled" ? one.value : null)), failure };
  }

  /**
   * Legal on a plain connection, inside a transaction. Buffers are asked for one by one while the server takes in those before; when making one fails,
   * so does the transaction, and the connection can be used again.
   */
  async copy(text: string, buffers: Iterable<Buffer>): Promise<void> {
    const stream = this.client.query(copyFrom(text));
    const failed = once(stream, "finish");
    try {
      for (const buffer of buffers) {
        if (stream.destroyed || stream.errored !== null) break;
        if (!stream.write(buffer)) await Promise.race([once(stream, "drain"), failed]);
      }
    } catch (thrown) {
      if (stream.destroyed || stream.errored !== null) throw thrown;
      failed.catch(() => {});
      const closed = new Promise((resolve) => stream.once("close", resolve));
      stream.destroy(new Error("the client gave up"));
      await closed;
      throw thrown;
    }
    stream.end();
    await failed;
  }

  /** Why nothing can be asked of this connection any more; null while it lives. */
  lost(): unknown {
    return this.#lost;
  }

  /** For how long nothing has been answered of what was asked; null: nothing is asked. */
  waitingMs(): number | null {
    return this.#waitingSinceMs === null ? null : systemClock.monotonicMs() - this.#waitingSinceMs;
  }

  /** Gives it up at once: what waits for an answer is rejected. */
  break(reason: unknown): void {
    this.lose(reason);
    this.opened.socket.destroy();
  }

  /** Idempotent. Waits for what was asked before, unless nobody answers. */
  async [Symbol.asyncDispose](): Promise<void> {
    const { client, socket } = this.opened;
    const wasLost = this.#lost !== null;
    this.#lost ??= new TailraceError("target.unavailable", { what: "The connection was closed" });
    // A lost one may never say that it has ended; asking frees its socket all the same.
    if (wasLost) client.end().catch(() => {});
    else await goodbye(client, socket);
  }

  private lose(error: unknown): void {
    this.#lost ??= error;
  }
}

async function goodbye(client: pg.Client, socket: Socket): Promise<void> {
  await inTime(client.end(), farewellMs, () => socket.destroy());
}

/** `late` is called once when the work takes longer; it must make the work end. */
async function inTime<T>(work: Promise<T>, ms: number, late: () => void): Promise<T> {
  const done = new AbortController();
  systemClock.delay(ms, done.signal).then(late, () => {});
  try {
    return await work;
  } finally {
    done.abort();
  }
}

const silent = (ms: number): TailraceError => new TailraceError("target.unavailable", { what: `PostgreSQL has not answered for ${ms} ms` });

async function greet(client: pg.Client, settings: Readonly<Record<string, string>>): Promise<number> {
  const { rows } = await client.query<{ version: number; number: string; encoding: string; pid: number }>(
    `SELECT current_setting('server_version_num')::int AS version, current_setting('server_version') AS number,
            current_setting('server_encoding') AS encoding, pg_backend_pid() AS pid`,
  );
  const [server] = rows;
  if (server === undefined || server.version < versionMin) {
    throw new TailraceError("target.version", { what: `The server is PostgreSQL ${server?.number ?? "?"}` });
  }
  if (server.encoding !== "UTF8") {
    throw new TailraceError("target.encoding", { what: `The database is encoded as ${server.encoding}` });
  }
  await client.query(
    // Older servers do not know them all.
    `SELECT set_config(s.name, s.value, false) FROM unnest($1::text[], $2::text[]) AS s (name, value)
     WHERE current_setting(s.name, true) IS NOT NULL`,
    [Object.keys(settings), Object.values(settings)],
  );
  // Raised, never lowered: remote_apply is a promise that somebody made.
  await client.query(
    "SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') IN ('off', 'local')",
  );
  return server.pid;
}
