/**
 * Folded changes of one table, and ranges of it, into the file.
 *
 * Order: rows that are gone, then rows that are there. A UNIQUE value that one row hands to another may be free only later, so a row that is refused
 * for it waits; rows that wait for each other (two that swap) are taken out and put in anew, with everything the file knew of them. What still
 * does not fit when the window ends breaks a constraint of the file.
 */
import { isRowConflict, rowError } from "./row-errors.js";
import { nameKey } from "../../../core/apply/name-key.js";
import type { Folded } from "../../../core/apply/fold.js";
import type { ChunkSegment } from "../../../core/apply/window-buffer.js";
import { TailraceError } from "../../../core/errors.js";
import { refused } from "../../../core/mapping/mapped.js";
import { formatPosition, type Position } from "../../../core/vocabulary/position.js";
import { keyOf } from "../../../core/vocabulary/table.js";
import { type Key, keyText, type Row } from "../../../core/vocabulary/value.js";
import type { FileTable, Told, WholeRow } from "./file-table.js";
import type { Cell, ForeignKeys } from "./foreign-keys.js";

interface Put {
  readonly key: Key;
  readonly told: Told;
  readonly at: Position;
  /** The row as the file had it under another key, or before it was taken out: whole. */
  readonly base: WholeRow | null;
}

const altered = refused("value.no-way-back", "the value as it is: the column makes another one of it");

export class TableWriter {
  readonly #waiting = new Map<string, Put>();
  readonly #watched: boolean;

  constructor(
    private readonly table: FileTable,
    private readonly references: ForeignKeys,
    /** Hears of every key whose row is changed. */
    private readonly told: (key: Key, at: Position) => void,
  ) {
    this.#watched = references.columnsOf(table.name).length > 0;
  }

  /** Answers how many rows were written or deleted. */
  changes(entries: Iterable<Folded>): number {
    const gone: Key[] = [];
    const puts: Put[] = [];
    for (const { table, key, told, movedFrom, at } of entries) {
      const here = this.table.keyOf(table, key, at);
      this.told(here, at);
      if (told === null) {
        gone.push(here);
        continue;
      }
      const base = movedFrom === null ? null : this.table.readWhole(this.table.keyOf(table, movedFrom, at));
      puts.push({ key: here, told: this.table.told(table, told.after, at), at, base });
    }
    for (const key of gone) this.#remove(key);
    for (const put of puts) this.#put(put);
    return gone.length + puts.length;
  }

  /** The range becomes the chunk's rows. */
  replace({ table, scope, at, chunks }: ChunkSegment): number {
    const end = (key: Key | null): Key | null => (key === null ? null : this.table.keyOf(table, key, at));
    const puts = chunks.flat().map((row): Put => {
      return { key: this.table.keyOf(table, keyOf(table, row), at), told: this.table.told(table, row, at), at, base: null };
    });
    const stay = new Set(puts.map(({ key }) => keyText(key)));
    for (const key of this.table.keysWithin(end(scope.after), end(scope.upTo))) if (!stay.has(keyText(key))) this.#remove(key);
    for (const put of puts) this.#put(put);
    return puts.length;
  }

  /** At the end of the window. */
  settle(): void {
    let takenOut = false;
    while (this.#waiting.size > 0) {
      const [first] = this.#waiting.values();
      const waiting = [...this.#waiting.values()];
      this.#waiting.clear();
      let refusal: unknown = null;
      for (const put of waiting) refusal = this.#try(put) ?? refusal;
      if (this.#waiting.size < waiting.length) continue;
      if (takenOut && first !== undefined) throw this.#refused(refusal, first);
      for (const put of this.#waiting.values()) this.#takeOut(put);
      takenOut = true;
    }
  }

  #takeOut(put: Put): void {
    const base = this.table.readWhole(put.key);
    if (base === null) return;
    this.#remove(put.key);
    this.#waiting.set(keyText(put.key), { ...put, base: put.base ?? base });
  }

  #remove(key: Key): void {
    this.#waiting.delete(keyText(key));
    if (this.#watched) {
      const row = this.table.readWhole(key);
      if (row !== null) this.references.changed(this.table.name, cellOf(row.columns, row.values), null);
    }
    this.table.delete(key);
  }

  #put(put: Put): void {
    this.#waiting.delete(keyText(put.key));
    // A row that came from elsewhere brings along what only the file knows of it, in the place of what was here.
    if (put.base !== null) this.#remove(put.key);
    this.#try(put);
  }

  /** Answers why it has to wait; null: written. */
  #try(put: Put): unknown {
    try {
      this.#write(put);
      return null;
    } catch (thrown) {
      if (!isRowConflict(thrown)) throw this.#refused(thrown, put);
      this.#waiting.set(keyText(put.key), put);
      return thrown;
    }
  }

  #write(put: Put): void {
    const { table } = this;
    const { key, told, base } = put;
    const there = table.read(key);
    const wanted = table.wanted(told, there ?? this.#planned(base), put);
    if (there === null) {
      this.#prove(table.insert(wanted, base), put, null);
      return;
    }
    const places = wanted.flatMap((value, i) => (value === there[i] ? [] : [i]));
    if (places.length > 0) this.#prove(table.update(key, wanted, places), put, there);
  }

  /** The columns of both sides, of a whole row. */
  #planned(base: WholeRow | null): Row | null {
    if (base === null) return null;
    const cell = cellOf(base.columns, base.values);
    return this.table.columns.map(({ source }) => cell(source) ?? null);
  }

  #prove(stored: Row, put: Put, before: Row | null): void {
    const { columns, name } = this.table;
    for (const [i, column] of columns.entries()) {
      const text = put.told[i];
      if (text !== undefined && !column.alike(stored[i] ?? null, text)) throw this.table.refusal(column, altered, put);
    }
    if (!this.#watched) return;
    const names = columns.map(({ source }) => source);
    this.references.changed(name, before === null ? null : cellOf(names, before), cellOf(names, stored));
  }

  #refused(thrown: unknown, { key, at }: Put): unknown {
    if (thrown instanceof TailraceError) return thrown;
    return rowError(thrown, { table: this.table.plan.source, key: nameKey(key), position: formatPosition(at) });
  }
}

const cellOf = (columns: readonly string[], values: Row): Cell => {
  const places = new Map(columns.map((name, i) => [name, i]));
  return (column) => values[places.get(column) ?? -1];
};
