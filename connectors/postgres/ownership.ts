/**
 * Who may write to a pipeline's tables: one owner per (pipeline, group, direction), by a session advisory lock on a connection of its own.
 *
 * Promises: the lock's session is asked for something every 500 ms, and the server ends it when it was silent for 5 s, so a process that is stopped
 * or cut off loses the lock. A server that is silent for as long is given up, and with it the connections beside the lock. A successor that finds the holder silent ends its sessions; once it has the lock, it ends whatever sessions of the last
 * owner are left, since one of them may hold the row that the fence needs. Safety does not hang on any of this: the fence alone decides what commits.
 */
import { createHash } from "node:crypto";
import type { Clock } from "../../core/clock.js";
import { isAbort, TailraceError } from "../../core/errors.js";
import { Companions } from "./companions.js";
import { Connection } from "./connection.js";
import type { ConnectionSettings } from "./connection-url.js";
import { asTargetError } from "./pg-errors.js";
import type { Place } from "./state.js";

/** A cutover is held by one operator as tables are by one sink, and the stream back by one source. */
export type OwnedPlace = Omit<Place, "direction"> & { readonly direction: Place["direction"] | "cutover" | "way-back" };

const beatMs = 500;
const silenceMax = "5s";
/** The lock is gone by then, whatever the server has to say later. Longer than the server's own patience: its word is the better one. */
const answerMsMax = 10_000;
const askAgainMs = 50;

export interface OwnershipOptions<P extends OwnedPlace = Place> {
  readonly settings: ConnectionSettings;
  readonly applicationName: string;
  readonly place: P;
  readonly takeoverMs: number;
  readonly clock: Clock;
}

export class Ownership implements AsyncDisposable {
  readonly #closing = new AbortController();
  readonly #companions = new Companions();
  #beating: Promise<void> = Promise.resolve();
  #lost: unknown = null;

  private constructor(
    private readonly connection: Connection,
    private readonly clock: Clock,
  ) {}

  static async take(options: OwnershipOptions<OwnedPlace>, signal: AbortSignal): Promise<Ownership> {
    const connection = await Connection.open(options.settings, {
      applicationName: options.applicationName,
      pipelined: false,
      answerMsMax,
      settings: { idle_session_timeout: silenceMax },
    });
    try {
      await waitForLock(connection, options, signal);
    } catch (thrown) {
      await connection[Symbol.asyncDispose]();
      throw thrown;
    }
    const ownership = new Ownership(connection, options.clock);
    ownership.#beating = ownership.#beat();
    return ownership;
  }

  get pid(): number {
    return this.connection.pid;
  }

  /** Throws when the lock's session has ended: somebody else may be the owner by now. */
  assertHeld(): void {
    const lost = this.#lost ?? this.connection.lost();
    if (lost === null) return;
    throw new TailraceError("target.unavailable", {
      what: "The session that holds the owner's lock has ended",
      cause: asTargetError(lost),
    });
  }

  /** A connection that lives and dies with the lock. */
  accompany(connection: Connection): void {
    this.#companions.add(connection);
  }

  /** Ends sessions that an earlier owner left behind. */
  async endSessions(pids: readonly number[], applicationName: string): Promise<void> {
    await endSessions(this.connection, pids, applicationName);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closing.abort();
    // The connection first: it ends a beat that waits for a server which does not answer.
    await this.connection[Symbol.asyncDispose]();
    await this.#beating;
  }

  async #beat(): Promise<void> {
    try {
      for (;;) {
        await this.clock.delay(beatMs, this.#closing.signal);
        await this.#companions.check(this.connection);
      }
    } catch (thrown) {
      if (isAbort(thrown)) return;
      // Kept for the next who asks; who waits for an answer is told at once.
      this.#lost = thrown;
      this.#companions.break(thrown);
    }
  }
}

interface Holder {
  readonly pid: number;
  readonly silent_ms: number | null;
  readonly seen: string | null;
}

async function waitForLock(connection: Connection, options: OwnershipOptions<OwnedPlace>, signal: AbortSignal): Promise<void> {
  const key = lockKey(options.place);
  const { takeoverMs, clock } = options;
  const deadline = clock.monotonicMs() + takeoverMs;
  let first: Holder | null = null;
  for (;;) {
    const [row] = await connection.rows<{ locked: boolean }>("SELECT pg_try_advisory_lock($1::bigint) AS locked", [key]);
    if (row?.locked === true) return;
    const holder = await findHolder(connection, key);
    if (holder !== null) {
      first ??= holder;
      const beats = holder.pid !== first.pid || holder.seen !== first.seen;
      if (beats || (clock.monotonicMs() > deadline && !isSilent(holder, takeoverMs))) throw standingBy(options.place, holder);
      if (isSilent(holder, takeoverMs)) await endSessions(connection, [holder.pid], options.applicationName);
    }
    await clock.delay(askAgainMs, signal);
  }
}

/** Another role's activity cannot be seen: then it counts as alive, and the answer is to stand by. */
const isSilent = ({ silent_ms }: Holder, takeoverMs: number): boolean => silent_ms !== null && silent_ms > takeoverMs;

async function findHolder(connection: Connection, key: string): Promise<Holder | null> {
  const [holder] = await connection.rows<Holder>(
    `SELECT l.pid, extract(epoch FROM clock_timestamp() - greatest(a.state_change, a.query_start))::float8 * 1000 AS silent_ms,
       greatest(a.state_change, a.query_start)::text AS seen
     FROM pg_locks AS l LEFT JOIN pg_stat_activity AS a ON a.pid = l.pid
     WHERE l.locktype = 'advisory' AND l.objsubid = 1 AND l.granted AND (l.classid::bigint << 32 | l.objid::bigint) = $1::bigint
       AND l.database = (SELECT d.oid FROM pg_database AS d WHERE d.datname = current_database())`,
    [key],
  );
  return holder ?? null;
}

/** Only sessions of this pipeline: a pid may have been given to somebody else since it was written down. */
async function endSessions(connection: Connection, pids: readonly number[], applicationName: string): Promise<void> {
  await connection.query({
    text: `SELECT pg_terminate_backend(a.pid, 5000) FROM pg_stat_activity AS a
           WHERE a.pid = ANY ($1::integer[]) AND a.application_name = $2 AND a.datname = current_database()`,
    values: [pids, applicationName],
  });
}

/** 63 bits, so that it is one non-negative bigint in pg_locks as well. */
function lockKey({ pipeline, group, direction }: OwnedPlace): string {
  const hash = createHash("sha256")
    .update(JSON.stringify(["tailrace", pipeline, group, direction]))
    .digest();
  return (hash.readBigUInt64BE(0) >> 1n).toString();
}

const standingBy = ({ pipeline, group, direction }: OwnedPlace, { pid }: Holder): TailraceError =>
  new TailraceError("target.standing-by", {
    what: direction === "way-back" ? "Another process carries changes back and answers" : "Another sink holds this pipeline and answers",
    where: { pipeline, group, direction, backend: pid },
  });
