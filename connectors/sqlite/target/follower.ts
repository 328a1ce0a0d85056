/**
 * The file as the side that follows, for whoever compares it: its rows, labelled by what has come back to it, and the keys whose rows have. Owns nothing.
 */
import { breathe } from "../../../core/clock.js";
import type { Between, ChangedKey, Following } from "../../../core/contracts/row-reader.js";
import type { HoldName } from "../../../core/contracts/source.js";
import { TailraceError } from "../../../core/errors.js";
import { type TableId, tableId } from "../../../core/vocabulary/ids.js";
import type { Position } from "../../../core/vocabulary/position.js";
import type { TableDescription } from "../../../core/vocabulary/table.js";
import { type Database, openDatabase, withSqliteErrors } from "../database.js";
import { ReadableTables } from "../readable-tables.js";
import { openSqliteRowReader, type SqliteRowReader, type SqliteRowReaderOptions } from "../row-reader.js";
import { immediately } from "../write.js";
import { isPrepared, readPassed } from "./state.js";
import {
  countTracked,
  holdTracked,
  proveTracked,
  readTracked,
  readTrackedKeys,
  sinceOf,
  type Tracked,
  type TrackedKey,
} from "./tracked-keys.js";

export interface SqliteFollowing extends Following {
  describe(table: TableId): TableDescription;
}

const keysPerPage = 4_000;
const busyTimeoutMs = 5_000;

export function openSqliteFollowing(options: Omit<SqliteRowReaderOptions, "labelOf">): SqliteFollowing {
  const labelOf = (database: Database): Position => appliedPosition(database, options);
  const database = openDatabase(options.path, { readonly: false, busyTimeoutMs });
  try {
    return new SqliteFollower(database, openSqliteRowReader({ ...options, labelOf }), options);
  } catch (thrown) {
    database.close();
    throw thrown;
  }
}

type Options = Omit<SqliteRowReaderOptions, "labelOf">;

class SqliteFollower implements SqliteFollowing {
  readonly #tables: ReadableTables;

  constructor(
    private readonly database: Database,
    readonly rows: SqliteRowReader,
    private readonly options: Options,
  ) {
    this.#tables = new ReadableTables(database, options);
  }

  describe(table: TableId): TableDescription {
    return this.rows.describe(table);
  }

  async *changedKeys({ after, upTo }: Between, signal: AbortSignal): AsyncGenerator<readonly ChangedKey[]> {
    let last: TrackedKey | null = null;
    for (;;) {
      signal.throwIfAborted();
      const behind: TrackedKey | null = last;
      const { keys, page } = this.#read(() => {
        this.#refuseUnless(after, upTo);
        const found = readTrackedKeys(this.database, this.options.group, { above: after.order, after: behind, limit: keysPerPage });
        return { keys: found, page: found.map((one) => this.#named(one)) };
      });
      if (page.length > 0) yield page;
      last = keys.at(-1) ?? null;
      if (last === null || keys.length < keysPerPage) return;
      await breathe();
    }
  }

  async since(): Promise<{ readonly at: Position | null; readonly keys: number }> {
    return this.#read(() => {
      const tracked = this.#tracked();
      if (tracked === null || !tracked.proven) return { at: null, keys: 0 };
      return { at: sinceOf(tracked), keys: countTracked(this.database, this.options.group) };
    });
  }

  async hold(name: HoldName, from: Position | null, forMs: number): Promise<void> {
    this.#write(() => holdTracked(this.database, this.options.group, { name, from, forMs }));
  }

  async proven(at: Position): Promise<void> {
    this.#write(() => proveTracked(this.database, this.options.group, at));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.rows[Symbol.asyncDispose]();
    this.database.close();
  }

  #named({ source, key, order }: TrackedKey): ChangedKey {
    const table = tableId(source);
    return { table, key, id: this.#tables.get(table).names.ofSource(key), order };
  }

  #tracked(): Tracked | null {
    return isPrepared(this.database) ? readTracked(this.database, this.options.group) : null;
  }

  #refuseUnless(after: Position, upTo: Position): void {
    const tracked = this.#tracked();
    const since = tracked === null ? null : sinceOf(tracked);
    const here = since !== null && since.history === after.history && since.history === upTo.history;
    if (here && since.order <= after.order) return;
    throw new TailraceError("source.pruned", {
      what: since === null ? "Which rows have come back is not known" : "Which rows came back so long ago was forgotten",
      where: { after: after.order, upTo: upTo.order },
    });
  }

  #read<T>(work: () => T): T {
    return withSqliteErrors(this.options.path, () => {
      this.database.exec("BEGIN");
      try {
        this.#tables.check();
        return work();
      } finally {
        if (this.database.inTransaction) this.database.exec("COMMIT");
      }
    });
  }

  #write(work: () => void): void {
    withSqliteErrors(this.options.path, () =>
      immediately(this.database, () => {
        if (isPrepared(this.database)) work();
      }),
    );
  }
}

/** Rejects while nothing has come back, and while what has is not whole. */
function appliedPosition(database: Database, { group, pipeline }: Pick<Options, "group" | "pipeline">): Position {
  const passed = isPrepared(database) ? readPassed(database, group) : null;
  if (passed === null)
    throw new TailraceError("verify.no-way-back", { what: "Nothing comes back to the file that could be compared", where: { pipeline } });
  if (passed.settled) return passed.position;
  throw new TailraceError("verify.not-settled", { what: "A table of the file is being filled again" });
}
