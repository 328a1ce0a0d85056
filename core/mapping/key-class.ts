/**
 * Keys are stricter than other values. Two keys that differ at the source must differ at the target, and sort alike there, or a row would
 * overwrite another and a chunk would delete what it did not read. So a key column takes values of one group of storage classes only,
 * within which its conversion is one-to-one and keeps the order; 1 and '1', which an untyped key can hold side by side, never both pass.
 */
import type { ColumnDescription, StorageClass } from "../vocabulary/table.js";
import { isRawText, type Value } from "../vocabulary/value.js";
import { unreachable } from "../vocabulary/unreachable.js";
import { type Convert, refused } from "./mapped.js";
import type { PostgresType } from "./postgres-type.js";
import { keyUuidConverter } from "./texts.js";

/** Classes that compare with each other by value. */
export type ClassGroup = "number" | "text" | "blob";

export function groupOfClass(storage: StorageClass): ClassGroup {
  switch (storage) {
    case "integer":
    case "real":
    case "boolean":
    case "decimal":
      return "number";
    case "text":
    case "raw":
      return "text";
    case "blob":
      return "blob";
    default:
      return unreachable(storage);
  }
}

/** The one group that a column's values belong to; null when there are several or none. */
export function onlyGroup(classes: readonly StorageClass[]): ClassGroup | null {
  const groups = new Set(classes.map(groupOfClass));
  const [first] = groups;
  return groups.size === 1 && first !== undefined ? first : null;
}

/** What the type holds by nature, for a column that has shown no single group yet. */
function naturalGroup(type: PostgresType): ClassGroup {
  switch (type.kind) {
    case "smallint":
    case "integer":
    case "bigint":
    case "numeric":
    case "double precision":
    case "real":
    case "boolean":
    case "date":
    case "timestamp":
      return "number";
    case "bytea":
      return "blob";
    default:
      return "text";
  }
}

/**
 * Whether mapping values of the group to the type keeps apart what is apart, and keeps the order. Numbers that count time keep it; ISO text
 * does not, because zones and precisions mix.
 */
export function keepsOrder(group: ClassGroup, type: PostgresType): boolean {
  switch (type.kind) {
    case "smallint":
    case "integer":
    case "bigint":
    case "numeric":
    case "double precision":
    case "real":
    case "boolean":
    case "date":
    case "timestamp":
      return group === "number";
    case "text":
    case "varchar":
      return group === "text";
    case "uuid":
      return group === "text" || group === "blob";
    case "bytea":
      return group === "text" || group === "blob";
    case "char":
    case "json":
    case "jsonb":
    case "time":
    case "other":
      return false;
    default:
      return unreachable(type);
  }
}

/** The group that this key column's values must be of. Only bytea and uuid leave a choice; there the classes seen so far decide. */
export function keyGroup(column: ColumnDescription, type: PostgresType): ClassGroup {
  return onlyGroup(column.classes.filter((storage) => keepsOrder(groupOfClass(storage), type))) ?? naturalGroup(type);
}

const otherClass = refused(
  "value.type",
  "a key of another storage class than the column's other keys, which could collide with one of them",
);

export function strictConvert(column: ColumnDescription, type: PostgresType, convert: Convert): Convert {
  const group = keyGroup(column, type);
  const inner = type.kind === "uuid" ? keyUuidConverter : convert;
  switch (group) {
    case "number":
      return column.classes.includes("decimal") || column.classes.includes("boolean")
        ? inner
        : (value) => (typeof value === "bigint" || typeof value === "number" ? inner(value) : otherClass);
    case "text":
      return (value) => (typeof value === "string" || isRawText(value) ? inner(value) : otherClass);
    case "blob":
      return (value) => (isBlob(value) ? inner(value) : otherClass);
    default:
      return unreachable(group);
  }
}

const isBlob = (value: Value): boolean => value instanceof Uint8Array;
