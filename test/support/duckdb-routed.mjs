/**
 * An application on a DuckDB file that follows its route through the shipped library: node duckdb-routed.mjs FILE URL PIPELINE FIRST-ID. Every transaction
 * moves money between two accounts and writes its own number. It tells of each number before it tries and after it was committed, with the side.
 */
import { writeSync } from "node:fs";
import { setTimeout as pause } from "node:timers/promises";
import { DuckDBInstance } from "@duckdb/node-api";
import pg from "pg";
import { openRoute } from "../../dist/connectors/postgres/routing/route-client.js";

const [file, url, pipeline, firstId] = process.argv.slice(2);
const accounts = 20;
let stopping = false;
process.on("SIGTERM", () => {
  stopping = true;
});
const say = (what) => writeSync(1, `${JSON.stringify(what)}\n`);
let source = null;
async function atSource() {
  if (source !== null) return source;
  const instance = await DuckDBInstance.create(file, { threads: "1", memory_limit: "200MB" });
  source = { instance, connection: await instance.connect() };
  return source;
}
function leaveSource() {
  const left = source;
  source = null;
  left?.connection.closeSync();
  left?.instance.closeSync();
  return Promise.resolve();
}
const route = await openRoute({
  url,
  pipeline,
  leaseMs: 2_000,
  leaveSource,
  onTrouble: (thrown) => say({ trouble: String(thrown).slice(0, 200) }),
  onChange: (r) => say({ route: r }),
});
let client = null;
async function atTarget() {
  if (client !== null) return client;
  const fresh = new pg.Client({ connectionString: url, connectionTimeoutMillis: 2_000, query_timeout: 10_000 });
  fresh.on("error", () => {
    if (client === fresh) client = null;
  });
  await fresh.connect();
  client = fresh;
  return client;
}
const statements = (id, from, to, cents, side) => [
  `UPDATE account SET balance = balance - ${cents} WHERE id = ${from}`,
  `UPDATE account SET balance = balance + ${cents} WHERE id = ${to}`,
  `INSERT INTO tx_ledger (id, side) VALUES (${id}, '${side}')`,
];
async function work(side, ...what) {
  const runner = side === "source" ? (await atSource()).connection : await atTarget();
  const run = (sql) => (side === "source" ? runner.run(sql) : runner.query(sql));
  try {
    await run("BEGIN");
    for (const statement of statements(...what, side)) await run(statement);
    await run("COMMIT");
  } catch (thrown) {
    if (side === "source") await run("ROLLBACK").catch(() => {});
    else {
      client = null;
      runner.end().catch(() => {});
    }
    throw thrown;
  }
}

let id = Number(firstId);
say({ ready: true });
while (!stopping) {
  id += 1;
  const cents = 1 + (id % 7);
  const [from, to] = [1 + (id % accounts), 1 + ((id * 7 + 3) % accounts)];
  say({ attempt: id });
  try {
    let side = "source";
    await route.write((where) => {
      side = where;
      return work(where, id, from, to, cents);
    }, AbortSignal.timeout(30_000));
    say({ ack: id, side });
  } catch (thrown) {
    say({ failed: id, why: String(thrown).slice(0, 200) });
    await pause(5);
  }
  await pause(10);
}
await route[Symbol.asyncDispose]();
await client?.end().catch(() => {});
await leaveSource();
