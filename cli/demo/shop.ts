/** What the application of the demo does to its database: one transaction after the other, each of them hard to replicate in its own way. */
import type { Database } from "../../connectors/sqlite/database.js";
import { customersCount, OrderWriter, repeatableRandom } from "./shop-database.js";

export class Shop {
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
