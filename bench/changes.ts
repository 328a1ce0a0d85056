/** A stream of changes to `orders`, 70 / 20 / 10 update, insert, delete of random rows. Same seed and base, same changes. */
import type Database from "better-sqlite3";
import { bound, insertSql, mixed, type Order, order, updateSql } from "./orders.js";

export type OrderChange =
  | { readonly kind: "insert" | "update"; readonly id: number; readonly row: Order }
  | { readonly kind: "delete"; readonly id: number };

export class OrderChanges {
  readonly #live: number[];
  #next: number;
  #drawn = 0;

  constructor(rows: number) {
    this.#live = Array.from({ length: rows }, (_, i) => i + 1);
    this.#next = rows + 1;
  }

  next(): OrderChange {
    const n = ++this.#drawn;
    const dice = mixed(n, 77) % 100;
    const at = mixed(n, 991) % this.#live.length;
    if (dice >= 70 && dice < 90) {
      const id = this.#next++;
      this.#live.push(id);
      return { kind: "insert", id, row: order(id, 0) };
    }
    const id = this.#live[at] ?? 1;
    if (dice < 70) return { kind: "update", id, row: order(id, n) };
    this.#live[at] = this.#live.at(-1) ?? id;
    this.#live.pop();
    return { kind: "delete", id };
  }

  take(n: number): readonly OrderChange[] {
    return Array.from({ length: n }, () => this.next());
  }
}

/** As the application does it: so many changes in each transaction. */
export function write(database: Database.Database, changes: readonly OrderChange[], perTransaction: number): void {
  const insert = database.prepare(insertSql);
  const update = database.prepare(updateSql);
  const remove = database.prepare("DELETE FROM orders WHERE id = ?");
  const some = database.transaction((from: number, to: number) => {
    for (let i = from; i < to; i++) {
      const change = changes[i];
      if (change === undefined) return;
      if (change.kind === "delete") remove.run(BigInt(change.id));
      else {
        const [id, customer, sku, qty, price, status, at, note] = bound(change.row);
        if (change.kind === "insert") insert.run(id, customer, sku, qty, price, status, at, note);
        else update.run(customer, qty, price, status, at, note, id);
      }
    }
  });
  for (let from = 0; from < changes.length; from += perTransaction) some.immediate(from, Math.min(changes.length, from + perTransaction));
}
