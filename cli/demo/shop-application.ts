/**
 * The application of the demo: a process of its own that knows nothing of Tailrace and goes on writing, one transaction after the other. Each
 * transaction moves money between customers, so that the sum of all balances never changes, and carries its own number.
 */
import type { Database } from "../../connectors/sqlite/database.js";
import { openDatabase } from "../../connectors/sqlite/database.js";
import { systemClock } from "../../core/clock.js";
import { customersCount, OrderWriter, repeatableRandom } from "./shop-database.js";

/** To the demo: numbers of transactions that have been committed since the last message, each with the wall time at which COMMIT came back. */
export interface CommitsMessage {
  readonly kind: "commits";
  readonly commits: readonly (readonly [transaction: number, wallMs: number])[];
}

const [file, ordersText, perSecondText] = process.argv.slice(2);
if (file !== undefined) await main(file, Number(ordersText), Number(perSecondText));

async function main(path: string, orders: number, perSecond: number): Promise<void> {
  const stop = new AbortController();
  process.on("SIGTERM", () => stop.abort());
  process.on("disconnect", () => stop.abort());
  process.on("message", () => stop.abort());
  const database = openDatabase(path, { readonly: false });
  try {
    await write(new Shop(database, orders), perSecond, stop.signal);
  } finally {
    database.close();
    if (process.connected) process.disconnect();
  }
}

/** Bursts of a tenth of a second, as many transactions as the clock says are due: a busy machine makes it late, never fewer. */
async function write(shop: Shop, perSecond: number, signal: AbortSignal): Promise<void> {
  const startedMs = performance.now();
  let done = 0;
  while (!signal.aborted) {
    const due = Math.floor(((performance.now() - startedMs) / 1000) * perSecond);
    const commits: [number, number][] = [];
    while (done < due && commits.length < 100) {
      done += 1;
      shop.transact(done);
      commits.push([done, performance.timeOrigin + performance.now()]);
    }
    if (commits.length > 0) process.send?.({ kind: "commits", commits } satisfies CommitsMessage);
    await systemClock.delay(4, signal).catch(() => {});
  }
}

class Shop {
  readonly #random = repeatableRandom(99);
  readonly #writer: OrderWriter;
  readonly #database: Database;
  #nextOrder: number;

  constructor(database: Database, orders: number) {
    this.#database = database;
    this.#writer = new OrderWriter(database, this.#random);
    this.#nextOrder = orders + 1;
  }

  transact(n: number): void {
    this.#database
      .transaction(() => {
        this.#transfer(n);
        const dice = this.#random(100);
        if (dice < 55) this.#writer.insert(this.#nextOrder++, Date.now());
        else if (dice < 80) this.#ship();
        else if (dice < 88) this.#cancel();
        else if (dice < 94) this.#renumber();
        else this.#replaceNote();
      })
      .immediate();
  }

  #transfer(n: number): void {
    const giver = 1 + this.#random(customersCount);
    const taker = 1 + this.#random(customersCount);
    const cents = 1 + this.#random(500);
    this.#run("UPDATE customers SET balance = balance - ? WHERE id = ?", cents, giver);
    this.#run("UPDATE customers SET balance = balance + ? WHERE id = ?", cents, taker);
    this.#run("INSERT INTO transfers VALUES (?, ?, ?, ?)", n, giver, taker, cents);
  }

  #ship(): void {
    this.#run("UPDATE orders SET status = 'shipped', discount = discount / 3 WHERE id = ?", this.#anyOrder());
  }

  #cancel(): void {
    const order = this.#anyOrder();
    this.#run("DELETE FROM payments WHERE order_id = ?", order);
    this.#run("DELETE FROM order_lines WHERE order_id = ?", order);
    this.#run("DELETE FROM orders WHERE id = ?", order);
  }

  /** Changes primary keys in place, which many replications get wrong. */
  #renumber(): void {
    this.#run("UPDATE order_lines SET line = line + 10 WHERE order_id = ? AND line < 10", this.#anyOrder());
  }

  /** REPLACE deletes the old row without saying so. */
  #replaceNote(): void {
    const id = 1 + this.#random(customersCount);
    this.#run(
      "INSERT OR REPLACE INTO customers SELECT id, name, email, NOT vip, balance, joined, ? FROM customers WHERE id = ?",
      `seen ${id} 👀`,
      id,
    );
  }

  #anyOrder(): number {
    return 1 + this.#random(this.#nextOrder - 1);
  }

  #run(sql: string, ...values: readonly (string | number)[]): void {
    const statement = this.#statements.get(sql) ?? this.#database.prepare(sql);
    this.#statements.set(sql, statement);
    statement.run(...values);
  }
  readonly #statements = new Map<string, ReturnType<Database["prepare"]>>();
}
