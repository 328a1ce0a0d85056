/** Where the columns of a file's table stand in the rows of a stream that comes back to it: by name, since the stream speaks of PostgreSQL's columns. */
import type { TablePlan } from "../contracts/plan.js";
import { TailraceError } from "../errors.js";
import type { TableDescription } from "../vocabulary/table.js";

export class StreamPlaces {
  readonly #places = new WeakMap<TableDescription, readonly number[]>();
  readonly #keyPlaces = new WeakMap<TableDescription, readonly number[]>();

  /** `targets`: PostgreSQL's names of the columns that are carried back, in the file's order. */
  constructor(
    private readonly plan: TablePlan,
    private readonly targets: readonly string[],
  ) {}

  /** For each carried column, its place in the stream's rows; -1: the stream has no such column. */
  of(table: TableDescription): readonly number[] {
    const known = this.#places.get(table);
    if (known !== undefined) return known;
    const places = this.targets.map((target) => table.columns.findIndex(({ name }) => name === target));
    this.#places.set(table, places);
    return places;
  }

  /** For each column of the plan's key, its place in the stream's. Throws `plan.changed` when that is another key. */
  ofKey(table: TableDescription): readonly number[] {
    const known = this.#keyPlaces.get(table);
    if (known !== undefined) return known;
    const names = table.key.map((i) => table.columns[i]?.name);
    const places = this.plan.key.map((target) => names.indexOf(target));
    if (places.includes(-1) || names.length !== places.length) {
      throw new TailraceError("plan.changed", { what: "The stream's key is not the plan's", where: { table: this.plan.source } });
    }
    this.#keyPlaces.set(table, places);
    return places;
  }
}
