/**
 * The SQL of one target table, written once per session; constant text, so that the server parses and plans it once.
 *
 * Values travel as arrays, one per column. A cast to varchar(3) cuts silently where an assignment refuses, so the arrays have the type without its
 * length and the INSERT does the rest; types that are not plain scalars travel as text. Equality that forgives (jsonb's 1.0 = 1, citext's case,
 * interval's 24 hours) would leave a difference standing that the verifier sees: whatever is not plain is compared as text.
 */
import type { ColumnPlan, TablePlan } from "../../core/contracts/plan.js";
import type { TargetRow } from "../../core/mapping/mapped.js";
import type { Query } from "./connection.js";
import { qualified, quoteName, quoteNames } from "./quote.js";
import { type ArrayForm, ArrayLiterals } from "./text-forms.js";

/** `format_type` of the plan's type without its length, by the plan's type. */
export type BaseTypes = ReadonlyMap<string, string>;

/** Ends of a key range in mapped form; null: open. */
export interface MappedRange {
  readonly after: TargetRow | null;
  readonly upTo: TargetRow | null;
}

interface Column {
  readonly name: string;
  readonly base: string;
  readonly arrayType: string;
  readonly form: ArrayForm;
}

const bare = new Set(["smallint", "integer", "bigint", "numeric", "real", "double precision", "boolean"]);
const quotedScalars = new Set([
  "text",
  "character varying",
  "bytea",
  "date",
  "uuid",
  "timestamp without time zone",
  "timestamp with time zone",
]);
const bytewise = new Set(["text", "character varying"]);

export class TableStatements {
  readonly #columns: readonly Column[];
  readonly #keys: readonly Column[];
  readonly #keyPlaces: readonly number[];
  readonly #upsertText: string;
  readonly #bornText: string;
  readonly #deleteText: string;

  /** `number` keeps the names of prepared statements apart. */
  constructor(
    private readonly plan: TablePlan,
    private readonly number: number,
    bases: BaseTypes,
  ) {
    this.#columns = plan.columns.map((column) => compileColumn(column, bases));
    this.#keyPlaces = plan.key.map((name) => plan.columns.findIndex((column) => column.target === name));
    this.#keys = this.#keyPlaces.flatMap((place) => this.#columns[place] ?? []);
    this.#upsertText = this.#upsert(plan.columns.map((column) => column.written === "always"));
    this.#bornText = this.#upsert(plan.columns.map(() => true));
    this.#deleteText = this.#delete();
  }

  keyOf(row: TargetRow): TargetRow {
    return this.#keyPlaces.map((place) => row[place] ?? null);
  }

