/**
 * One table of the file as the stream tells it: which values a row of the stream means, and which of them the file says already.
 *
 * Promises: a column that says what PostgreSQL says is not written, so that a row that nobody changed stays what it was, spelling of JSON and order of a
 * MAP included; what is written is asked again (`refuseOther`), and stops by table, key and column where DuckDB made another value of it.
 */
import { nameKey } from "../../../core/apply/name-key.js";
import type { ColumnPlan, TablePlan } from "../../../core/contracts/plan.js";
import { TailraceError } from "../../../core/errors.js";
import { type Refused, refused } from "../../../core/mapping/mapped.js";
import { type PostgresType, parseType } from "../../../core/mapping/postgres-type.js";
import { StreamPlaces } from "../../../core/mapping/stream-places.js";
import { type BackColumn, compileWayBack, postgresText } from "../../../core/mapping/way-back.js";
import { formatPosition, type Position } from "../../../core/vocabulary/position.js";
import type { TableDescription } from "../../../core/vocabulary/table.js";
import type { Key, Row, Value } from "../../../core/vocabulary/value.js";
import type { InstalledTable } from "../capture-directory.js";
import { columnType, type Json } from "../column-type.js";
import type { ApplyTable, Texts } from "./apply.js";
import { type IntoText, intoText, isNested, quotedNumbers } from "./into.js";
import { isInterval, plainInterval } from "./interval.js";

/** What the stream says of one row: PostgreSQL's text by column of `ApplyTable.carried`; undefined: it does not say. */
export type Told = readonly (string | null | undefined)[];
/** What is to be stored of a row. */
export interface Wanted {
  readonly set: readonly boolean[];
  readonly values: Texts;
}
export interface About {
  readonly key: Key;
  readonly at: Position;
}
interface Carried {
  readonly column: BackColumn;
  readonly alike: (value: Value, text: string | null) => boolean;
  readonly into: IntoText;
  readonly parse: (json: Json) => Value;
  /** What the engine printed, to be read by it once more. */
  readonly again: (json: Json) => string;
  /** Among all columns of the description, as whole rows are told by the engine. */
  readonly place: number;
}

const altered = refused("value.no-way-back", "the value as it is: the column makes another one of it");

export class FileTable {
  readonly applied: ApplyTable;
  readonly #carried: readonly Carried[];
  readonly #places: StreamPlaces;

  constructor(
    readonly plan: TablePlan,
    installed: InstalledTable,
  ) {
    const { description } = installed;
    const plans = new Map(plan.columns.map((column) => [column.source, column]));
    this.#carried = compileWayBack(plan, description).map((column) => carriedOf(column, plans.get(column.source), description));
    const keyPlaces = plan.key.map((target) => this.#carried.findIndex(({ column }) => column.target === target));
    const carried = this.#carried.map(({ column: { source }, place }) => {
      return { name: source, declared: description.columns[place]?.declaredType ?? "VARCHAR" };
    });
    this.applied = { ...installed, carried, keyPlaces };
    this.#places = new StreamPlaces(
      plan,
      this.#carried.map(({ column }) => column.target),
    );
  }

  told(table: TableDescription, row: Row, about: About): Told {
    const places = this.#places.of(table);
    return this.#carried.map(({ column }, i) => {
      const value = row[places[i] ?? -1];
      return value === undefined || isUnset(value) ? undefined : this.#text(column, value, about);
    });
  }

  /** A key of the stream, as the engine reads it. */
  keyTexts(table: TableDescription, key: Key, at: Position): Texts {
    return this.#places.ofKey(table).map((place, i) => {
      const carried = this.#carried[this.applied.keyPlaces[i] ?? -1];
      if (carried === undefined) throw new Error("a key column is not there");
      const text = this.#text(carried.column, key[place] ?? null, { key, at });
      return text === null ? null : this.#into(carried, text, { key, at });
    });
  }

  /** Of the row that the file holds: what says the same already stays. */
  changed(told: Told, there: readonly Json[], about: About): Wanted {
    const wanted = this.#carried.map((carried, i): { readonly set: boolean; readonly value: string | null } => {
      const text = told[i];
      if (text === undefined || carried.alike(carried.parse(there[carried.place] ?? null), text)) return { set: false, value: null };
      return { set: true, value: text === null ? null : this.#into(carried, text, about) };
    });
    return { set: wanted.map(({ set }) => set), values: wanted.map(({ value }) => value) };
  }

  /** `base`: where the row was before it was moved; what the stream does not tell, and what says the same, comes from there. */
  whole(told: Told, base: readonly Json[] | null, about: About): Wanted {
    const values = this.#carried.map((carried, i): string | null => {
      const text = told[i];
      const known = base?.[carried.place] ?? null;
      if (text === undefined || (known !== null && carried.alike(carried.parse(known), text)))
        return known === null ? null : carried.again(known);
      return text === null ? null : this.#into(carried, text, about);
    });
    return { set: values.map(() => true), values };
  }

  /** Of a value that the engine prints otherwise than it was given. */
  refuseOther(place: number, stored: Json, told: Told, about: About): void {
    const carried = this.#carried[place];
    const text = told[place];
    if (carried === undefined || text === undefined || carried.alike(carried.parse(stored), text)) return;
    throw this.refusal(carried.column, altered, about);
  }

  refusal({ source }: BackColumn, { code, reason }: Refused, { key, at }: About): TailraceError {
    const where = { table: this.plan.source, column: source, key: nameKey(key), position: formatPosition(at) };
    return new TailraceError(code, { what: `The file cannot hold ${reason}`, where });
  }

  #into({ column, into }: Carried, text: string, about: About): string {
    const made = into(text);
    if (typeof made === "string") return made;
    throw this.refusal(column, made, about);
  }

  #text(column: BackColumn, value: Value, about: About): string | null {
    const text = postgresText(value);
    if (text !== null && typeof text !== "string") throw this.refusal(column, text, about);
    return text;
  }
}

function carriedOf(column: BackColumn, plan: ColumnPlan | undefined, description: TableDescription): Carried {
  const place = description.columns.findIndex(({ name }) => name === column.source);
  const declared = description.columns[place]?.declaredType ?? "";
  const type = plan === undefined ? null : parseType(plan.type);
  const stored = columnType(declared);
  if (plan === undefined || type === null || stored === null) throw new Error("a column that is not planned");
  return {
    column,
    place,
    alike: alikeOf(column, type),
    into: intoText(declared, type, plan, (text) => column.back(text)),
    parse: (json) => (json === null ? null : stored.value(json)),
    again: (json) => (isNested(declared) ? quotedNumbers(String(json)) : String(json)),
  };
}

/** An interval has several spellings that only PostgreSQL knows to be one; each side's own is read here. */
function alikeOf(column: BackColumn, type: PostgresType): Carried["alike"] {
  if (!isInterval(type)) return (value, text) => column.alike(value, text);
  return (value, text) => {
    if (value === null || text === null) return value === text;
    const plain = typeof value === "string" ? plainInterval(value) : null;
    return plain !== null && plain === plainInterval(text);
  };
}

const isUnset = (value: Value): boolean => typeof value === "object" && value !== null && "unset" in value;
