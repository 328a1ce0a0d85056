/**
 * PostgreSQL as the side that is fenced off: for a rollback.
 *
 * Promises: when `fence` has returned, no transaction of an application can write to a table of the group, whatever snapshot it has, and none that has
 * written is still open: every table was locked against writers while the fence went up. What the lease leaves open when it ends is counted by the
 * trigger itself, so a fence that did not hold all the time is never kept. The sink's own writes pass.
 * A crash leaves a lease, which ends, or a kept fence; triggers that are left behind let everything through.
 */
import { createHash } from "node:crypto";
import { type Clock, systemClock } from "../../../core/clock.js";
import type { FenceState, Kept, Leased, SourceFence } from "../../../core/contracts/cutover.js";
import type { TablePlan } from "../../../core/contracts/plan.js";
import { TailraceError } from "../../../core/errors.js";
import type { Secret } from "../../../core/secret.js";
import { type GroupId, type MarkerId, markerId, type PipelineId } from "../../../core/vocabulary/ids.js";
import { type Position, position } from "../../../core/vocabulary/position.js";
import { Connection } from "../connection.js";
import { parseConnectionUrl } from "../connection-url.js";
import { sqlState, withTargetErrors } from "../pg-errors.js";
import { qualified, quoteText } from "../quote.js";
import { markerQuery } from "../source/marker.js";
import { readStoredPlan } from "../stored-plan.js";
import { fenceTrigger, keptForever } from "./fence-schema.js";

export interface PostgresFenceOptions {
  readonly url: Secret;
  readonly pipeline: PipelineId;
  readonly clock?: Clock;
}

export const openPostgresFence = (options: PostgresFenceOptions): SourceFence => new PostgresFence(options);

/** While we wait for writers to end, new ones wait behind us: a little at a time. */
const lockSliceMs = 300;
/** Of a sequence from 1: the first call does not change its last value. */
const timesRaised = "last_value - 1 + is_called::int";

interface FenceRow {
  readonly marker: string | null;
  readonly history: string | null;
  readonly order: string | null;
  readonly left_ms: number;
  readonly kept: boolean;
  /** Nothing was written past it. */
  readonly whole: boolean;
}
interface Standing {
  readonly marker: MarkerId;
  readonly at: Position;
  readonly row: FenceRow;
}

class PostgresFence implements SourceFence {
  readonly #clock: Clock;

  constructor(private readonly options: PostgresFenceOptions) {
    this.#clock = options.clock ?? systemClock;
  }

