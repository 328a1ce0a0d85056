/**
 * What the stream says a relation is, in the words of the plan. The columns are compared with those that were there when the way back was opened: a
 * column that is new has no place at the other side, and one that is gone or has another type would arrive as something else. Whoever carries rows
 * back must not lose one of them silently, so the first such row stops the stream.
 */
import { TailraceError } from "../../../core/errors.js";
import type { TablePlan } from "../../../core/contracts/plan.js";
import { reverseTable } from "../../../core/mapping/reverse-table.js";
import type { TableDescription } from "../../../core/vocabulary/table.js";
import type { Row } from "../../../core/vocabulary/value.js";
import { qualified } from "../quote.js";
import { type OldTuple, type Relation, type RelationColumn, type Tuple, unchanged } from "./pgoutput.js";

/** As they were when the way back was opened. */
export type OpenedColumns = readonly RelationColumn[];
export interface OpenedTable {
  readonly plan: TablePlan;
  readonly columns: OpenedColumns;
}

/** Tables of our own that are published: whose transaction it is, how far it is, and rows that are told because somebody asked. */
export const stateNames = ["pipeline", "marker", "touch"] as const;
export type StateName = (typeof stateNames)[number];

export type Known =
  | { readonly kind: "table"; readonly table: TableReader }
  | { readonly kind: "state"; readonly name: StateName; readonly value: (tuple: Tuple, column: string) => string | null }
  | { readonly kind: "other" };

export class Relations {
  readonly #opened: ReadonlyMap<string, OpenedTable>;
  readonly #known = new Map<number, Known>();
  readonly #descriptions: ReadonlyMap<string, TableDescription>;

  constructor(tables: readonly OpenedTable[]) {
    this.#opened = new Map(tables.map((table) => [qualified(table.plan.target), table]));
    this.#descriptions = new Map(tables.map(({ plan }) => [qualified(plan.target), reverseTable(plan)]));
  }

  get descriptions(): readonly TableDescription[] {
    return [...this.#descriptions.values()];
  }

  /** By the source's name; null: it is not carried back. */
  described(table: string): TableDescription | null {
    return this.descriptions.find((one) => one.table === table) ?? null;
  }

  /** Told before its first row, and again whenever it was altered. */
  told(relation: Relation): void {
    this.#known.set(relation.id, this.#knownAs(relation));
  }

  known(id: number): Known {
    const known = this.#known.get(id);
    if (known === undefined) throw new TailraceError("internal", { what: "a row of a relation that PostgreSQL has not described" });
    return known;
  }

  #knownAs(relation: Relation): Known {
    const state = relation.schema === "tailrace" ? stateNames.find((name) => name === relation.name) : undefined;
    if (state !== undefined) {
      const value = (tuple: Tuple, column: string): string | null => {
        const cell = tuple[relation.columns.findIndex(({ name }) => name === column)];
        return typeof cell === "string" ? cell : null;
      };
      return { kind: "state", name: state, value };
    }
    const name = qualified(relation);
    const opened = this.#opened.get(name);
    const description = this.#descriptions.get(name);
    if (opened === undefined || description === undefined) return { kind: "other" };
    return { kind: "table", table: new TableReader(description, relation, opened.columns) };
  }
}

export class TableReader {
  /** Place of each described column in the relation's tuples. */
  readonly #places: readonly number[];
  readonly #trouble: string | null;

  constructor(
    readonly description: TableDescription,
    relation: Relation,
    opened: OpenedColumns,
  ) {
    this.#places = description.columns.map(({ name }) => relation.columns.findIndex((column) => column.name === name));
    this.#trouble = troubleOf(description, relation, opened);
  }

  /** `before`: the row as it was, for values that PostgreSQL did not write again. */
  row(tuple: Tuple, before: OldTuple): Row {
    this.#refuseTrouble();
    return this.#places.map((place, i) => {
      const cell = tuple[place] ?? null;
      if (cell !== unchanged) return cell;
      const old = before.kind === "row" ? (before.tuple[place] ?? null) : unchanged;
      if (old !== unchanged) return old;
      throw new TailraceError("source.value-not-logged", {
        what: "PostgreSQL did not write a large value to its log again, and the row as it was is not there either",
        where: { table: this.description.table, column: this.description.columns[i]?.name ?? null },
      });
    });
  }

  oldRow(before: OldTuple): Row | null {
    return before.kind === "row" ? this.row(before.tuple, { kind: "none" }) : null;
  }

  /** null: PostgreSQL says nothing of the old row, so its key is the new one's. */
  oldKey(before: OldTuple): Row | null {
    this.#refuseTrouble();
    if (before.kind === "none") return null;
    return this.description.key.map((index) => {
      const cell = before.tuple[this.#places[index] ?? -1];
      if (typeof cell === "string") return cell;
      throw new TailraceError("source.value-not-logged", {
        what: "PostgreSQL's log lacks the key of a row that was changed",
        where: { table: this.description.table, column: this.description.columns[index]?.name ?? null },
      });
    });
  }

  #refuseTrouble(): void {
    if (this.#trouble === null) return;
    throw new TailraceError("source.columns-changed", { what: this.#trouble, where: { table: this.description.table } });
  }
}

function troubleOf(description: TableDescription, relation: Relation, opened: OpenedColumns): string | null {
  const extra = relation.columns.find((column) => opened.every(({ name }) => name !== column.name));
  if (extra !== undefined) return `The column '${extra.name}' came after the way back was opened`;
  for (const { name } of description.columns) {
    const now = relation.columns.find((column) => column.name === name);
    const then = opened.find((column) => column.name === name);
    if (now === undefined) return `The column '${name}' is gone`;
    if (then === undefined || now.type !== then.type || now.modifier !== then.modifier) return `The column '${name}' has another type now`;
  }
  return null;
}
