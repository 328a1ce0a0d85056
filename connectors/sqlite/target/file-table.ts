/**
 * One table of the file, ready to be written to as the stream tells: how its rows are read, inserted, changed and deleted, and what its values mean.
 *
 * Promises: what is stored says what PostgreSQL says, or the write is refused by table, key and column; a column that says it already is not written.
 * Every statement says OR ABORT, since a table may declare that its conflicts replace or ignore.
 */
import { nameKey } from "../../../core/apply/name-key.js";
import type { TablePlan } from "../../../core/contracts/plan.js";
import { TailraceError } from "../../../core/errors.js";
import { type BackColumn, compileWayBack, isRefused, postgresText } from "../../../core/mapping/way-back.js";
import type { Refused } from "../../../core/mapping/mapped.js";
import { parseType } from "../../../core/mapping/postgres-type.js";
import { StreamPlaces } from "../../../core/mapping/stream-places.js";
import { formatPosition, type Position } from "../../../core/vocabulary/position.js";
import type { TableDescription } from "../../../core/vocabulary/table.js";
import type { Key, Row, Value } from "../../../core/vocabulary/value.js";
import { bindable, bytesOfText, type Cells, hasSuspects, keyParameters, withRawText } from "../cells.js";
import type { Database, Statement } from "../database.js";
import { quoteName } from "../quote.js";
import type { TableFacts } from "../table-facts.js";
import { readStyles } from "./styles.js";

/** What the stream says of one row: PostgreSQL's text by column of `FileTable.columns`; undefined: it does not say. */
export type Told = readonly (string | null | undefined)[];
/** All columns that the file stores of a row, those that the plan leaves out included. */
export interface WholeRow {
  readonly columns: readonly string[];
  readonly values: Row;
}

export class FileTable {
  readonly name: string;
  /** Columns that both sides have, in plan order. */
  readonly columns: readonly BackColumn[];
  /** Places of the key's columns in `columns`. */
  readonly key: readonly number[];
  readonly #generated: ReadonlySet<string>;
  readonly #stored: readonly string[];
  /** Text that is not UTF-8 comes out of bytea alone. */
  readonly #holdsBytes: boolean;
  readonly #places: StreamPlaces;
  readonly #prepared = new Map<string, Statement>();

