/** Rows of one captured table: by key, and in key order by pages. */
import type { PageLimits } from "../../core/capture/capture-log.js";
import { keyOf, type TableDescription } from "../../core/vocabulary/table.js";
import { type Key, keyText, type Row } from "../../core/vocabulary/value.js";
import { bindable, bytesOfText, type Cells, hasSuspects, keyParameters, sizeOf, withRawText } from "./cells.js";
import type { Database, Statement } from "./database.js";
import { quoteName } from "./quote.js";

export class TableReader {
  readonly #columns: string;
  readonly #bytes: string;
  readonly #key: readonly string[];
  readonly #from: string;
  readonly #prepared = new Map<string, Statement>();

  constructor(
    private readonly database: Database,
    private readonly description: TableDescription,
  ) {
    const names = description.columns.map((c) => quoteName(c.name));
    this.#columns = names.join(", ");
    this.#bytes = names.map(bytesOfText).join(", ");
    this.#key = description.key.map((i) => names[i] ?? "");
    this.#from = `FROM ${quoteName(description.table)}`;
  }

  /** The row whose key is the same in value and storage class. */
  row(key: Key): Row | null {
    const parameters = keyParameters(key);
    const where = this.#key.map((column, i) => `${column} = ${parameters[i] ?? "?"}`).join(" AND ");
    const bound = bindable(key);
    const cells = this.#prepare(`SELECT ${this.#columns} ${this.#from} WHERE ${where}`).get(...bound) as Cells | undefined;
    if (cells === undefined) return null;
    const row = hasSuspects(cells)
      ? withRawText(cells, this.#prepare(`SELECT ${this.#bytes} ${this.#from} WHERE ${where}`).get(...bound) as Cells)
      : cells;
    return keyText(keyOf(this.description, row)) === keyText(key) ? row : null;
  }

  /** The next rows above `after`, none of them above `upTo`. */
  chunk(
    after: Key | null,
    limits: PageLimits,
    upTo: Key | null = null,
  ): { readonly rows: readonly Row[]; readonly bytes: number; readonly ended: boolean } {
    const order = this.#key.join(", ");
    const ends = [...(after === null ? [] : [this.#compared(">", after)]), ...(upTo === null ? [] : [this.#compared("<=", upTo)])];
    const where = ends.length === 0 ? "" : `WHERE ${ends.join(" AND ")}`;
    const bound = [...(after === null ? [] : bindable(after)), ...(upTo === null ? [] : bindable(upTo)), limits.rows + 1];
    const tail = `${this.#from} ${where} ORDER BY ${order} LIMIT ?`;
    const rows: Cells[] = [];
    let bytes = 0;
    let ended = true;
    for (const cells of this.#prepare(`SELECT ${this.#columns} ${tail}`).iterate(...bound) as IterableIterator<Cells>) {
      const size = sizeOf(cells);
      // A row that is nearly as large as a record may be goes alone: a record with others beside it would be refused.
      if (rows.length >= limits.rows || (rows.length > 0 && bytes + size > limits.bytes)) {
        ended = false;
        break;
      }
      rows.push(cells);
      bytes += size;
    }
    return { rows: rows.some(hasSuspects) ? this.#exact(rows, tail, bound) : rows, bytes, ended };
  }

  /** The same rows once more, with the bytes of their texts. */
  #exact(rows: readonly Cells[], tail: string, bound: readonly unknown[]): readonly Row[] {
    const limit = [...bound.slice(0, -1), rows.length];
    const bytes = this.#prepare(`SELECT ${this.#bytes} ${tail}`).all(...limit) as Cells[];
    return rows.map((cells, i) => withRawText(cells, bytes[i] ?? []));
  }

  /** The key of the row that stands `rows` behind `after` in key order; null: there are fewer. */
  keyAt(after: Key | null, rows: number): Key | null {
    const where = after === null ? "" : `WHERE ${this.#compared(">", after)}`;
    const tail = `${this.#from} ${where} ORDER BY ${this.#key.join(", ")} LIMIT 1 OFFSET ?`;
    const bound = [...(after === null ? [] : bindable(after)), rows - 1];
    const cells = this.#prepare(`SELECT ${this.#key.join(", ")} ${tail}`).get(...bound) as Cells | undefined;
    if (cells === undefined || !hasSuspects(cells)) return cells ?? null;
    return withRawText(cells, this.#prepare(`SELECT ${this.#key.map(bytesOfText).join(", ")} ${tail}`).get(...bound) as Cells);
  }

  #compared(operator: ">" | "<=", bound: Key): string {
    const parameters = keyParameters(bound);
    if (this.#key.length === 1) return `${this.#key[0] ?? ""} ${operator} ${parameters[0] ?? "?"}`;
    return `(${this.#key.join(", ")}) ${operator} (${parameters.join(", ")})`;
  }

  #prepare(sql: string): Statement {
    const known = this.#prepared.get(sql);
    if (known !== undefined) return known;
    const statement = this.database.prepare(sql).raw().safeIntegers();
    this.#prepared.set(sql, statement);
    return statement;
  }
}
