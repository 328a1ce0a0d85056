/**
 * An application whose money never gets more or less: transfers between accounts, with entries about them, accounts that are closed and opened
 * again, a note table without a key, a bulk load now and then, checkpoints. Holds the file until SIGTERM.
 * Usage: node duckdb-bank.mjs FILE ACCOUNTS
 */
import { setTimeout as pause } from "node:timers/promises";
import { DuckDBInstance } from "@duckdb/node-api";

const [file, accounts = "2000"] = process.argv.slice(2);
const many = Number(accounts);
const instance = await DuckDBInstance.create(":memory:", { threads: "1", memory_limit: "400MB" });
const connection = await instance.connect();
await connection.run(`ATTACH '${file}' AS app; USE app`);
await connection.run(`
  CREATE TABLE IF NOT EXISTS account (id INTEGER PRIMARY KEY, balance DECIMAL(18,2) NOT NULL, changed TIMESTAMP);
  CREATE TABLE IF NOT EXISTS entry (id BIGINT PRIMARY KEY, debit INTEGER NOT NULL, credit INTEGER NOT NULL, amount DECIMAL(18,2) NOT NULL, note VARCHAR);
  CREATE TABLE IF NOT EXISTS note (text VARCHAR, n INTEGER);
  INSERT INTO account SELECT range, 100, now()::TIMESTAMP FROM range(${many}) WHERE NOT EXISTS (SELECT 1 FROM account)`);
let running = true;
process.once("SIGTERM", () => {
  running = false;
});
process.stdout.write("ready\n");
const random = (n) => Math.floor(Math.random() * n);
let id = Number((await connection.runAndReadAll("SELECT coalesce(max(id), 0) + 1000 FROM entry")).getRows()[0][0]);
for (let n = 1; running; n++) {
  const [from, to] = [random(many), random(many)];
  const amount = `${random(50)}.${10 + random(90)}`;
  const bulk = n % 1500 === 700 ? `INSERT INTO entry SELECT ${id + 1} + range, 0, 0, 0, 'bulk ' || range FROM range(125000);` : "";
  if (bulk !== "") id += 200_000;
  const trim = n % 1500 === 1100 ? "DELETE FROM entry WHERE debit = 0 AND credit = 0 AND amount = 0;" : "";
  await connection.run(
    `BEGIN; UPDATE account SET balance = balance - ${amount}, changed = now()::TIMESTAMP WHERE id = ${from};
     UPDATE account SET balance = balance + ${amount}, changed = now()::TIMESTAMP WHERE id = ${to};
     INSERT INTO entry VALUES (${++id}, ${from}, ${to}, ${amount}, 'transfer ' || ${n});
     INSERT INTO note VALUES ('note ' || ${n % 7}, ${n % 3}); DELETE FROM note WHERE n = ${n % 5}; ${bulk} ${trim} COMMIT`,
  );
  if (n % 150 === 0) await connection.run("CHECKPOINT");
  await pause(random(8));
}
connection.closeSync();
instance.closeSync();
