/**
 * The transaction of the switch. It is opened before the fence is kept, so that locks are had and everything is in place while a failure is still free;
 * between keeping the fence and COMMIT there are three small updates.
 *
 * A process that is stopped inside it must not keep its locks: the server ends the session after a few seconds.
 */
import type { GivenNumber, OpenSwitch, RouteState } from "../../../core/contracts/cutover.js";
import type { TablePlan } from "../../../core/contracts/plan.js";
import { TailraceError } from "../../../core/errors.js";
import { commit, rollback } from "../commit.js";
import { Connection } from "../connection.js";
import type { ConnectionSettings } from "../connection-url.js";
import { asTargetError, sqlState } from "../pg-errors.js";
import { qualified } from "../quote.js";
import { type Held, moveQuery, takenOver } from "./journal.js";
import { readReadyPlan, readReturnPlan } from "./ready-plan.js";
import type { RoutePlace } from "./place.js";
import { liftFence } from "./lift-fence.js";
import { switchRoute } from "./route.js";

export interface SwitchOptions {
  readonly place: RoutePlace;
  readonly held: Held;
  readonly side: "source" | "target";
  readonly tables: readonly TablePlan[];
  readonly numbers: readonly GivenNumber[];
  readonly onSwitched: () => void;
}

/** A reader of the tables that holds us up longer than this makes everybody wait; then it is better to try another time. */
const lockTimeout = "1s";
const silenceMax = "5s";

/** Made before writes wait. */
export function connectSwitch(settings: ConnectionSettings, applicationName: string): Promise<Connection> {
  const limits = { lock_timeout: lockTimeout, idle_in_transaction_session_timeout: silenceMax };
  return Connection.open(settings, { applicationName, pipelined: false, settings: limits });
}

/** The connection is the switch's from here on. */
export async function openSwitch(connection: Connection, options: SwitchOptions, signal: AbortSignal): Promise<OpenSwitch> {
  // Several statements may each wait for a lock: the pause has a limit that none of them knows.
  const stop = (): void => void connection[Symbol.asyncDispose]().catch(() => {});
  signal.addEventListener("abort", stop, { once: true });
  try {
    signal.throwIfAborted();
    await connection.query("BEGIN");
    await ensureDirections(connection, options.place);
    const behind = await statementsBehind(connection, options);
    if (behind.length > 0) await connection.query(behind.join(";\n"));
    return new PostgresSwitch(connection, options, behind);
  } catch (thrown) {
    await connection[Symbol.asyncDispose]();
    signal.throwIfAborted();
    throw notReady(thrown);
  } finally {
    signal.removeEventListener("abort", stop);
  }
}

/** Whichever side is left keeps its fence; the one that is gone to loses what an earlier rollback has left. */
async function statementsBehind(connection: Connection, { place, side, tables, numbers }: SwitchOptions): Promise<readonly string[]> {
  if (side === "source") {
    // Writers that a lease let through when it was over have ended by then, and are counted when the fence is kept.
    const locked = `LOCK TABLE ${tables.map(({ target }) => qualified(target)).join(", ")} IN SHARE ROW EXCLUSIVE MODE`;
    return [locked, ...(await readReturnPlan(connection, tables)).behind];
  }
  const { behind } = await readReadyPlan(connection, tables, numbers);
  return [...behind, ...(await liftFence(connection, place))];
}

/** Both directions have a row; the one that was never used is not active. */
async function ensureDirections(connection: Connection, { pipeline, group }: RoutePlace): Promise<void> {
  await connection.query({
    text: `INSERT INTO tailrace.pipeline (pipeline, group_id, direction, active) SELECT $1, $2, d.name, false
           FROM (VALUES ('forward'), ('reverse')) AS d (name) ON CONFLICT (pipeline, group_id, direction) DO NOTHING`,
    values: [pipeline, group],
  });
}

/** Whatever PostgreSQL refuses here is about an object, and says its name. */
function notReady(thrown: unknown): unknown {
  if (sqlState(thrown) === "") return asTargetError(thrown);
  const error = asTargetError(thrown);
  if (!(error instanceof TailraceError) || error.verdict !== "stop") {
    return sqlState(thrown) === "55P03"
      ? new TailraceError("cutover.not-ready", { what: "Somebody holds a lock on a target table (a long query?)", cause: error })
      : error;
  }
  return new TailraceError("cutover.not-ready", { what: error.message, where: error.where, cause: error });
}

class PostgresSwitch implements OpenSwitch {
  #ended = false;

  constructor(
    private readonly connection: Connection,
    private readonly options: SwitchOptions,
    readonly did: readonly string[],
  ) {}

  async commit(from: RouteState): Promise<RouteState> {
    const { place, held, side } = this.options;
    try {
      // In the order in which everybody locks: journal, route, pipeline.
      const { rows } = await this.connection.query(moveQuery(held, "switching", "switched", {}));
      if (rows.length === 0) throw await takenOver(this.connection, held, "switching");
      const route = await switchRoute(this.connection, { place, held }, from, side);
      await this.#turn();
      this.#ended = true;
      await commit(this.connection);
      this.options.onSwitched();
      return route;
    } catch (thrown) {
      throw asTargetError(thrown);
    }
  }

  /**
   * From here on no forward sink can commit: its first statement asks for epoch and direction. An idle one compares its epoch with the active
   * direction's, so that number must be one that nobody has yet.
   */
  async #turn(): Promise<void> {
    const { place, side } = this.options;
    const active = side === "target" ? "reverse" : "forward";
    await this.connection.query({
      text: `UPDATE tailrace.pipeline AS p SET active = (p.direction = $3),
               owner_epoch = (SELECT max(owner_epoch) FROM tailrace.pipeline WHERE pipeline = $1 AND group_id = $2) + 1
             WHERE pipeline = $1 AND group_id = $2`,
      values: [place.pipeline, place.group, active],
    });
  }

  /** Idempotent. */
  async [Symbol.asyncDispose](): Promise<void> {
    // Once COMMIT was sent there is nothing to take back.
    if (!this.#ended) await rollback(this.connection);
    await this.connection[Symbol.asyncDispose]();
  }
}
