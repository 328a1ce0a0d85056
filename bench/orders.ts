/** The one table of all measurements: 8 columns, about 115 bytes a row. Same numbers, same rows. */
import { createWriteStream } from "node:fs";
import { once } from "node:events";
import Database from "better-sqlite3";

export const columns = ["id", "customer_id", "sku", "qty", "price", "status", "updated_at", "note"] as const;
export const ddl =
  "CREATE TABLE orders (id INTEGER PRIMARY KEY, customer_id INTEGER, sku TEXT, qty INTEGER, price REAL, status TEXT, updated_at INTEGER, note TEXT)";
export const indexes = [
  "CREATE INDEX orders_by_customer ON orders (customer_id)",
  "CREATE INDEX orders_by_status ON orders (status, updated_at)",
] as const;

export type Order = readonly [
  id: number,
  customer: number,
  sku: string,
  qty: number,
  price: number,
  status: string,
  at: number,
  note: string,
];

const statuses = ["new", "paid", "picked", "shipped", "returned"];
const words = "amber birch coral delta ember fjord grove hazel inlet jetty knoll lumen maple north ocean prism".split(" ");

/** A number that looks random and depends on its arguments alone. */
export function mixed(a: number, b: number): number {
  let h = Math.imul(a ^ 0x9e3779b9, 0x85ebca6b) ^ Math.imul(b + 0x7f4a7c15, 0xc2b2ae35);
  h = Math.imul(h ^ (h >>> 15), 0x2c1b3c6d);
  h = Math.imul(h ^ (h >>> 12), 0x297a2d39);
  return (h ^ (h >>> 15)) >>> 0;
}

/** `version` 0: as it was inserted. Every version differs in all but id and sku. */
export function order(id: number, version: number): Order {
  const a = mixed(id, 1);
  const b = mixed(id, version + 2);
  let note = words[b % 16] ?? "";
  for (let i = 1; i < 8; i++) note += ` ${words[(b >>> (i * 3)) % 16] ?? ""}`;
  const price = (b % 10_000_000) / 100;
  const at = 1_760_000_000_000_000 + version * 1_000_000 + (b % 1_000_000);
  return [id, (a + version) % 100_000, `SKU-${a.toString(36).padStart(7, "0")}`, version + 1, price, statuses[b % 5] ?? "", at, note];
}

/** INTEGER and REAL apart: better-sqlite3 stores every JS number as REAL where a column does not say otherwise. */
export const bound = ([id, customer, sku, qty, price, status, at, note]: Order): unknown[] => [
  BigInt(id),
  BigInt(customer),
  sku,
  BigInt(qty),
  price,
  status,
  BigInt(at),
  note,
];

export const insertSql = `INSERT INTO orders VALUES (${columns.map(() => "?").join(", ")})`;
export const updateSql = "UPDATE orders SET customer_id = ?, qty = ?, price = ?, status = ?, updated_at = ?, note = ? WHERE id = ?";

/** As applications run it: WAL, NORMAL. */
export function openApplication(path: string): Database.Database {
  const database = new Database(path, { timeout: 10_000 });
  database.pragma("journal_mode = WAL");
  database.pragma("synchronous = NORMAL");
  return database;
}

export function fillOrders(path: string, rows: number, withIndexes: boolean): void {
  const database = openApplication(path);
  database.exec(ddl);
  const insert = database.prepare(insertSql);
  const fill = database.transaction((from: number, to: number) => {
    for (let id = from; id < to; id++) insert.run(...bound(order(id, 0)));
  });
  for (let id = 1; id <= rows; id += 20_000) fill(id, Math.min(rows + 1, id + 20_000));
  if (withIndexes) for (const sql of indexes) database.exec(sql);
  database.pragma("wal_checkpoint(TRUNCATE)");
  database.close();
}

/** The same rows in COPY's text format. */
export async function writeCopyFile(path: string, rows: number): Promise<void> {
  const file = createWriteStream(path, { highWaterMark: 1 << 20 });
  let text = "";
  for (let id = 1; id <= rows; id++) {
    text += `${order(id, 0).join("\t")}\n`;
    if (text.length < 1 << 20 && id < rows) continue;
    if (!file.write(text)) await once(file, "drain");
    text = "";
  }
  file.end();
  await once(file, "close");
}
