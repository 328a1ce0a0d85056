/** Values on their way to the server: array literals for `unnest`, lines for COPY. Both take PostgreSQL text input forms, null for NULL. */
import type { TargetRow } from "../../core/mapping/mapped.js";

/** One column of the rows. Numbers and booleans have no character that an array literal gives a meaning to. */
export function bareArray(rows: readonly TargetRow[], column: number): string {
  return `{${columnOf(rows, column, bare).join(",")}}`;
}

/** Quoted always: an empty text, a blank, `NULL`, a brace or a comma then mean themselves. */
export function quotedArray(rows: readonly TargetRow[], column: number): string {
  return `{${columnOf(rows, column, quoted).join(",")}}`;
}

/** Joined at once: a text that grows by each value is a tree of as many pieces until somebody reads it, and outlives its window's making. */
function columnOf(rows: readonly TargetRow[], column: number, form: (value: string) => string): readonly string[] {
  const values: string[] = [];
  for (const row of rows) {
    const value = row[column] ?? null;
    values.push(value === null ? "NULL" : form(value));
  }
  return values;
}

const bare = (value: string): string => value;
const quoted = (value: string): string => `"${needsEscape.test(value) ? value.replaceAll(escaped, "\\$&") : value}"`;
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
