/**
 * Canonical key order: NULL, then numbers by value, then text by its UTF-8 bytes, then blobs by bytes; composite keys part by part. It is
 * SQLite's own order under BINARY collation, so that "at or below the cursor" means the same to us and to the query that reads a chunk.
 */
import type { TableDescription } from "../vocabulary/table.js";
import { isRawText, type Key, type Value } from "../vocabulary/value.js";

/** The same for one table's keys: exact numbers that are written as text, always with the same number of decimals, go by value. */
export function keyOrderOf({ key, columns }: TableDescription): (a: Key, b: Key) => number {
  const decimal = key.map((i) => columns[i]?.classes.includes("decimal") === true);
  if (!decimal.includes(true)) return compareKeys;
  const valued = (all: Key): Key =>
    all.map((part, i) => (decimal[i] === true && typeof part === "string" ? BigInt(part.replace(".", "")) : part));
  return (a, b) => compareKeys(valued(a), valued(b));
}

export function compareKeys(a: Key, b: Key): number {
  for (let i = 0; i < a.length; i++) {
    const order = compareValues(a[i] ?? null, b[i] ?? null);
    if (order !== 0) return order;
  }
  return 0;
}

export function compareValues(a: Value, b: Value): number {
  // JS compares a bigint with a number by exact value, and strings of one class below.
  if ((typeof a === "bigint" || typeof a === "number") && (typeof b === "bigint" || typeof b === "number")) {
    return a < b ? -1 : a > b ? 1 : 0;
  }
  if (typeof a === "string" && typeof b === "string") return compareText(a, b);
  if (typeof a === "boolean" && typeof b === "boolean") return Number(a) - Number(b);
  const rank = rankOf(a) - rankOf(b);
  if (rank !== 0 || a === null) return rank;
  return Buffer.compare(bytesOf(a), bytesOf(b));
}

function rankOf(value: Value): number {
  if (value === null) return 0;
  if (typeof value === "bigint" || typeof value === "number") return 1;
  if (typeof value === "string" || isRawText(value)) return 2;
  if (value instanceof Uint8Array) return 3;
  throw new Error("a key holds a value that has no order");
}

function bytesOf(value: Value): Uint8Array {
  if (typeof value === "string") return Buffer.from(value, "utf8");
  if (value instanceof Uint8Array) return value;
  if (value !== null && isRawText(value)) return value.rawText;
  throw new Error("a key holds a value that has no bytes");
}

/** By UTF-8 bytes, which is by code point: UTF-16 units differ from that only where a surrogate meets U+E000 to U+FFFF. */
function compareText(a: string, b: string): number {
  const length = Math.min(a.length, b.length);
  for (let i = 0; i < length; i++) {
    const x = a.charCodeAt(i);
    const y = b.charCodeAt(i);
    if (x !== y) return byCodePoint(x) - byCodePoint(y);
  }
  return a.length - b.length;
}

const byCodePoint = (unit: number): number => (unit >= 0xd800 && unit <= 0xdfff ? unit + 0x10000 : unit);