  constructor(
    private readonly database: Database,
    readonly plan: TablePlan,
    facts: TableFacts,
    description: TableDescription,
  ) {
    this.name = facts.name;
    this.columns = compileWayBack(plan, description, readStyles(database, plan, description));
    this.#places = new StreamPlaces(
      plan,
      this.columns.map(({ target }) => target),
    );
    this.key = plan.key.map((target) => this.columns.findIndex((column) => column.target === target));
    this.#holdsBytes = plan.columns.some(({ type }) => parseType(type)?.kind === "bytea");
    this.#generated = new Set(facts.columns.filter(({ generated }) => generated).map(({ name }) => name));
    this.#stored = facts.columns.filter(({ generated }) => !generated).map(({ name }) => name);
  }

  /** A row of the stream. */
  told(table: TableDescription, row: Row, at: Position): Told {
    const places = this.#places.of(table);
    return this.columns.map((column, i) => {
      const value = row[places[i] ?? -1];
      if (value === undefined || isUnset(value)) return undefined;
      return this.#text(column, value, { key: table.key.map((k) => row[k] ?? null), at });
    });
  }

  /** A key of the stream, as the file has it. */
  keyOf(table: TableDescription, key: Key, at: Position): Key {
    return this.#places.ofKey(table).map((place, i) => {
      const column = this.columns[this.key[i] ?? -1];
      if (column === undefined) throw new Error("a key column is not there");
      const back = column.back(this.#text(column, key[place] ?? null, { key, at }));
      if (isRefused(back)) throw this.refusal(column, back, { key, at });
      return back;
    });
  }

  /** The columns of `columns`; null: there is no such row. */
  read(key: Key): Row | null {
    return this.#read(
      this.columns.map(({ source }) => source),
      key,
    );
  }

  readWhole(key: Key): WholeRow | null {
    const values = this.#read(this.#stored, key);
    return values === null ? null : { columns: this.#stored, values };
  }

  /**
   * What the file is to hold in each column. `there` is what it holds now: kept wherever it says the same, so that its spelling and storage class stay
   * what the application made them.
   */
  wanted(told: Told, there: Row | null, about: { readonly key: Key; readonly at: Position }): Row {
    return this.columns.map((column, i): Value => {
      const text = told[i];
      const here = there?.[i];
      if (text === undefined) return here ?? null;
      if (here !== undefined && column.alike(here, text)) return here;
      const back = column.back(text);
      if (isRefused(back)) throw this.refusal(column, back, about);
      return back;
    });
  }

  /** Answers the columns of `columns` as they are stored. `more`: what the plan leaves out, of a row that was moved. */
  insert(wanted: Row, more: WholeRow | null): Row {
    const values = new Map<string, Value>();
    if (more !== null) for (const [i, column] of more.columns.entries()) values.set(column, more.values[i] ?? null);
    for (const [i, { source }] of this.columns.entries()) if (!this.#generated.has(source)) values.set(source, wanted[i] ?? null);
    const bound = [...values.values()];
    const into = [...values.keys()].map(quoteName).join(", ");
    const sql = `INSERT OR ABORT INTO ${quoteName(this.name)} (${into}) VALUES (${keyParameters(bound).join(", ")})`;
    return this.#stores(sql, bound);
  }

  /** `places` of the columns to be set. */
  update(key: Key, wanted: Row, places: readonly number[]): Row {
    const settable = places.filter((i) => !this.#generated.has(this.columns[i]?.source ?? ""));
    const bound = settable.map((i) => wanted[i] ?? null);
    const parameters = keyParameters(bound);
    // A generated column alone cannot be set; it is looked at all the same.
    const set =
      settable.map((i, n) => `${this.#quoted(i)} = ${parameters[n] ?? "?"}`).join(", ") ||
      `${this.#quoted(this.key[0] ?? 0)} = ${this.#quoted(this.key[0] ?? 0)}`;
    const sql = `UPDATE OR ABORT ${quoteName(this.name)} SET ${set} WHERE ${this.#where(key)}`;
    return this.#stores(sql, [...bound, ...key]);
  }

  delete(key: Key): void {
    this.#prepare(`DELETE FROM ${quoteName(this.name)} WHERE ${this.#where(key)}`).run(...bindable(key));
  }

  /** Keys within a range, above `after` and up to `upTo`. */
  keysWithin(after: Key | null, upTo: Key | null): readonly Key[] {
    const names = this.key.map((i) => this.#quoted(i)).join(", ");
    const bound = (operator: string, key: Key | null): readonly string[] =>
      key === null ? [] : [`(${names}) ${operator} (${keyParameters(key).join(", ")})`];
    const where = [...bound(">", after), ...bound("<=", upTo)].join(" AND ") || "TRUE";
    const sql = `SELECT ${names} FROM ${quoteName(this.name)} WHERE ${where} ORDER BY ${names}`;
    return this.#prepare(sql).all(...bindable([...(after ?? []), ...(upTo ?? [])])) as Key[];
  }

  refusal(column: BackColumn, { code, reason }: Refused, { key, at }: { readonly key: Key; readonly at: Position }): TailraceError {
    const where = { table: this.plan.source, column: column.source, key: nameKey(key), position: formatPosition(at) };
    return new TailraceError(code, { what: `The file cannot hold ${reason}`, where });
  }

  #text(column: BackColumn, value: Value, about: { readonly key: Key; readonly at: Position }): string | null {
    const text = postgresText(value);
    if (text !== null && typeof text !== "string") throw this.refusal(column, text, about);
    return text;
  }

  #read(columns: readonly string[], key: Key): Row | null {
    const names = columns.map(quoteName);
    const tail = `FROM ${quoteName(this.name)} WHERE ${this.#where(key)}`;
    const bound = bindable(key);
    const cells = this.#prepare(`SELECT ${names.join(", ")} ${tail}`).get(...bound) as Cells | undefined;
    if (cells === undefined || !hasSuspects(cells)) return cells ?? null;
    return withRawText(cells, this.#prepare(`SELECT ${names.map(bytesOfText).join(", ")} ${tail}`).get(...bound) as Cells);
  }

  /** SQLite converts values to a column's affinity; what it answers is what it has stored. */
  #stores(sql: string, bound: Key): Row {
    const names = this.columns.map(({ source }) => quoteName(source));
    if (!this.#holdsBytes) return this.#prepare(`${sql} RETURNING ${names.join(", ")}`).get(...bindable(bound)) as Cells;
    const cells = this.#prepare(`${sql} RETURNING ${[...names, ...names.map(bytesOfText)].join(", ")}`).get(...bindable(bound)) as Cells;
    const stored = cells.slice(0, names.length);
    return hasSuspects(stored) ? withRawText(stored, cells.slice(names.length)) : stored;
  }

  #where(key: Key): string {
    const parameters = keyParameters(key);
    return this.key.map((place, i) => `${this.#quoted(place)} = ${parameters[i] ?? "?"}`).join(" AND ");
  }

  #quoted(place: number): string {
    return quoteName(this.columns[place]?.source ?? "");
  }

  #prepare(sql: string): Statement {
    const known = this.#prepared.get(sql);
    if (known !== undefined) return known;
    const statement = this.database.prepare(sql);
    // A statement without rows has none to be read in any way.
    const made = statement.reader ? statement.raw().safeIntegers() : statement;
    this.#prepared.set(sql, made);
    return made;
  }
}

const isUnset = (value: Value): boolean => typeof value === "object" && value !== null && "unset" in value;
