/**
 * How other processes ask the one relay for something: rows in the capture log, written as any application would. They are numbered with
 * everything else, so whoever waits for a marker's position has waited for all that was committed before it.
 */
import { systemClock } from "../../core/clock.js";
import type { HoldName, SourceRequests } from "../../core/contracts/source.js";
import { TailraceError } from "../../core/errors.js";
import type { GroupId, MarkerId, PipelineId, RereadId, TableId } from "../../core/vocabulary/ids.js";
import { type Position, position } from "../../core/vocabulary/position.js";
import type { Key } from "../../core/vocabulary/value.js";
import { bindable, keyParameters } from "./cells.js";
import { type Database, openDatabase, withSqliteErrors } from "./database.js";
import { setHold } from "./holds.js";
import { type InstalledTable, isInstalled, readInstalled, readState, refuseOtherPipeline } from "./installed.js";
import { immediately } from "./write.js";

export interface RequestsOptions {
  readonly path: string;
  readonly pipeline: PipelineId;
  readonly group: GroupId;
  readonly busyTimeoutMs?: number;
}

export const touchedKeysMax = 10_000;
const forgottenAtOnce = 2_000;
const pauseMs = 2;

export function openSqliteRequests(options: RequestsOptions): SourceRequests {
  const database = openDatabase(options.path, { readonly: false, busyTimeoutMs: options.busyTimeoutMs ?? 5_000 });
  try {
    withSqliteErrors(options.path, () => {
      const state = isInstalled(database) ? readState(database, options.group) : null;
      if (state === null)
        throw new TailraceError("source.not-applied", { what: "The source has no capture objects", where: { path: options.path } });
      refuseOtherPipeline(state, options.pipeline, options.path);
    });
    return new SqliteRequests(database, options);
  } catch (thrown) {
    database.close();
    throw thrown;
  }
}

class SqliteRequests implements SourceRequests {
  constructor(
    private readonly database: Database,
    private readonly options: RequestsOptions,
  ) {}

  async marker(marker: MarkerId): Promise<Position> {
    return this.#write(() => {
      const { lastInsertRowid } = this.database.prepare("INSERT INTO _cdc_log (op, ts, k0) VALUES ('M', julianday('now'), ?)").run(marker);
      return position(readState(this.database, this.options.group)?.history ?? 0, Number(lastInsertRowid));
    });
  }

  async touch(table: TableId, keys: readonly Key[]): Promise<void> {
    if (keys.length > touchedKeysMax) throw new Error(`at most ${touchedKeysMax} keys in one call`);
    this.#write(() => {
      const { number, description } = this.#captured(table);
      const columns = description.key.map((_, i) => `k${i}`).join(", ");
      for (const key of keys) {
        this.database
          .prepare(
            `INSERT INTO _cdc_log (t, op, ts, ${columns}) VALUES (${number}, 'T', julianday('now'), ${keyParameters(key).join(", ")})`,
          )
          .run(...bindable(key));
      }
    });
  }

  async reread(tables: readonly TableId[] | null, reread: RereadId): Promise<void> {
    this.#write(() => this.#want(tables === null ? [null] : this.#numbers(tables), "ask", reread));
  }

  async refill(tables: readonly TableId[], reread: RereadId): Promise<void> {
    this.#write(() => this.#want(this.#numbers(tables), "gap", reread));
  }

  async hold(name: HoldName, from: Position | null, forMs: number): Promise<void> {
    this.#write(() => setHold(this.database, this.options.group, { name, from, forMs }));
  }

  async beginAnew(): Promise<void> {
    // Numbers go on: a row that comes later must not look like one that was read before.
    const sayNothing = this.database.prepare("INSERT INTO _cdc_log (op, ts) VALUES ('M', julianday('now'))");
    const first = this.#write(() => sayNothing.run().lastInsertRowid);
    // Oldest first, a few at a time: the application writes in between. The past is another one as soon as the row is gone by which it is recognised.
    const forget = this.database.prepare("DELETE FROM _cdc_log WHERE seq < (SELECT min(seq) + ? FROM _cdc_log) AND seq < ?");
    while (this.#write(() => forget.run(forgottenAtOnce, first).changes) > 0)
      await systemClock.delay(pauseMs, new AbortController().signal);
  }

  [Symbol.dispose](): void {
    this.database.close();
  }

  #write<T>(work: () => T): T {
    return withSqliteErrors(this.options.path, () => immediately(this.database, work));
  }

  #want(numbers: readonly (bigint | null)[], why: "ask" | "gap", reread: RereadId): void {
    const insert = this.database.prepare("INSERT INTO _cdc_log (t, op, ts, v0, k0) VALUES (?, 'S', julianday('now'), ?, ?)");
    for (const number of numbers) insert.run(number, why, reread);
  }

  #numbers(tables: readonly TableId[]): readonly bigint[] {
    return tables.map((table) => BigInt(this.#captured(table).number));
  }

  #captured(name: TableId): InstalledTable {
    const table = readInstalled(this.database).find((t) => t.description.table === name && t.state === "captured");
    if (table !== undefined) return table;
    throw new TailraceError("source.not-applied", { what: `Table '${name}' is not captured`, where: { table: name } });
  }
}