  /** For `upsert`. */
  rows(): ArrayLiterals {
    return new ArrayLiterals(this.#columns.map(({ form }) => form));
  }

  /** For `delete`. */
  keys(): ArrayLiterals {
    return new ArrayLiterals(this.#keys.map(({ form }) => form));
  }

  /** Rows must have different keys. `born`: the source made the row anew, so that insert-only columns are written over too. */
  upsert(rows: ArrayLiterals, born: boolean): Query {
    const text = born ? this.#bornText : this.#upsertText;
    return { name: `tailrace_${text === this.#upsertText ? "u" : "b"}${this.number}`, text, values: rows.texts() };
  }

  delete(keys: ArrayLiterals): Query {
    return { name: `tailrace_d${this.number}`, text: this.#deleteText, values: keys.texts() };
  }

  /** Deletes what lies in the range and is not among `kept`. */
  deleteRange(range: MappedRange, kept: readonly TargetRow[]): Query {
    const first = this.#keys.length + 1;
    const missing = `NOT EXISTS (SELECT FROM ${this.#unnest(this.#keys, "k")} WHERE ${this.#sameKey("k")})`;
    return {
      name: `tailrace_r${this.number}${suffix(range)}`,
      text: `DELETE FROM ${qualified(this.plan.target)} AS t WHERE ${[...this.within(range, first), missing].join(" AND ")}`,
      values: [...filled(this.keys(), kept).texts(), ...rangeValues(range)],
    };
  }

  anyWithin(range: MappedRange): Query {
    const within = this.within(range, 1);
    return {
      name: `tailrace_e${this.number}${suffix(range)}`,
      text: `SELECT EXISTS (SELECT FROM ${qualified(this.plan.target)} AS t${within.length === 0 ? "" : ` WHERE ${within.join(" AND ")}`}) AS found`,
      values: rangeValues(range),
    };
  }

  /** A join with given keys, one array each from `$1` on, the arrays' values, and a given key's columns. */
  amongKeys(keys: readonly TargetRow[]): { readonly join: string; readonly values: readonly string[]; readonly given: readonly string[] } {
    return {
      join: `JOIN ${this.#unnest(this.#keys, "k")} ON ${this.#sameKey("k")}`,
      values: filled(this.keys(), keys).texts(),
      given: this.#keys.map((column, i) => fromArray("k", column, i)),
    };
  }

  copyText(): string {
    return `COPY ${qualified(this.plan.target)} (${quoteNames(this.plan.columns.map((column) => column.target))}) FROM STDIN`;
  }

  #upsert(written: readonly boolean[]): string {
    const names = quoteNames(this.plan.columns.map((column) => column.target));
    const set = this.#columns.filter((column, i) => written[i] === true && !this.#keys.includes(column));
    const update =
      set.length === 0
        ? "DO NOTHING"
        : `DO UPDATE SET ${set.map(({ name }) => `${name} = excluded.${name}`).join(", ")}
      WHERE (${set.map((column) => comparable("t", column)).join(", ")}) IS DISTINCT FROM (${set.map((column) => comparable("excluded", column)).join(", ")})`;
    const values = this.#columns.map((column, i) => fromArray("s", column, i)).join(", ");
    const order = this.#keyPlaces.map((place, i) => sortedBy(place, this.#keys[i])).join(", ");
    // In key order: neighbouring rows share pages, and two writers cannot wait for each other crosswise.
    return `INSERT INTO ${qualified(this.plan.target)} AS t (${names})
      SELECT ${values} FROM ${this.#unnest(this.#columns, "s")} ORDER BY ${order}
      ON CONFLICT (${quoteNames(this.plan.key)}) ${update}`;
  }

  #delete(): string {
    return `DELETE FROM ${qualified(this.plan.target)} AS t USING ${this.#unnest(this.#keys, "k")} WHERE ${this.#sameKey("k")}`;
  }

  #unnest(columns: readonly Column[], alias: string): string {
    const parameters = columns.map((column, i) => `$${i + 1}::${column.arrayType}`).join(", ");
    return `unnest(${parameters}) AS ${alias} (${columns.map((_, i) => `c${i + 1}`).join(", ")})`;
  }

  #sameKey(alias: string): string {
    return this.#keys.map((column, i) => `t.${column.name} = ${fromArray(alias, column, i)}`).join(" AND ");
  }

  /** Conditions on `t`. Row comparison follows the key's order, by bytes for text, whatever collation an older table has. */
  within(range: MappedRange, first: number): readonly string[] {
    const row = `(${this.#keys.map((column) => ordered(`t.${column.name}`, column)).join(", ")})`;
    const bound = (from: number): string =>
      `(${this.#keys.map((column, i) => ordered(`$${from + i}::${column.base}`, column)).join(", ")})`;
    const upTo = first + (range.after === null ? 0 : this.#keys.length);
    return [...(range.after === null ? [] : [`${row} > ${bound(first)}`]), ...(range.upTo === null ? [] : [`${row} <= ${bound(upTo)}`])];
  }
}

function compileColumn(plan: ColumnPlan, bases: BaseTypes): Column {
  const base = bases.get(plan.type) ?? plan.type;
  const scalar = bare.has(base) || quotedScalars.has(base);
  return {
    name: quoteName(plan.target),
    base,
    arrayType: scalar ? `${base}[]` : "text[]",
    form: bare.has(base) ? "bare" : "quoted",
  };
}

const fromArray = (alias: string, column: Column, i: number): string =>
  column.arrayType === "text[]" && column.base !== "text" ? `${alias}.c${i + 1}::${column.base}` : `${alias}.c${i + 1}`;

function comparable(alias: string, column: Column): string {
  const value = `${alias}.${column.name}`;
  if (bytewise.has(column.base)) return `${value} COLLATE "C"`;
  return bare.has(column.base) || quotedScalars.has(column.base) ? value : `${value}::text COLLATE "C"`;
}

const ordered = (value: string, column: Column): string => (bytewise.has(column.base) ? `${value} COLLATE "C"` : value);

const sortedBy = (place: number, column: Column | undefined): string =>
  column === undefined ? "" : ordered(fromArray("s", column, place), column);

export function filled(literals: ArrayLiterals, rows: Iterable<TargetRow>): ArrayLiterals {
  for (const row of rows) literals.add(row);
  return literals;
}

const rangeValues = ({ after, upTo }: MappedRange): readonly (string | null)[] => [...(after ?? []), ...(upTo ?? [])];

const suffix = ({ after, upTo }: MappedRange): string => `${after === null ? "" : "a"}${upTo === null ? "" : "u"}`;
