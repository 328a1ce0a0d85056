/**
 * An application with a database of its own: writes small transactions until SIGTERM, then prints how many. It knows nothing of Tailrace, and any
 * error it meets ends it with a stack.
 */
import Database from "better-sqlite3";

const [file, perSecond] = [process.argv[2], Number(process.argv[3] ?? 100)];
const db = new Database(file);
db.pragma("busy_timeout = 30000");
db.pragma("foreign_keys = ON");
const insert = db.prepare("INSERT INTO orders (customer, total, note, placed) VALUES (?, ?, ?, ?)");
const update = db.prepare("UPDATE orders SET total = total + 1 WHERE id = ?");
const remove = db.prepare("DELETE FROM orders WHERE id = ?");
const rename = db.prepare("UPDATE customers SET name = ? WHERE id = ?");
let transactions = 0;
const write = db.transaction((n) => {
  const { lastInsertRowid } = insert.run(1 + (n % 3), n * 1.5, `note ${n}`, 1_700_000_000_000 + n);
  update.run(1 + (n % 50));
  if (n % 5 === 0) remove.run(Number(lastInsertRowid) - 3);
  if (n % 20 === 0) rename.run(`customer ${n}`, 1 + (n % 3));
});
const timer = setInterval(() => write(transactions++), 1000 / perSecond);
process.on("SIGTERM", () => {
  clearInterval(timer);
  db.close();
  console.log(transactions);
});
console.log("ready");
