/** What the values of a table look like, column by column: pure counting over pages of rows, so that every connector profiles alike. */
import type { ColumnProfile } from "../contracts/source.js";
import { compileConvert } from "../mapping/converter.js";
import type { Convert } from "../mapping/mapped.js";
import { parseType } from "../mapping/postgres-type.js";
import { storageClassOf } from "../mapping/storage-class.js";
import type { ColumnDescription, StorageClass, TableDescription } from "../vocabulary/table.js";
import type { Row, Value } from "../vocabulary/value.js";
import { suggestedTypes } from "./default-types.js";

export function profileRows(table: TableDescription, pages: Iterable<readonly Row[]>): readonly ColumnProfile[] {
  const counters = table.columns.map((column) => new ColumnCounter(column));
  for (const page of pages) {
    for (const row of page) {
      for (const [i, counter] of counters.entries()) counter.add(row[i] ?? null);
    }
  }
  return counters.map((counter) => counter.result());
}

interface Candidate {
  readonly type: string;
  readonly conversion: ColumnProfile["fits"][number]["conversion"];
  readonly convert: Convert;
  refused: number;
}

class ColumnCounter {
  #rows = 0;
  #nulls = 0;
  #integerMin: bigint | null = null;
  #integerMax: bigint | null = null;
  #textWithNul = 0;
  #bytesMax = 0;
  readonly #classes: Record<StorageClass, number> = { integer: 0, real: 0, text: 0, blob: 0, raw: 0, boolean: 0, decimal: 0 };
  readonly #candidates: readonly Candidate[];

  constructor(private readonly column: ColumnDescription) {
    this.#candidates = suggestedTypes(column.declaredType).flatMap(({ type, conversion }): readonly Candidate[] => {
      const parsed = parseType(type);
      return parsed === null ? [] : [{ type, conversion, convert: compileConvert(parsed, conversion), refused: 0 }];
    });
  }

  add(value: Value): void {
    this.#rows++;
    const storage = storageClassOf(value);
    if (storage === null) {
      this.#nulls++;
      return;
    }
    this.#classes[storage]++;
    this.#measure(value);
    for (const candidate of this.#candidates) {
      if (typeof candidate.convert(value) !== "string") candidate.refused++;
    }
  }

  #measure(value: Value): void {
    if (typeof value === "bigint") {
      if (this.#integerMin === null || value < this.#integerMin) this.#integerMin = value;
      if (this.#integerMax === null || value > this.#integerMax) this.#integerMax = value;
    } else if (typeof value === "string") {
      if (value.includes("\0")) this.#textWithNul++;
      // A character takes at most three bytes a unit: the exact length is counted only where it can be a new maximum.
      if (value.length * 3 > this.#bytesMax) this.#bytesMax = Math.max(this.#bytesMax, Buffer.byteLength(value, "utf8"));
    } else if (value instanceof Uint8Array) {
      this.#bytesMax = Math.max(this.#bytesMax, value.byteLength);
    }
  }

  result(): ColumnProfile {
    const seen = Object.entries(this.#classes).filter(([, count]) => count > 0);
    return {
      column: this.column.name,
      rows: this.#rows,
      nulls: this.#nulls,
      classes: Object.fromEntries(seen),
      integerMin: this.#integerMin,
      integerMax: this.#integerMax,
      textWithNul: this.#textWithNul,
      bytesMax: this.#bytesMax,
      fits: this.#candidates.map(({ type, conversion, refused }) => ({ type, conversion, refused })),
      declared: null,
    };
  }
}