  async prove(group: GroupId): Promise<void> {
    await this.#ask(async (connection) => {
      const tables = await this.#tables(connection, group);
      const found = await connection.rows<{ name: string; ours: boolean }>(
        `SELECT w.name, coalesce(pg_has_role(c.relowner, 'USAGE'), false) AS ours FROM unnest($1::text[]) AS w (name)
         LEFT JOIN pg_class AS c ON c.oid = to_regclass(w.name)`,
        [tables.map(({ target }) => qualified(target))],
      );
      const other = found.find(({ ours }) => !ours);
      if (other === undefined) return;
      throw new TailraceError("target.privileges", {
        what: "A table is gone, or our role does not own it: it cannot be fenced off",
        where: { table: other.name },
      });
    });
  }

  async fence(
    group: GroupId,
    marker: MarkerId,
    limits: { readonly waitMs: number; readonly leaseMs: number },
    signal: AbortSignal,
  ): Promise<Leased> {
    return this.#ask(async (connection) => {
      const tables = await this.#tables(connection, group);
      await this.#ensure(connection, group);
      const deadline = this.#clock.monotonicMs() + limits.waitMs;
      for (;;) {
        signal.throwIfAborted();
        try {
          return await transaction(connection, () => this.#raise(connection, { group, marker, tables, leaseMs: limits.leaseMs }));
        } catch (thrown) {
          if (sqlState(thrown) !== "55P03") throw thrown;
          if (this.#clock.monotonicMs() >= deadline) {
            throw new TailraceError("source.busy", {
              what: "A transaction that has written to the tables does not end",
              where: { group },
              cause: thrown,
            });
          }
        }
        await this.#clock.delay(1, signal);
      }
    });
  }

  async renew(group: GroupId, marker: MarkerId, leaseMs: number): Promise<Leased> {
    return this.#held(group, marker, async (connection, standing) => {
      if (standing.row.kept) throw lost("The fence is kept, and has no lease", group, marker);
      await this.#lease(connection, group, leaseMs);
      return this.#leased(standing, leaseMs);
    });
  }

  async keep(group: GroupId, marker: MarkerId): Promise<Kept> {
    return this.#held(group, marker, async (connection, { at }) => {
      await connection.query(`SELECT setval('tailrace.${this.#names(group).until}', ${keptForever})`);
      return { kind: "kept", marker, at };
    });
  }

  async release(group: GroupId, marker: MarkerId): Promise<void> {
    await this.#ask(async (connection) => {
      const { rowCount } = await connection.query({
        text: `WITH f AS (UPDATE tailrace.fence SET marker = NULL WHERE pipeline = $1 AND group_id = $2 AND marker = $3 RETURNING until_sequence)
               SELECT setval(format('tailrace.%I', f.until_sequence)::regclass, 1) FROM f`,
        values: [this.options.pipeline, group, marker],
      });
      if (rowCount === 0) return;
      // They let everything through; a reader that holds a table for long is no reason to wait.
      await connection.query(`SET lock_timeout = ${lockSliceMs}`);
      for (const statement of dropTriggers(await this.#tables(connection, group))) {
        await connection.query(statement).catch((thrown: unknown) => {
          if (sqlState(thrown) !== "55P03") throw thrown;
        });
      }
    });
  }

  async state(group: GroupId): Promise<FenceState> {
    return this.#ask(async (connection) => {
      const standing = await this.#standing(connection, group, "");
      if (standing === null) return { kind: "open" };
      const { marker, at, row } = standing;
      return row.kept ? { kind: "kept", marker, at } : this.#leased(standing, row.left_ms);
    });
  }

  /** Nothing to release: every act has closed its connection. */
  [Symbol.dispose](): void {}

  async #raise(
    connection: Connection,
    {
      group,
      marker,
      tables,
      leaseMs,
    }: { readonly group: GroupId; readonly marker: MarkerId; readonly tables: readonly TablePlan[]; readonly leaseMs: number },
  ): Promise<Leased> {
    const before = await this.#standing(connection, group, "FOR UPDATE");
    if (before !== null && before.marker !== marker) {
      throw new TailraceError("cutover.fence-taken", {
        what: "Writes are fenced off by another rollback",
        where: { marker: before.marker },
      });
    }
    if (before !== null) return await this.#again(connection, before, group, leaseMs);
    await connection.query(`SET LOCAL lock_timeout = ${lockSliceMs}`);
    await connection.query(`LOCK TABLE ${tables.map(({ target }) => qualified(target)).join(", ")} IN SHARE ROW EXCLUSIVE MODE`);
    for (const { target } of tables) {
      const on = qualified(target);
      await connection.query(
        `CREATE OR REPLACE TRIGGER ${fenceTrigger} BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON ${on}
         FOR EACH STATEMENT EXECUTE FUNCTION tailrace.refuse_fenced(${quoteText(this.#names(group).until)}, ${quoteText(this.#names(group).passed)})`,
      );
      await connection.query(`ALTER TABLE ${on} ENABLE ALWAYS TRIGGER ${fenceTrigger}`);
    }
    await connection.query({
      text: `UPDATE tailrace.fence SET marker = $3, lsn = pg_current_wal_insert_lsn(), passed = (SELECT ${timesRaised} FROM tailrace.${this.#names(group).passed}),
               history = coalesce((SELECT history FROM tailrace.way_back AS w WHERE w.pipeline = $1 AND w.group_id = $2), 0)
             WHERE pipeline = $1 AND group_id = $2`,
      values: [this.options.pipeline, group, marker],
    });
    await connection.query(markerQuery({ pipeline: this.options.pipeline, group }, marker));
    await this.#lease(connection, group, leaseMs);
    const raised = await this.#standing(connection, group, "");
    if (raised === null) throw lost("The lease is over before it began", group, marker);
    return this.#leased(raised, leaseMs);
  }

  /** The same rollback asks once more; a kept fence stays as it is. */
  async #again(connection: Connection, standing: Standing, group: GroupId, leaseMs: number): Promise<Leased> {
    if (!standing.row.whole) throw lost("Something was written past the fence", group, standing.marker);
    if (!standing.row.kept) await this.#lease(connection, group, leaseMs);
    return this.#leased(standing, leaseMs);
  }

  /**
   * Throws unless it has held since it went up. Whoever keeps it has locked the tables in the switch's own transaction (open-switch.ts), so whatever was
   * let through before that has been counted by now, and nothing can follow.
   */
  async #held<T>(group: GroupId, marker: MarkerId, work: (connection: Connection, standing: Standing) => Promise<T>): Promise<T> {
    return this.#ask(async (connection) => {
      const tables = await this.#tables(connection, group);
      return await transaction(connection, async () => {
        const first = await this.#standing(connection, group, "FOR UPDATE");
        if (first === null || first.marker !== marker) throw lost("The fence is no longer there", group, marker);
        if (first.row.kept) return await work(connection, first);
        if (!first.row.whole) throw lost("Something was written past the fence", group, marker);
        await refuseMissing(connection, tables, group, marker);
        // A transaction of its own right: only with a row changed is its COMMIT waited for until it is durable.
        await connection.query({
          text: "UPDATE tailrace.fence SET marker = marker WHERE pipeline = $1 AND group_id = $2",
          values: [this.options.pipeline, group],
        });
        return await work(connection, first);
      });
    });
  }

  #leased({ marker, at }: Standing, leftMs: number): Leased {
    return { kind: "leased", marker, at, untilMs: this.#clock.wallMs() + leftMs };
  }

  async #lease(connection: Connection, group: GroupId, leaseMs: number): Promise<void> {
    await connection.query({
      text: `SELECT setval('tailrace.${this.#names(group).until}', (extract(epoch FROM clock_timestamp()) * 1000)::bigint + $1::bigint)`,
      values: [Math.round(leaseMs)],
    });
  }

  /** null: open, or a lease that is over. */
  async #standing(connection: Connection, group: GroupId, lock: "" | "FOR UPDATE"): Promise<Standing | null> {
    const [there] = await connection.rows<{ found: boolean }>("SELECT to_regclass($1) IS NOT NULL AS found", [
      `tailrace.${this.#names(group).until}`,
    ]);
    if (there?.found !== true) return null;
    const { until, passed } = this.#names(group);
    // As subqueries: a sequence's row cannot be locked, nor stand beside one that is.
    const [row] = await connection.rows<FenceRow>(
      `SELECT f.marker, f.history, f.lsn - '0/0'::pg_lsn AS order, (SELECT last_value FROM tailrace.${until}) >= ${keptForever} AS kept,
         (SELECT last_value FROM tailrace.${until}) - (extract(epoch FROM clock_timestamp()) * 1000)::float8 AS left_ms,
         (SELECT ${timesRaised} FROM tailrace.${passed}) = f.passed AS whole
       FROM tailrace.fence AS f WHERE f.pipeline = $1 AND f.group_id = $2 ${lock}`,
      [this.options.pipeline, group],
    );
    if (row === undefined || row.marker === null || row.left_ms <= 0) return null;
    return { row, marker: markerId(row.marker), at: position(Number(row.history), Number(row.order)) };
  }

  #names(group: GroupId): { readonly until: string; readonly passed: string } {
    const place = JSON.stringify([this.options.pipeline, group]);
    const unique = createHash("sha256").update(place).digest("hex").slice(0, 16);
    return { until: `fence_until_${unique}`, passed: `fence_passed_${unique}` };
  }

  async #ensure(connection: Connection, group: GroupId): Promise<void> {
    for (const name of Object.values(this.#names(group))) await connection.query(`CREATE SEQUENCE IF NOT EXISTS tailrace.${name}`);
    await connection.query({
      text: `INSERT INTO tailrace.fence (pipeline, group_id, until_sequence, passed_sequence) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING`,
      values: [this.options.pipeline, group, this.#names(group).until, this.#names(group).passed],
    });
  }

  async #tables(connection: Connection, group: GroupId): Promise<readonly TablePlan[]> {
    const { pipeline } = this.options;
    const tables = (await readStoredPlan(connection, pipeline))?.tables.filter((table) => table.group === group) ?? [];
    if (tables.length > 0) return tables;
    throw new TailraceError("plan.missing", { what: "The target holds no plan of this pipeline", where: { pipeline, group } });
  }

  async #ask<T>(work: (connection: Connection) => Promise<T>): Promise<T> {
    const { url, pipeline } = this.options;
    const applicationName = `tailrace-fence/${pipeline.replaceAll(/[^ -~]/g, "?")}`.slice(0, 63);
    await using connection = await Connection.open(parseConnectionUrl(url.reveal()), { applicationName, pipelined: false });
    return await withTargetErrors(() => work(connection));
  }
}

