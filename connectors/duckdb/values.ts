/** What the engine answers, as values of the contracts. */
import type { Change } from "../../core/contracts/change.js";
import { position } from "../../core/vocabulary/position.js";
import { keyOf } from "../../core/vocabulary/table.js";
import type { Key, Row, Value } from "../../core/vocabulary/value.js";
import { columnType, type Json } from "./column-type.js";
import type { DuckTable } from "./duck-table.js";

type Parse = (json: Exclude<Json, null>) => Value;
type JsonRow = readonly Json[];
type JsonChange = readonly [order: number, op: "c" | "u" | "d" | "s", key: JsonRow, row: JsonRow | null];

/** One change of the record, of which nothing is made into values until that is asked for. */
export interface ToldChange {
  readonly order: number;
  readonly key: readonly Json[];
  /** null: deleted. */
  readonly row: readonly Json[] | null;
}

/** Made once per table. */
export class RowParser {
  readonly #columns: readonly Parse[];
  readonly #keys: readonly Parse[];

  constructor(readonly table: DuckTable) {
    this.#columns = table.description.columns.map(({ declaredType }) => {
      const type = columnType(declaredType);
      if (type === null) throw new Error(`a captured column of type ${declaredType}`);
      return type.value;
    });
    this.#keys = table.description.key.flatMap((i) => this.#columns[i] ?? []);
  }

  rows(text: string): readonly Row[] {
    return (JSON.parse(text) as readonly JsonRow[]).map((row) => parsed(this.#columns, row));
  }

  changes(text: string, history: number): readonly Change[] {
    return (JSON.parse(text) as readonly JsonChange[]).map(([order, op, key, row]) => {
      const at = position(history, order);
      const keyed = parsed(this.#keys, key);
      if (op === "d") return { kind: "delete", at, key: keyed, before: null };
      const after = parsed(this.#columns, row ?? []);
      return { kind: op === "c" ? "create" : op === "u" ? "update" : "state", at, key: keyed, after };
    });
  }

  toldChanges(text: string): readonly ToldChange[] {
    return (JSON.parse(text) as readonly JsonChange[]).map(([order, op, key, row]) => ({
      order,
      key,
      row: op === "d" ? null : (row ?? []),
    }));
  }

  keyOfChange({ key }: ToldChange): Key {
    return parsed(this.#keys, key);
  }

  rowOfChange({ row }: ToldChange): Row | null {
    return row === null ? null : parsed(this.#columns, row);
  }

  /** Answers to touches; the first one stands at `order`. */
  states(text: string, history: number, order: number): readonly Change[] {
    return (JSON.parse(text) as readonly (readonly [JsonRow, JsonRow | null])[]).map(([key, row], i) => {
      const at = position(history, order + i);
      if (row === null) return { kind: "delete", at, key: parsed(this.#keys, key), before: null };
      const after = parsed(this.#columns, row);
      return { kind: "state", at, key: keyOf(this.table.description, after), after };
    });
  }

  keys(text: string): readonly Key[] {
    return (JSON.parse(text) as readonly JsonRow[]).map((key) => parsed(this.#keys, key));
  }

  /** Of [key, text]. */
  keyedTexts(text: string): readonly { readonly key: Key; readonly text: string }[] {
    return (JSON.parse(text) as readonly (readonly [JsonRow, string])[]).map(([key, said]) => ({
      key: parsed(this.#keys, key),
      text: said,
    }));
  }

  /** Of [key, row or null]: the rows that are there. */
  found(text: string): readonly Row[] {
    return (JSON.parse(text) as readonly (readonly [JsonRow, JsonRow | null])[]).flatMap(([, row]) =>
      row === null ? [] : [parsed(this.#columns, row)],
    );
  }

  keyOf(row: Row): Key {
    return keyOf(this.table.description, row);
  }
}

function parsed(columns: readonly Parse[], row: JsonRow): Row {
  const out: Value[] = [];
  for (let i = 0; i < columns.length; i++) {
    const json = row[i] ?? null;
    out.push(json === null ? null : (columns[i]?.(json) ?? null));
  }
  return out;
}
