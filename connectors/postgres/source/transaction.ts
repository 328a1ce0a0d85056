/**
 * One transaction of PostgreSQL, from its first row to its commit record, as changes with positions. Its rows may be taken before it is whole: that is
 * how one of millions of rows passes through little memory. They are told under a cut that only its end can have.
 *
 * A truncated table becomes a chunk: the table as a whole is replaced by what the same transaction wrote into it afterwards.
 */
import type { BatchPart, Change, Control } from "../../../core/contracts/change.js";
import { TailraceError } from "../../../core/errors.js";
import { rereadId } from "../../../core/vocabulary/ids.js";
import type { Position } from "../../../core/vocabulary/position.js";
import type { TableDescription } from "../../../core/vocabulary/table.js";
import { keyText, type Row } from "../../../core/vocabulary/value.js";
import { changePosition, formatLsn } from "./lsn.js";
import { anchorOf, type Begun } from "./past.js";

export interface LiveChange {
  readonly table: TableDescription;
  readonly change: Change;
  /** What it takes up, as it came. */
  readonly bytes: number;
}
export interface Page {
  readonly changes: readonly LiveChange[];
  readonly controls: readonly Control[];
  readonly bytes: number;
}

/** Rows that a transaction wrote into a table after truncating it are held until its end. */
const truncatedRowsMax = 20_000;

/** Positions are given in the order in which changes are added, whether or not they are told. */
export class Transaction {
  readonly anchor;
  #number = 0;
  #changes: LiveChange[] = [];
  #controls: Control[] = [];
  #bytes = 0;
  readonly #truncated = new Map<TableDescription, Map<string, Row>>();
  #told = 0;
  isWhole = false;

  constructor(
    readonly begun: Begun,
    private readonly history: number,
  ) {
    this.anchor = anchorOf(begun);
  }

  /** Of what was added and not taken. */
  get bytes(): number {
    return this.#bytes;
  }
  get rows(): number {
    return this.#changes.length;
  }
  /** Rows told so far or to be told. */
  get size(): number {
    return this.#told + this.#changes.length;
  }
  get isEmpty(): boolean {
    return this.size === 0 && this.#controls.length === 0 && this.#truncated.size === 0;
  }
  /** Its chunks stand above every change of their batch. */
  get endsItsBatch(): boolean {
    return this.#truncated.size > 0;
  }

  next(): Position {
    return changePosition(this.history, this.begun.commit, ++this.#number);
  }

  add(table: TableDescription, change: Change, bytes: number): void {
    const held = this.#truncated.get(table);
    if (held !== undefined) {
      fold(held, change);
      if (held.size > truncatedRowsMax) throw tooMany(table, this.begun);
      return;
    }
    this.#changes.push({ table, change, bytes });
    this.#bytes += bytes;
  }

  control(control: Control): void {
    this.#controls.push(control);
  }

  truncate(table: TableDescription): void {
    this.#changes = this.#changes.filter((one) => one.table !== table);
    this.#truncated.set(table, new Map());
  }

  /** Everything that is here; legal again when more has come. */
  take(): Page {
    const page = { changes: this.#changes, controls: this.#controls, bytes: this.#bytes };
    this.#told += this.#changes.length;
    this.#changes = [];
    this.#controls = [];
    this.#bytes = 0;
    return page;
  }

  /** Legal when it is whole and everything else was taken. */
  chunks(): readonly BatchPart[] {
    return [...this.#truncated].map(([table, rows]) => ({
      kind: "chunk",
      table,
      chunk: {
        reread: rereadId(`truncate-${formatLsn(this.begun.commit)}`),
        scope: { kind: "range", after: null, upTo: null },
        at: this.next(),
        rows: [...rows.values()],
        last: true,
      },
    }));
  }
}

function fold(held: Map<string, Row>, change: Change): void {
  if (change.kind === "rekey") held.delete(keyText(change.from));
  if (change.kind === "delete") held.delete(keyText(change.key));
  else held.set(keyText(change.key), change.after);
}

const tooMany = (table: TableDescription, { commit }: Begun): TailraceError =>
  new TailraceError("source.truncated", {
    what: `A table was truncated and more than ${truncatedRowsMax} rows were written into it in one transaction`,
    where: { table: table.table, commit: formatLsn(commit) },
  });
