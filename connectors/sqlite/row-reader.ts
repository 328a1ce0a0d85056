/**
 * Rows of a live SQLite file as the target should hold them, labelled by the newest row of the capture log in the same snapshot. Owns nothing: any
 * number of readers may be open beside the source service and the application.
 *
 * A read transaction is held for one range of keys, and hashing waits until it has ended, unless the rows are too large to be held: a reader that
 * stays makes the application's commits dear.
 */
import { compareKeys } from "../../core/capture/key-order.js";
import { breathe } from "../../core/clock.js";
import type { KeyScope } from "../../core/contracts/change.js";
import type { TargetPlan } from "../../core/contracts/plan.js";
import {
  type Between,
  type ChangedKey,
  type ChangedKeys,
  type KeyedDigest,
  type KeyedRow,
  type Labelled,
  refusedDigest,
  type RowName,
  type RowReader,
  rowsByKeyMax,
  type RowThen,
  type ScopeCut,
  type ScopeDigest,
} from "../../core/contracts/row-reader.js";
import { TailraceError } from "../../core/errors.js";
import { DigestSum, rowHash } from "../../core/mapping/row-hash.js";
import type { TargetText } from "../../core/mapping/hashed-row.js";
import type { GroupId, PipelineId, TableId } from "../../core/vocabulary/ids.js";
import type { Position } from "../../core/vocabulary/position.js";
import { keyOf, type TableDescription } from "../../core/vocabulary/table.js";
import type { Key, Row } from "../../core/vocabulary/value.js";
import { type Database, openDatabase, withSqliteErrors } from "./database.js";
import { LogImages } from "./log-images.js";
import { LogKeys } from "./log-keys.js";
import { ReadableTables, type ReadTable } from "./readable-tables.js";

export interface SqliteRowReaderOptions {
  readonly path: string;
  readonly pipeline: PipelineId;
  readonly group: GroupId;
  readonly plan: TargetPlan;
  /** How PostgreSQL prints what a type reads that only it knows. */
  readonly targetText: TargetText;
  readonly busyTimeoutMs?: number;
  /** What reads are labelled by, read in their transaction. Default: the newest row of the capture log. */
  readonly labelOf?: (database: Database) => Position;
}
export interface SqliteRowReader extends RowReader, ChangedKeys {
  /** As the capture describes it now. */
  describe(table: TableId): TableDescription;
}

export function openSqliteRowReader(options: SqliteRowReaderOptions): SqliteRowReader {
  const database = openDatabase(options.path, { readonly: true, busyTimeoutMs: options.busyTimeoutMs ?? 5_000 });
  return new Reader(database, options);
}

/** Rows of one range, held until they are hashed. */
const heldBytesMax = 8 << 20;
const pageLimits = { rows: 8_192, bytes: 1 << 20 };

class Reader implements SqliteRowReader {
  readonly #tables: ReadableTables;

  constructor(
    private readonly database: Database,
    private readonly options: SqliteRowReaderOptions,
  ) {
    this.#tables = new ReadableTables(database, options);
  }

  describe(table: TableId): TableDescription {
    return this.#read(() => this.#tables.get(table).description).value;
  }

  async position(signal: AbortSignal): Promise<Position> {
    signal.throwIfAborted();
    return this.#read(() => null).at;
  }

  async *scopes(table: TableId, { rowsPerScope, within }: ScopeCut, signal: AbortSignal): AsyncGenerator<KeyScope> {
    let after: Key | null = within?.after ?? null;
    const end = within?.upTo ?? null;
    for (;;) {
      signal.throwIfAborted();
      const from: Key | null = after;
      const next: Key | null = this.#read(() => this.#tables.get(table).reader.keyAt(from, rowsPerScope)).value;
      const upTo: Key | null = next === null || (end !== null && compareKeys(next, end) >= 0) ? end : next;
      yield { kind: "range", after, upTo };
      if (upTo === end) return;
      after = upTo;
      await breathe();
    }
  }

