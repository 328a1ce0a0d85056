/** Values on their way to the server: array literals for `unnest`, lines for COPY. Both take PostgreSQL text input forms, null for NULL. */
import type { TargetRow } from "../../core/mapping/mapped.js";

/** One column of the rows. Numbers and booleans have no character that an array literal gives a meaning to. */
export function bareArray(rows: readonly TargetRow[], column: number): string {
  let out = "{";
  let comma = "";
  for (const row of rows) {
    out += comma + (row[column] ?? "NULL");
    comma = ",";
  }
  return `${out}}`;
}

/** Quoted always: an empty text, a blank, `NULL`, a brace or a comma then mean themselves. */
export function quotedArray(rows: readonly TargetRow[], column: number): string {
  let out = "{";
  let comma = "";
  for (const row of rows) {
    const value = row[column] ?? null;
    if (value === null) out += `${comma}NULL`;
    else out += `${comma}"${needsEscape.test(value) ? value.replaceAll(escaped, "\\$&") : value}"`;
    comma = ",";
  }
  return `${out}}`;
}
const needsEscape = /["\\]/;
const escaped = /["\\]/g;

const bufferBytes = 512 * 1024;

/** Lines of COPY's text format, in buffers large enough that the client's work per buffer does not count. */
export function* copyBuffers(rows: Iterable<TargetRow>): Generator<Buffer> {
  let text = "";
  for (const row of rows) {
    text += copyLine(row);
    if (text.length >= bufferBytes) {
      yield Buffer.from(text, "utf8");
      text = "";
    }
  }
  if (text !== "") yield Buffer.from(text, "utf8");
}

function copyLine(row: TargetRow): string {
  let line = "";
  for (let i = 0; i < row.length; i++) {
    const value = row[i] ?? null;
    if (i > 0) line += "\t";
    if (value === null) line += "\\N";
    else line += needsCopyEscape.test(value) ? value.replaceAll(copyEscaped, escapeForCopy) : value;
  }
  return `${line}\n`;
}
const needsCopyEscape = /[\\\n\r\t]/;
const copyEscaped = /[\\\n\r\t]/g;
const copyEscapes: Readonly<Record<string, string>> = { "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t" };
const escapeForCopy = (character: string): string => copyEscapes[character] ?? character;
