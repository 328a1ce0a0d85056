/**
 * Where a DuckDB file is. While it is fenced off for good it lies aside, under a name of ours, and in its place stands a tombstone: a text that DuckDB
 * refuses to open, and that says whose fence it is. One rename puts it there and one takes it away, so at any moment the path names either the
 * database or the tombstone, whatever has crashed: the path itself is the fence.
 */
import { closeSync, openSync, readSync, realpathSync } from "node:fs";
import { basename } from "node:path";
import { type MarkerId, markerId } from "../../../core/vocabulary/ids.js";
import { type Position, position } from "../../../core/vocabulary/position.js";

export interface Tombstone {
  readonly pipeline: string;
  readonly marker: MarkerId;
  /** Behind the last change that the application made in the file. */
  readonly at: Position;
}
export type FilePlace =
  | { readonly kind: "here"; readonly path: string }
  /** `path`: where the database lies now. */
  | { readonly kind: "aside"; readonly path: string; readonly tombstone: Tombstone };

const firstWords = "tailrace: writes are fenced off";
const bytesMost = 4_096;

/** Renames act on names: a link to the file stays what it is. */
export const realName = (path: string): string => realpathSync(path);
export const asideName = (real: string): string => `${real}.tailrace`;

export function tombstoneText(real: string, { pipeline, marker, at }: Tombstone): string {
  return `${firstWords}: the application of this database was switched over to PostgreSQL.
The database lies beside this file as ${basename(asideName(real))}; \`tailrace rollback run\` brings it back. Do not remove either by hand.
${JSON.stringify({ pipeline, marker, history: at.history, order: at.order })}
`;
}

/** null: the path names no tombstone, or nothing. */
export function readTombstone(path: string): Tombstone | null {
  const text = beginningOf(path);
  if (!text.startsWith(firstWords)) return null;
  const said = JSON.parse(text.trimEnd().split("\n").at(-1) ?? "") as { pipeline: string; marker: string; history: number; order: number };
  return { pipeline: said.pipeline, marker: markerId(said.marker), at: position(said.history, said.order) };
}

export function placeOfFile(path: string): FilePlace {
  const tombstone = readTombstone(path);
  return tombstone === null ? { kind: "here", path } : { kind: "aside", path: asideName(realName(path)), tombstone };
}

function beginningOf(path: string): string {
  let fd: number;
  try {
    fd = openSync(path, "r");
  } catch {
    return "";
  }
  try {
    const bytes = Buffer.alloc(bytesMost);
    return bytes.subarray(0, readSync(fd, bytes, 0, bytesMost, 0)).toString("latin1");
  } finally {
    closeSync(fd);
  }
}
