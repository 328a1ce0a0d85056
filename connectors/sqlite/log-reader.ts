/** `_cdc_log` as log rows. One per generation of the log's columns: a wider table that joins adds some. */
import { hash } from "node:crypto";
import { makeAnchor } from "../../core/capture/anchor.js";
import type { LogPage, PageLimits } from "../../core/capture/capture-log.js";
import type { LogRow, Note } from "../../core/capture/log-row.js";
import { TailraceError } from "../../core/errors.js";
import { type Anchor, markerId, rereadId } from "../../core/vocabulary/ids.js";
import type { Key, Row, Value } from "../../core/vocabulary/value.js";
import { bytesOfText, type Cells, hasSuspects, sizeOf, withRawText } from "./cells.js";
import type { Database, Statement } from "./database.js";
import type { InstalledTable } from "./installed.js";

const fixed = ["seq", "t", "op", "ts"] as const;

export class LogReader {
  readonly #columns: readonly string[];
  readonly #firstKey: number;
  readonly #firstValue: number;
  readonly #page: Statement;
  readonly #ofTable: Statement;
  readonly #notes: Statement;
  readonly #one: Statement;
  readonly #bytes: Statement;
  readonly #count: Statement;
  readonly #newest: Statement;
  readonly #oldest: Statement;

  constructor(
    database: Database,
    private readonly tables: ReadonlyMap<number, InstalledTable>,
  ) {
    const names = (database.pragma("table_info(_cdc_log)") as { name: string }[]).map((c) => c.name);
    const keys = inOrder(names, "k");
    const values = inOrder(names, "v");
    this.#columns = [...fixed, ...keys, ...values];
    this.#firstKey = fixed.length;
    this.#firstValue = fixed.length + keys.length;
    const select = `SELECT ${this.#columns.join(", ")} FROM _cdc_log`;
    const range = "seq > ? AND seq <= ?";
    const prepare = (sql: string): Statement => database.prepare(sql).raw().safeIntegers();
    this.#page = prepare(`${select} WHERE ${range} ORDER BY seq LIMIT ?`);
    this.#ofTable = prepare(`${select} WHERE ${range} AND t = ? ORDER BY seq LIMIT ?`);
    this.#notes = prepare(`${select} WHERE ${range} AND op IN ('R', 'T', 'M', 'S') ORDER BY seq`);
    this.#one = prepare(`${select} WHERE seq = ?`);
    this.#bytes = prepare(`SELECT ${this.#columns.map(bytesOfText).join(", ")} FROM _cdc_log WHERE seq = ?`);
    this.#count = database.prepare(`SELECT count(*) FROM _cdc_log WHERE ${range}`).pluck();
    this.#newest = database.prepare("SELECT max(seq) FROM _cdc_log").pluck();
    this.#oldest = database.prepare("SELECT min(seq) FROM _cdc_log").pluck();
  }

  newest(): number {
    return Number(this.#newest.get() ?? 0);
  }

  oldest(): number {
    return Number(this.#oldest.get() ?? 0);
  }

  count(after: number, until: number): number {
    return Number(this.#count.get(after, until));
  }

  anchorAt(seq: number): Anchor | null {
    const cells = this.#one.get(seq) as Cells | undefined;
    if (cells === undefined) return null;
    const ts = cells[3];
    // By name and without NULLs: the log gets more columns while it lives.
    const text = cells.map((cell, i) => (cell === null ? "" : `${this.#columns[i] ?? ""}=${typeof cell}:${cellText(cell)};`)).join("");
    return makeAnchor(seq, typeof ts === "number" ? ts : null, hash("sha256", text, "hex").slice(0, 32));
  }

  page(after: number, until: number, limits: PageLimits): LogPage {
    return this.#read(this.#page.iterate(after, until, limits.rows) as IterableIterator<Cells>, limits);
  }

  /** As `page`, of rows about one table. */
  pageOf(table: number, range: { readonly after: number; readonly upTo: number }, limits: PageLimits): LogPage {
    return this.#read(this.#ofTable.iterate(range.after, range.upTo, table, limits.rows) as IterableIterator<Cells>, limits);
  }

  #read(rows: IterableIterator<Cells>, limits: PageLimits): LogPage {
    const cells: Cells[] = [];
    let bytes = 0;
    for (const row of rows) {
      cells.push(row);
      bytes += sizeOf(row);
      if (bytes >= limits.bytes) break;
    }
    return { rows: cells.map((row) => this.#parse(row)), bytes };
  }

  notes(after: number, until: number): readonly Note[] {
    const cells = this.#notes.all(after, until) as Cells[];
    return cells.map((row) => this.#parse(row) as Note);
  }

  #parse(read: Cells): LogRow {
    const cells = hasSuspects(read) ? withRawText(read, this.#bytes.get(read[0]) as Cells) : read;
    const seq = Number(cells[0]);
    const op = cells[2];
    switch (op) {
      case "I":
      case "D": {
        const table = this.#tableOf(cells);
        return { op, seq, table: table.number, row: this.#values(cells, table) };
      }
      case "U": {
        const table = this.#tableOf(cells);
        return { op, seq, table: table.number, from: this.#key(cells, table), row: this.#values(cells, table) };
      }
      case "R":
      case "T": {
        const table = this.#tableOf(cells);
        return { op, seq, table: table.number, key: this.#key(cells, table) };
      }
      case "M": {
        const marker = cells[this.#firstKey];
        return { op, seq, marker: typeof marker === "string" ? markerId(marker) : null };
      }
      case "S": {
        const table = cells[1] === null ? null : this.#tableOf(cells).number;
        const why = cells[this.#firstValue] === "gap" ? "gap" : "ask";
        return { op, seq, table, why, reread: rereadId(cellText(cells[this.#firstKey] ?? null)) };
      }
      default:
        throw damaged("A row of the capture log has an operation that nobody writes", cells);
    }
  }

  #tableOf(cells: Cells): InstalledTable {
    const table = this.tables.get(Number(cells[1]));
    if (table === undefined || table.state === "left-out")
      throw damaged("A row of the capture log speaks of a table that was never captured", cells);
    return table;
  }

  #values(cells: Cells, table: InstalledTable): Row {
    return cells.slice(this.#firstValue, this.#firstValue + table.description.columns.length);
  }

  #key(cells: Cells, table: InstalledTable): Key {
    return cells.slice(this.#firstKey, this.#firstKey + table.description.key.length);
  }
}

/** Columns `v0`, `v1`, … in the order of their numbers: later ones stand behind everything else in the table. */
const inOrder = (names: readonly string[], letter: string): readonly string[] =>
  names.filter((name) => name[0] === letter && /^.\d+$/.test(name)).toSorted((a, b) => Number(a.slice(1)) - Number(b.slice(1)));

/** Texts stay as they are; whatever else it is, two different cells never look alike to an anchor. */
function cellText(cell: Value): string {
  if (typeof cell === "string") return cell;
  if (cell instanceof Uint8Array) return `x${Buffer.from(cell).toString("hex")}`;
  return typeof cell === "bigint" ? `i${cell}` : `r${Number(cell)}`;
}

const damaged = (what: string, cells: Cells): TailraceError =>
  new TailraceError("source.log-damaged", { what, where: { seq: Number(cells[0]), table: Number(cells[1]) } });
