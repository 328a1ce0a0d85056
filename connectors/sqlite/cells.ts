/**
 * Cells as better-sqlite3 gives them (raw, safe integers) become values as the contracts want them. Its one lossy reading is text that is
 * not UTF-8: such bytes come out as U+FFFD, so a text that holds that character is read a second time as a blob.
 */
import { isRawText, type Key, type Row, type Value } from "../../core/vocabulary/value.js";

export type Cells = readonly Value[];

export const isSuspect = (cell: Value): boolean => typeof cell === "string" && cell.includes("\ufffd");

export function hasSuspects(cells: Cells): boolean {
  for (const cell of cells) if (isSuspect(cell)) return true;
  return false;
}

/** SQL that gives a text's bytes, and NULL for all else. */
export const bytesOfText = (column: string): string => `CASE typeof(${column}) WHEN 'text' THEN CAST(${column} AS BLOB) END`;

/** `bytes`: the same cells read by `bytesOfText`. */
export function withRawText(cells: Cells, bytes: Cells): Row {
  return cells.map((cell, i) => {
    const exact = bytes[i];
    return isSuspect(cell) && exact instanceof Uint8Array && !isUtf8(exact) ? { rawText: new Uint8Array(exact) } : cell;
  });
}

const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

function isUtf8(bytes: Uint8Array): boolean {
  try {
    decoder.decode(bytes);
    return true;
  } catch {
    return false;
  }
}

/** SQL for the parameters of a key: text that is not UTF-8 is handed over as its bytes. */
export const keyParameters = (key: Key): readonly string[] =>
  key.map((value) => (value !== null && isRawText(value) ? "CAST(? AS TEXT)" : "?"));

export const bindable = (key: Key): unknown[] =>
  key.map((value) => {
    if (value !== null && isRawText(value)) return Buffer.from(value.rawText);
    return value instanceof Uint8Array ? Buffer.from(value.buffer, value.byteOffset, value.byteLength) : value;
  });

/** Roughly, for limits. */
export function sizeOf(cells: Cells): number {
  let bytes = 16;
  for (const cell of cells) {
    if (typeof cell === "string") bytes += cell.length;
    else if (cell instanceof Uint8Array) bytes += cell.byteLength;
    else bytes += 8;
  }
  return bytes;
}
