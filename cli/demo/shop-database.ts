/** The made-up shop: five tables as real ones are, odd types included, filled before anything of ours looks at them. */
import { writeFileSync } from "node:fs";
import { type Database, openDatabase } from "../../connectors/sqlite/database.js";

export const customersCount = 400;
/** What all customers own together. Every transaction of the application keeps it. */
export const wealth = customersCount * 100_000;

export const shopTables = ["customers", "orders", "order_lines", "payments", "transfers"] as const;

const schema = `
CREATE TABLE customers (
  id INTEGER PRIMARY KEY,
  name TEXT NOT NULL,
  email TEXT NOT NULL UNIQUE,
  vip BOOLEAN NOT NULL DEFAULT 0,
  balance INTEGER NOT NULL,
  joined DATE NOT NULL,
  note
);
CREATE TABLE orders (
  id INTEGER PRIMARY KEY,
  customer_id INTEGER NOT NULL REFERENCES customers(id),
  placed INTEGER NOT NULL,
  status VARCHAR(20) NOT NULL,
  discount REAL,
  "weird ""name""" TEXT
);
CREATE INDEX orders_by_customer ON orders(customer_id);
CREATE TABLE order_lines (
  order_id INTEGER NOT NULL REFERENCES orders(id),
  line INTEGER NOT NULL,
  sku TEXT NOT NULL,
  quantity INTEGER NOT NULL,
  weight REAL NOT NULL,
  PRIMARY KEY (order_id, line)
) WITHOUT ROWID;
CREATE TABLE payments (
  reference TEXT NOT NULL PRIMARY KEY,
  order_id INTEGER REFERENCES orders(id),
  cents BIGINT NOT NULL,
  receipt BLOB,
  details JSON
);
CREATE TABLE transfers (
  id INTEGER PRIMARY KEY,
  giver INTEGER NOT NULL,
  taker INTEGER NOT NULL,
  cents INTEGER NOT NULL
);
`;

/** Numbers that look random and are the same in every run. */
export function repeatableRandom(seed: number): (below: number) => number {
  let state = seed >>> 0;
  return (below) => {
    // xorshift32: short, and good enough to spread rows.
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    state >>>= 0;
    return state % below;
  };
}

/** Returns how many rows there are. */
export function createShop(path: string, orders: number): number {
  writeFileSync(path, "", { flag: "wx" });
  const database = openDatabase(path, { readonly: false });
  try {
    database.pragma("journal_mode = WAL");
    database.exec(schema);
    return database.transaction(() => fill(database, orders))();
  } finally {
    database.close();
  }
}

function fill(database: Database, orders: number): number {
  const random = repeatableRandom(7);
  const customer = database.prepare("INSERT INTO customers VALUES (?, ?, ?, ?, ?, ?, ?)");
  for (let id = 1; id <= customersCount; id++) {
    customer.run(id, nameOf(id), `c${id}@example.net`, id % 10 === 0 ? 1 : 0, wealth / customersCount, joinedOn(id), noteOf(id));
  }
  const writer = new OrderWriter(database, random);
  let rows = customersCount;
  for (let id = 1; id <= orders; id++) rows += writer.insert(id, 1_700_000_000_000 + id * 60_000);
  return rows;
}

const nameOf = (id: number): string => ["Ada Müller", "Žofie 久美子", "O'Neill", "Ngọc Ánh", "Zoë 🦊 Katz"][id % 5] ?? "Nobody";
const joinedOn = (id: number): string => new Date(Date.UTC(2020, 0, 1) + id * 86_400_000).toISOString().slice(0, 10);
/** A column without a type holds what the years have left in it. */
const noteOf = (id: number): string | null => (id % 3 === 0 ? null : `since ${id}\n"quoted", tab\t, back\\slash`);

export class OrderWriter {
  readonly #order;
  readonly #line;
  readonly #payment;

  constructor(
    database: Database,
    private readonly random: (below: number) => number,
  ) {
    this.#order = database.prepare("INSERT INTO orders VALUES (?, ?, ?, ?, ?, ?)");
    this.#line = database.prepare("INSERT INTO order_lines VALUES (?, ?, ?, ?, ?)");
    this.#payment = database.prepare("INSERT INTO payments VALUES (?, ?, ?, ?, ?)");
  }

  /** An order with its lines and its payment; returns the rows written. */
  insert(id: number, placedMs: number): number {
    const { random } = this;
    const lines = 1 + random(3);
    this.#order.run(id, 1 + random(customersCount), placedMs, "open", discountOf(random(8)), random(4) === 0 ? "100% \u2028 odd" : null);
    for (let line = 1; line <= lines; line++) this.#line.run(id, line, `SKU-${random(5000)}`, 1 + random(9), weightOf(random(1000)));
    const details = JSON.stringify({ by: "card", order: id });
    this.#payment.run(`p-${id}-${random(1e9)}`, id, centsOf(id, random(100_000)), receiptOf(random), details);
    return lines + 2;
  }
}

const discountOf = (n: number): number | null => (n === 0 ? null : n === 1 ? 0.1 + 0.2 : n / 7);
const weightOf = (n: number): number => (n === 0 ? 5e-324 : n === 1 ? 1.797e308 : n / 3);
/** Now and then beyond what a double can hold exactly. */
const centsOf = (id: number, n: number): bigint => (id % 50 === 0 ? 9_223_372_036_854_775_807n - BigInt(n) : BigInt(n));
const receiptOf = (random: (below: number) => number): Buffer | null =>
  random(3) === 0 ? null : Buffer.from(Array.from({ length: random(24) }, () => random(256)));
