/**
 * Names at the target. PostgreSQL cuts a name at 63 bytes without a word, so that two long names can meet; here a name of the source is never
 * cut: one that cannot be used is refused with a proposal. Only names that we make (indexes, foreign keys) are shortened, with a hash of the
 * whole behind them.
 */
import { createHash } from "node:crypto";

export const nameBytesMax = 63;

/** Column names that every PostgreSQL table has already. */
const systemColumns = new Set(["tableoid", "xmin", "cmin", "xmax", "cmax", "ctid"]);

/** Why a table or column cannot have this name; null when it can. */
export function nameFault(name: string): string | null {
  if (name === "") return "PostgreSQL has no empty names";
  if (name.includes("\0")) return "a name cannot hold a NUL character";
  const bytes = Buffer.byteLength(name, "utf8");
  if (bytes > nameBytesMax) return `it has ${bytes} bytes, and PostgreSQL cuts names at ${nameBytesMax}`;
  return null;
}

export const columnFault = (name: string): string | null =>
  nameFault(name) ?? (systemColumns.has(name) ? "every PostgreSQL table has a system column of this name" : null);

export function schemaFault(name: string): string | null {
  if (name.startsWith("pg_") || name === "information_schema") return "the schema belongs to PostgreSQL";
  if (name === "tailrace") return "the schema holds our own state";
  return nameFault(name);
}

/** Names that differ in the case of ASCII letters only are taken for one, as SQLite does. */
export const foldCase = (name: string): string => name.replaceAll(/[A-Z]/g, (letter) => letter.toLowerCase());

export interface TargetName {
  readonly schema: string;
  readonly name: string;
}

/** `name`, `schema.name`, or either part in double quotes when it holds a dot. Null when it is none of these. */
export function parseTargetName(text: string, schema: string): TargetName | null {
  const parts = /^(?:("(?:[^"]|"")+"|[^".]+)\.)?("(?:[^"]|"")+"|[^".]+)$/.exec(text);
  if (parts === null) return null;
  const [, first, second = ""] = parts;
  return { schema: first === undefined ? schema : unquoted(first), name: unquoted(second) };
}

const unquoted = (text: string): string => (text.startsWith('"') ? text.slice(1, -1).replaceAll('""', '"') : text);

/** At most 63 bytes; what had to be cut ends in a hash of the whole name, so that it stays the same and stays its own. */
export function shortName(name: string): string {
  if (nameFault(name) === null) return name;
  const hash = createHash("sha1").update(name, "utf8").digest("hex").slice(0, 8);
  return `${cutToBytes(name.replaceAll("\0", "_"), nameBytesMax - 9)}_${hash}`;
}

/** Whole characters only. */
function cutToBytes(text: string, bytes: number): string {
  let cut = "";
  let used = 0;
  for (const character of text) {
    used += Buffer.byteLength(character, "utf8");
    if (used > bytes) break;
    cut += character;
  }
  return cut;
}

/** Gives out names that are unique among those taken before. */
export class NameSpace {
  readonly #taken = new Set<string>();

  reserve(name: string): void {
    this.#taken.add(foldCase(name));
  }

  take(wanted: string): string {
    let name = shortName(wanted);
    for (let n = 2; this.#taken.has(foldCase(name)); n++) name = shortName(`${wanted}_${n}`);
    this.reserve(name);
    return name;
  }
}