async function transaction<T>(connection: Connection, work: () => Promise<T>): Promise<T> {
  await connection.query("BEGIN");
  try {
    const result = await work();
    await connection.query("COMMIT");
    return result;
  } catch (thrown) {
    if (connection.lost() === null) await connection.query("ROLLBACK");
    throw thrown;
  }
}

async function refuseMissing(connection: Connection, tables: readonly TablePlan[], group: GroupId, marker: MarkerId): Promise<void> {
  const [row] = await connection.rows<{ found: number }>(
    `SELECT count(*)::int AS found FROM pg_trigger AS t WHERE t.tgname = $2 AND t.tgenabled = 'A' AND t.tgrelid = ANY (
       SELECT to_regclass(w.name) FROM unnest($1::text[]) AS w (name))`,
    [tables.map(({ target }) => qualified(target)), fenceTrigger],
  );
  if (row?.found !== tables.length) throw lost("Somebody has taken the fence away from a table", group, marker);
}

export const dropTriggers = (tables: readonly TablePlan[]): readonly string[] =>
  tables.map(({ target }) => `DROP TRIGGER IF EXISTS ${fenceTrigger} ON ${qualified(target)}`);

const lost = (what: string, group: GroupId, marker: MarkerId): TailraceError =>
  new TailraceError("cutover.fence-lost", { what, where: { group, marker } });
