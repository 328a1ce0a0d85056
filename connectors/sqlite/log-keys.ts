/** Which rows the capture log speaks of, without their values. */
import { type ChangedKey } from "../../core/contracts/row-reader.js";
import { type Key, keyText, type Value } from "../../core/vocabulary/value.js";
import { bytesOfText, type Cells, hasSuspects, withRawText } from "./cells.js";
import type { Database } from "./database.js";
import type { ReadableTables, ReadTable } from "./readable-tables.js";

const rowsPerPage = 4_000;

export interface KeyPage {
  readonly keys: readonly ChangedKey[];
  /** All rows of the log up to here are in this page or an earlier one. */
  readonly until: number;
}

/** Legal inside one read transaction. */
export class LogKeys {
  readonly #names: readonly string[];

  constructor(
    private readonly database: Database,
    private readonly tables: ReadableTables,
  ) {
    const names = (database.pragma("table_info(_cdc_log)") as { name: string }[]).map((c) => c.name);
    this.#names = names.filter((name) => /^[kv]\d+$/.test(name));
  }

  page(after: number, upTo: number): KeyPage {
    const heads = this.database
      .prepare("SELECT seq, t FROM _cdc_log WHERE seq > ? AND seq <= ? ORDER BY seq LIMIT ?")
      .raw()
      .all(after, upTo, rowsPerPage) as [number, number | null][];
    const until = heads.length < rowsPerPage ? upTo : (heads.at(-1)?.[0] ?? upTo);
    const keys = new Map<string, ChangedKey>();
    for (const number of new Set(heads.map(([, t]) => t))) {
      const table = number === null ? null : this.tables.byNumber(number);
      if (table !== null) for (const found of this.#keys(table, after, until)) keys.set(`${table.number} ${keyText(found.key)}`, found);
    }
    return { keys: [...keys.values()], until };
  }

  /** A hint (R) names a row that may have been pushed out, a touch (T) one that is told again. */
  *#keys({ number, description, names }: ReadTable, after: number, until: number): Generator<ChangedKey> {
    const old = description.key.map((_, i) => `k${i}`).filter((name) => this.#names.includes(name));
    const now = description.key.map((i) => `v${i}`);
    const tail = "FROM _cdc_log WHERE t = ? AND seq > ? AND seq <= ? AND op IN ('I', 'U', 'D', 'R', 'T') ORDER BY seq";
    const select = `SELECT seq, op, ${[...old, ...now].join(", ")} ${tail}`;
    const rows = this.database.prepare(select).raw().safeIntegers().all(number, after, until) as Cells[];
    const exact = rows.some(hasSuspects)
      ? (this.database
          .prepare(`SELECT NULL, NULL, ${[...old, ...now].map(bytesOfText).join(", ")} ${tail}`)
          .raw()
          .all(number, after, until) as Cells[])
      : null;
    const width = description.key.length;
    for (const [i, read] of rows.entries()) {
      const cells = exact === null ? read : withRawText(read, exact[i] ?? []);
      const name = (key: Key): ChangedKey => ({
        table: description.table,
        key,
        id: names.ofSource(key),
        order: Number(cells[0]),
      });
      const op = cells[1] as Value;
      if (op !== "I" && op !== "D") yield name(cells.slice(2, 2 + width));
      if (op === "I" || op === "D" || op === "U") yield name(cells.slice(2 + width, 2 + 2 * width));
    }
  }
}
