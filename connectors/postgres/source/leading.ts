/**
 * PostgreSQL as the side that applications write to, for whoever compares it with what comes back.
 *
 * A row's version is where it lies and the transaction that wrote it: every change makes another one. Between its commit record, from which on a
 * transaction is carried back, and the moment at which it can be seen (a synchronous standby may be in between) it holds its locks; whoever has locked or
 * changed a row stands in the row, and whoever is about to add one holds a lock on the table. So a row that nobody stands in, or whose table nobody
 * writes to, is as new as what was carried back.
 */
import { type Clock, systemClock } from "../../../core/clock.js";
import type { TargetPlan } from "../../../core/contracts/plan.js";
import {
  absentVersion,
  type KeysOfTable,
  type Leading,
  type RowName,
  type RowReader,
  type RowVersions,
} from "../../../core/contracts/row-reader.js";
import { Secret } from "../../../core/secret.js";
import { markerId, type TableId } from "../../../core/vocabulary/ids.js";
import type { TableDescription } from "../../../core/vocabulary/table.js";
import { Connection } from "../connection.js";
import { parseConnectionUrl } from "../connection-url.js";
import { withTargetErrors } from "../pg-errors.js";
import { quoteText } from "../quote.js";
import type { ReadStatements } from "../read-statements.js";
import { loadReadStatements, openPostgresRowReader } from "../row-reader.js";
import { type WayPlace, writeMarker } from "./marker.js";
import { touchRows } from "./touch.js";

export interface PostgresLeadingOptions extends WayPlace {
  readonly url: Secret | string;
  readonly plan: TargetPlan;
  /** The file's tables, whose keys rows are named by. */
  readonly describe: (table: TableId) => TableDescription;
  readonly clock?: Clock;
  /** How long those who write to a table are waited for. */
  readonly writersMs?: number;
}

const defaultWritersMs = 1_000;
const lookAgainMs = 5;

export async function openPostgresLeading(options: PostgresLeadingOptions, signal: AbortSignal): Promise<Leading> {
  const { url, pipeline, group, plan, describe } = options;
  const rows = await openPostgresRowReader({ url, pipeline, group, plan, describe, labelled: false }, signal);
  try {
    const settings = parseConnectionUrl(url instanceof Secret ? url.reveal() : url);
    const connection = await Connection.open(settings, { applicationName: "tailrace verify versions", pipelined: false });
    // A marker that is lost is written again: no standby has to be waited for.
    await connection.query("SET synchronous_commit = local");
    return new PostgresLeading(connection, rows, options);
  } catch (thrown) {
    await rows[Symbol.asyncDispose]();
    throw thrown;
  }
}

interface VersionRow {
  readonly reign: string | null;
  readonly key: string[] | null;
  readonly version: string | null;
  readonly locker: string | null;
}
interface Looked extends RowVersions {
  readonly unsure: ReadonlySet<string>;
}

class PostgresLeading implements Leading {
  readonly #tables = new Map<TableId, ReadStatements>();
  /** One for all: it is told anew each time it is written. */
  readonly #marker = markerId(`verify-${crypto.randomUUID()}`);
  readonly #clock: Clock;

  constructor(
    private readonly connection: Connection,
    readonly rows: RowReader,
    private readonly options: PostgresLeadingOptions,
  ) {
    this.#clock = options.clock ?? systemClock;
  }

  async versions(table: TableId, rows: readonly RowName[], signal: AbortSignal): Promise<RowVersions> {
    const first = await this.#look(table, rows, signal);
    if (first.unsure.size === 0) return first;
    const isSure = await this.#writersEnded(table, signal);
    const second = await this.#look(table, rows, signal);
    if (isSure) return second;
    return { reign: second.reign, versions: new Map([...second.versions].filter(([id]) => !second.unsure.has(id))) };
  }

  async mark(signal: AbortSignal): Promise<number> {
    signal.throwIfAborted();
    return await withTargetErrors(() => writeMarker(this.connection, this.options, this.#marker));
  }

  async touch(rows: readonly KeysOfTable[], signal: AbortSignal): Promise<void> {
    const { connection, options: place } = this;
    const statementsOf = (table: TableId): Promise<ReadStatements> => this.#table(table);
    await withTargetErrors(() => touchRows({ connection, place, plan: place.plan, statementsOf, clock: this.#clock }, rows, signal));
  }

  async reign(signal: AbortSignal): Promise<string | null> {
    signal.throwIfAborted();
    const [row] = await withTargetErrors(() => this.connection.rows<{ reign: string | null }>(`SELECT at.reign FROM ${this.#label()}`));
    return row?.reign ?? null;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.rows[Symbol.asyncDispose]();
    await this.connection[Symbol.asyncDispose]();
  }

  async #look(table: TableId, rows: readonly RowName[], signal: AbortSignal): Promise<Looked> {
    signal.throwIfAborted();
    const it = await this.#table(table);
    const { text, values } = it.versions(
      rows.map(({ key }) => key),
      this.#label(),
    );
    const found = await withTargetErrors(() => this.connection.rows<VersionRow & Record<string, unknown>>(text, values));
    const versions = new Map(rows.map(({ id }) => [id, absentVersion]));
    const unsure = new Set(versions.keys());
    for (const { key, version, locker } of found) {
      if (key === null || version === null) continue;
      const { id } = it.names.ofTarget(key);
      versions.set(id, version);
      if (locker === "0") unsure.delete(id);
    }
    return { reign: found[0]?.reign ?? null, versions, unsure };
  }

  /** True: everybody who was writing to the table has ended, so whatever was carried back can be seen. */
  async #writersEnded(table: TableId, signal: AbortSignal): Promise<boolean> {
    const deadline = this.#clock.monotonicMs() + (this.options.writersMs ?? defaultWritersMs);
    let waited = await this.#writers(table);
    while (waited.size > 0) {
      if (this.#clock.monotonicMs() > deadline) return false;
      await this.#clock.delay(lookAgainMs, signal);
      const now = await this.#writers(table);
      waited = new Set([...waited].filter((writer) => now.has(writer)));
    }
    return true;
  }

  async #writers(table: TableId): Promise<ReadonlySet<string>> {
    const { text, values } = (await this.#table(table)).writers();
    const rows = await withTargetErrors(() => this.connection.rows<{ writer: string }>(text, values));
    return new Set(rows.map(({ writer }) => writer));
  }

  #label(): string {
    const { pipeline, group } = this.options;
    return `(SELECT max(p.owner_epoch) FILTER (WHERE p.active AND p.direction = 'reverse') AS reign FROM tailrace.pipeline AS p
      WHERE p.pipeline = ${quoteText(pipeline)} AND p.group_id = ${group}) AS at`;
  }

  async #table(table: TableId): Promise<ReadStatements> {
    const description = this.options.describe(table);
    const known = this.#tables.get(table);
    if (known?.description === description) return known;
    const fresh = await loadReadStatements(this.connection, this.options.plan, description);
    this.#tables.set(table, fresh);
    return fresh;
  }
}
