/** Values on their way to the server: array literals for `unnest`, lines for COPY. Both take PostgreSQL text input forms, null for NULL. */
import type { TargetRow } from "../../core/mapping/mapped.js";

/** How a column's values are written: numbers and booleans have no character that an array literal gives a meaning to. */
export type ArrayForm = "bare" | "quoted";

/**
 * Rows that are on their way into one statement, a literal per column. Joined a few at a time: the values of a row are garbage before the collector has
 * once looked at them, whereas a whole window's would be moved twice and then outlive it. A text that grows by each value would be a tree of as many pieces.
 */
export class ArrayLiterals {
  readonly #pieces: readonly string[][];
  #pending: TargetRow[] = [];
  #count = 0;

  constructor(private readonly forms: readonly ArrayForm[]) {
    this.#pieces = forms.map(() => []);
  }

  get count(): number {
    return this.#count;
  }

  add(row: TargetRow): void {
    this.#count += 1;
    if (this.#pending.push(row) === rowsPerPiece) this.#join();
  }

  /** In the order of the forms. */
  texts(): readonly string[] {
    if (this.#pending.length > 0) this.#join();
    return this.#pieces.map((pieces) => `{${pieces.join(",")}}`);
  }

  #join(): void {
    const rows = this.#pending;
    this.#pending = [];
    for (const [column, form] of this.forms.entries()) this.#pieces[column]?.push(columnOf(rows, column, form === "bare" ? bare : quoted));
  }
}

const rowsPerPiece = 128;

function columnOf(rows: readonly TargetRow[], column: number, form: (value: string) => string): string {
  return rows
    .map((row) => {
      const value = row[column] ?? null;
      return value === null ? "NULL" : form(value);
    })
    .join(",");
}

const bare = (value: string): string => value;
/** Quoted always: an empty text, a blank, `NULL`, a brace or a comma then mean themselves. */
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
