/** What a careful script does: every row of both sides, side by side in key order, value by value. Prints how many rows it compared. */
import Database from "better-sqlite3";
import { columns } from "./orders.js";
import { connect } from "./place.js";

const [path = "", url = ""] = process.argv.slice(2);
const page = 10_000;
const database = new Database(path, { readonly: true });
const client = await connect(url);
const list = columns.join(", ");
const ours = database.prepare(`SELECT ${list} FROM orders WHERE id > ? ORDER BY id LIMIT ${page}`).raw().safeIntegers();
let after = 0n;
let rows = 0;
let different = 0;
for (;;) {
  const source = ours.all(after) as unknown[][];
  const target = await client.query({
    text: `SELECT ${list} FROM public.orders WHERE id > $1 ORDER BY id LIMIT ${page}`,
    values: [after.toString()],
    rowMode: "array",
  });
  for (const [i, row] of source.entries()) {
    const other = (target.rows as unknown[][])[i] ?? [];
    if (!row.every((cell, c) => String(cell) === String(other[c]))) different += 1;
  }
  rows += source.length;
  const last = source.at(-1)?.[0];
  if (typeof last !== "bigint") break;
  after = last;
}
await client.end();
process.stdout.write(JSON.stringify({ rows, different }));
