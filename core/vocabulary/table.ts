import type { GroupId, SchemaVersion, TableId } from "./ids.js";
import type { Key, Row, Value } from "./value.js";

export interface ColumnDescription {
  readonly name: string;
  /** As declared, "" when there is none. */
  readonly declaredType: string;
  readonly nullable: boolean;
  readonly generated: boolean;
  /** Storage classes seen in this column so far, sorted; the Avro type is their union. A new class is a new schema version. */
  readonly classes: readonly StorageClass[];
}

/**
 * SQLite's classes, plus `raw` (text that is not UTF-8). Sources with declared types have two more: `boolean`, and `decimal`, an exact number as
 * text. NULL is `nullable`, not a class.
 */
export type StorageClass = "integer" | "real" | "text" | "blob" | "raw" | "boolean" | "decimal";

export interface TableDescription {
  readonly table: TableId;
  readonly group: GroupId;
  readonly schema: SchemaVersion;
  readonly columns: readonly ColumnDescription[];
  /** Indexes into `columns`. */
  readonly key: readonly [number, ...number[]];
}

export function keyOf(table: TableDescription, row: Row): Key {
  const [first] = table.key;
  // One column nearly always, and once per change.
  return table.key.length === 1 ? [row[first] ?? null] : table.key.map((i): Value => row[i] ?? null);
}