  async digest(table: TableId, scope: KeyScope, signal: AbortSignal): Promise<Labelled<ScopeDigest>> {
    signal.throwIfAborted();
    const sum = new DigestSum();
    const { at, value } = this.#read(() => {
      const it = this.#tables.get(table);
      const rest = this.#rows(it, scope, (rows) => {
        if (it.hashed.asksTarget) return false;
        for (const row of rows) sum.add(it.hashed.textOf(row));
        return true;
      });
      return { it, rest };
    });
    for (const text of await this.#texts(value.it, value.rest, signal)) sum.add(text);
    return { at, value: sum.value() };
  }

  async digests(table: TableId, scope: KeyScope, rowsMax: number, signal: AbortSignal): Promise<Labelled<readonly KeyedDigest[]>> {
    signal.throwIfAborted();
    const digests: KeyedDigest[] = [];
    const add = (it: ReadTable, row: Row, text: string): void => {
      const key = keyOf(it.description, row);
      digests.push({ key, id: it.names.ofSource(key), digest: it.hashed.isRefusal(text) ? refusedDigest : rowHash(text) });
      if (digests.length > rowsMax) throw tooLarge(table, rowsMax);
    };
    const { at, value } = this.#read(() => {
      const it = this.#tables.get(table);
      const rest = this.#rows(it, scope, (rows) => {
        if (it.hashed.asksTarget) return false;
        for (const row of rows) add(it, row, it.hashed.textOf(row));
        return true;
      });
      return { it, rest };
    });
    const texts = await this.#texts(value.it, value.rest, signal);
    value.rest.forEach((row, i) => add(value.it, row, texts[i] ?? ""));
    return { at, value: digests };
  }

  async rowsByKey(table: TableId, keys: readonly Key[], signal: AbortSignal): Promise<Labelled<readonly KeyedRow[]>> {
    signal.throwIfAborted();
    if (keys.length > rowsByKeyMax) throw new Error(`at most ${rowsByKeyMax} keys in one call`);
    const { at, value } = this.#read(() => {
      const it = this.#tables.get(table);
      const found = keys.flatMap((key) => {
        const row = it.reader.row(key);
        return row === null ? [] : [row];
      });
      return { it, found };
    });
    const { it, found } = value;
    const rows = await it.hashed.rows(found, this.options.targetText, signal);
    const named = rows.map((row, i): KeyedRow => {
      const key = keyOf(it.description, found[i] ?? []);
      const name = { key, id: it.names.ofSource(key) };
      return row.kind === "row" ? { kind: "row", ...name, row: row.row } : { ...row, ...name };
    });
    return { at, value: named };
  }

  async identify(table: TableId, keys: readonly Key[], signal: AbortSignal): Promise<readonly RowName[]> {
    signal.throwIfAborted();
    const { names } = this.#read(() => this.#tables.get(table)).value;
    return keys.map((key) => ({ key, id: names.ofSource(key) }));
  }

  async *changedKeys({ after, upTo }: Between, signal: AbortSignal): AsyncGenerator<readonly ChangedKey[]> {
    this.#read(() => this.#refuseUnless(after, after.order, upTo));
    let last = after.order;
    while (last < upTo.order) {
      signal.throwIfAborted();
      const from = last;
      const page = this.#read(() => {
        this.#refuseUnless(after, from, upTo);
        return new LogKeys(this.database, this.#tables).page(from, upTo.order);
      }).value;
      last = page.until;
      if (page.keys.length > 0) yield page.keys;
      await breathe();
    }
  }

  async changedRows(
    table: TableId,
    rows: readonly RowName[],
    { after, upTo }: Between,
    signal: AbortSignal,
  ): Promise<ReadonlyMap<string, RowThen>> {
    const images = new LogImages(rows);
    let it = this.#read(() => this.#refuseUnless(after, after.order, upTo) ?? this.#tables.get(table)).value;
    for (let last = after.order; last < upTo.order; ) {
      signal.throwIfAborted();
      const from = last;
      last = this.#read(() => {
        this.#refuseUnless(after, from, upTo);
        it = this.#tables.get(table);
        return images.read(this.#tables.logReader(), it, { after: from, upTo: upTo.order });
      }).value;
      await breathe();
    }
    return await images.answer(it, this.options.targetText, signal);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.database.close();
  }

  /** One short read transaction and its label. */
  #read<T>(work: () => T): Labelled<T> {
    return withSqliteErrors(this.options.path, () => {
      this.database.exec("BEGIN");
      try {
        const newest = this.#tables.check();
        return { at: this.options.labelOf?.(this.database) ?? newest, value: work() };
      } finally {
        if (this.database.inTransaction) this.database.exec("COMMIT");
      }
    });
  }

  /** Rows of a range. What is too much to be held goes to `drain` at once, unless it declines. */
  #rows(it: ReadTable, scope: KeyScope, drain: (rows: readonly Row[]) => boolean): readonly Row[] {
    let held: Row[] = [];
    let bytes = 0;
    let after = scope.after;
    for (;;) {
      const page = it.reader.chunk(after, pageLimits, scope.upTo);
      for (const row of page.rows) held.push(row);
      bytes += page.bytes;
      const last = page.rows.at(-1);
      if (page.ended || last === undefined) return held;
      after = keyOf(it.description, last);
      if (bytes < heldBytesMax) continue;
      if (!drain(held)) throw tooLarge(it.description.table, held.length);
      held = [];
      bytes = 0;
    }
  }

  async #texts(it: ReadTable, rows: readonly Row[], signal: AbortSignal): Promise<readonly string[]> {
    return await it.hashed.texts(rows, this.options.targetText, signal);
  }

  /** The log has no gaps: what it begins with says whether all of the range is there. */
  #refuseUnless(after: Position, from: number, upTo: Position): null {
    const { at, oldest } = this.#tables.log();
    const here = at.history === after.history && at.history === upTo.history;
    if (here && oldest <= from + 1 && upTo.order <= at.order) return null;
    throw new TailraceError("source.pruned", {
      what: here ? `The capture log holds rows ${oldest} to ${at.order}` : "The source's past was replaced",
      where: { after: from, upTo: upTo.order },
    });
  }
}

const tooLarge = (table: TableId, rows: number): TailraceError =>
  new TailraceError("verify.scope-too-large", { what: `A range holds more than ${rows} rows`, where: { table } });
