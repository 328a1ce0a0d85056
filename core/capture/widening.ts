/** A column that holds a storage class (or NULL) for the first time: its description widens, and with it the schema on the wire. */
import type { ColumnDescription, StorageClass, TableDescription } from "../vocabulary/table.js";
import { isRawText, type Row, type Value } from "../vocabulary/value.js";

const bits: Readonly<Record<StorageClass | "null", number>> = {
  integer: 1,
  real: 2,
  text: 4,
  blob: 8,
  raw: 16,
  null: 32,
  boolean: 64,
  decimal: 128,
};
const classesInOrder: readonly StorageClass[] = ["blob", "integer", "raw", "real", "text"];

/** Collects what rows hold beyond a description. One per table and description. */
export class ClassesSeen {
  readonly #known: number[];
  #wider = false;

  constructor(readonly description: TableDescription) {
    this.#known = description.columns.map(maskOf);
  }

  row(row: Row): void {
    const known = this.#known;
    for (let i = 0; i < known.length; i++) {
      const bit = bitOf(row[i] ?? null);
      const mask = known[i] ?? 0;
      if ((mask & bit) === 0) this.#widen(i, mask | bit);
    }
  }

  key(key: readonly Value[]): void {
    this.description.key.forEach((column, i) => {
      const bit = bitOf(key[i] ?? null);
      const mask = this.#known[column] ?? 0;
      if ((mask & bit) === 0) this.#widen(column, mask | bit);
    });
  }

  /** null: the description holds all that was seen. The schema version is the caller's to give. */
  wider(): readonly ColumnDescription[] | null {
    if (!this.#wider) return null;
    return this.description.columns.map((column, i) => {
      const mask = this.#known[i] ?? 0;
      return { ...column, nullable: (mask & bits.null) !== 0, classes: classesInOrder.filter((c) => (mask & bits[c]) !== 0) };
    });
  }

  #widen(column: number, mask: number): void {
    this.#known[column] = mask;
    this.#wider = true;
  }
}

/** Both descriptions of one column in one. */
export function uniteColumns(a: ColumnDescription, b: ColumnDescription): ColumnDescription {
  const classes = classesInOrder.filter((c) => a.classes.includes(c) || b.classes.includes(c));
  return { ...a, nullable: a.nullable || b.nullable, classes };
}

function maskOf(column: ColumnDescription): number {
  return column.classes.reduce((mask, c) => mask | bits[c], column.nullable ? bits.null : 0);
}

function bitOf(value: Value): number {
  switch (typeof value) {
    case "bigint":
      return bits.integer;
    case "number":
      return bits.real;
    case "string":
      return bits.text;
    default:
      if (value === null) return bits.null;
      if (value instanceof Uint8Array) return bits.blob;
      if (typeof value === "object" && isRawText(value)) return bits.raw;
      throw new Error("a source row holds a value that SQLite does not have");
  }
}
