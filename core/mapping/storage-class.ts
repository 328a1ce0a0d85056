import type { StorageClass } from "../vocabulary/table.js";
import { isRawText, type Value } from "../vocabulary/value.js";

/** SQLite's storage class of a value; null for NULL and for what SQLite does not have. */
export function storageClassOf(value: Value): StorageClass | null {
  switch (typeof value) {
    case "bigint":
      return "integer";
    case "number":
      return "real";
    case "string":
      return "text";
    default:
      if (value instanceof Uint8Array) return "blob";
      return isRawText(value) ? "raw" : null;
  }
}
