/**
 * What became of the rows that hints (R) and touches (T) name.
 *
 * R(k): the first later row about k up to S decides. An insert of k, or a key change into k, means that k was gone before it: pushed out.
 * Any other means it was still there. None: pushed out if k is absent in the transaction that read S.
 * T(k): answered only if nothing about k, a true hint included, follows up to S; else that row speaks for it.
 *
 * Feed all rows of the batch in order, then settle. Memory grows with the hints that wait for an answer, not with the batch.
 */
import { type Key, keyText, type Row } from "../vocabulary/value.js";
import type { Hint, LogRow, Touch } from "./log-row.js";

/** `row` null: it is not there. */
export type Answer = { readonly kind: "evicted" } | { readonly kind: "is"; readonly row: Row | null };

export class Hints {
  readonly #waiting = new Map<string, (Hint | Touch)[]>();
  readonly #answers = new Map<number, Answer>();

  constructor(private readonly keyOf: (table: number, row: Row) => Key) {}

  feed(row: LogRow): void {
    switch (row.op) {
      case "R":
      case "T":
        this.#wait(row);
        return;
      case "I":
        if (this.#waiting.size > 0) this.#decide(row.table, this.keyOf(row.table, row.row), true);
        return;
      case "D":
        if (this.#waiting.size > 0) this.#decide(row.table, this.keyOf(row.table, row.row), false);
        return;
      case "U":
        if (this.#waiting.size > 0) this.#update(row.table, row.from, this.keyOf(row.table, row.row));
        return;
      case "M":
      case "S":
        return;
    }
  }

  /** Answers what is still open by what the table holds in the transaction that read S. */
  settle(rowAtS: (table: number, key: Key) => Row | null): void {
    for (const open of this.#waiting.values()) {
      const [first] = open;
      if (first === undefined) continue;
      const row = rowAtS(first.table, first.key);
      open.forEach((hint, i) => {
        if (hint.op === "R" && row === null) this.#answers.set(hint.seq, { kind: "evicted" });
        if (hint.op === "T" && (row !== null || !open.slice(i).some((later) => later.op === "R")))
          this.#answers.set(hint.seq, { kind: "is", row });
      });
    }
    this.#waiting.clear();
  }

  /** null: this row says nothing. Legal after `settle`. */
  answer(seq: number): Answer | null {
    return this.#answers.get(seq) ?? null;
  }

  #wait(hint: Hint | Touch): void {
    const id = keyId(hint.table, hint.key);
    const open = this.#waiting.get(id);
    if (open === undefined) this.#waiting.set(id, [hint]);
    else open.push(hint);
  }

  #update(table: number, from: Key, to: Key): void {
    const same = keyText(from) === keyText(to);
    this.#decide(table, from, false);
    if (!same) this.#decide(table, to, true);
  }

  #decide(table: number, key: Key, arrives: boolean): void {
    const id = keyId(table, key);
    const open = this.#waiting.get(id);
    if (open === undefined) return;
    this.#waiting.delete(id);
    if (arrives) for (const hint of open) if (hint.op === "R") this.#answers.set(hint.seq, { kind: "evicted" });
  }
}

export const keyId = (table: number, key: Key): string => `${table} ${keyText(key)}`;
