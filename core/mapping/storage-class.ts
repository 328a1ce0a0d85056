import type { StorageClass } from "../vocabulary/table.js";
import { isRawText, type Value } from "../vocabulary/value.js";

/** Storage class by the value alone, which is all that there is for SQLite; null for NULL and for what no source has. */
export function storageClassOf(value: Value): StorageClass | null {
  switch (typeof value) {
    case "bigint":
      return "integer";
    case "number":
      return "real";
    case "string":
      return "text";
    case "boolean":
      return "boolean";
    default:
      if (value instanceof Uint8Array) return "blob";
      return isRawText(value) ? "raw" : null;
  }
}
