/**
 * An application that follows its route through the shipped library: node application.mjs FILE URL PIPELINE FIRST-ID MODE. Every transaction moves money
 * between two accounts and writes its own number. It tells of each number before it tries and after COMMIT came back, with the side.
 *
 * MODE deaf: knows nothing of routes, writes to the file alone, and goes on after every refusal.
 */
import { writeSync } from "node:fs";
import { setTimeout as pause } from "node:timers/promises";
import Database from "better-sqlite3";
import pg from "pg";
import { openRoute } from "../../../dist/connectors/postgres/routing/route-client.js";

const [file, url, pipeline, firstId, mode] = process.argv.slice(2);
const accounts = 20;
let stopping = false;
process.on("SIGTERM", () => {
  stopping = true;
});
const say = (what) => writeSync(1, `${JSON.stringify(what)}\n`);
// A pause that ends in a lost connection is told of by nobody: the library says so, and goes on.
const route =
  mode === "deaf"
    ? null
    : await openRoute({ url, pipeline, leaseMs: 2_000, sourceIsFenced: true, onTrouble: () => {}, onChange: (r) => say({ route: r }) });
const db = new Database(file, { timeout: 5_000 });
db.pragma("synchronous = OFF");
const take = db.prepare("UPDATE account SET balance = balance - ? WHERE id = ?");
const give = db.prepare("UPDATE account SET balance = balance + ? WHERE id = ?");
const note = db.prepare("INSERT INTO tx_ledger (id, side) VALUES (?, 'source')");
const atSource = db.transaction((id, from, to, cents) => {
  take.run(cents, from);
  give.run(cents, to);
  note.run(id);
});
let client = null;
async function atTarget(id, from, to, cents) {
  if (client === null) {
    const fresh = new pg.Client({ connectionString: url, connectionTimeoutMillis: 2_000, query_timeout: 10_000 });
    fresh.on("error", () => {
      if (client === fresh) client = null;
    });
    await fresh.connect();
    client = fresh;
  }
  try {
    await client.query("BEGIN");
    await client.query("UPDATE account SET balance = balance - $1 WHERE id = $2", [cents, from]);
    await client.query("UPDATE account SET balance = balance + $1 WHERE id = $2", [cents, to]);
    await client.query("INSERT INTO tx_ledger (id, side) VALUES ($1, 'target')", [id]);
    await client.query("COMMIT");
  } catch (thrown) {
    const broken = client;
    client = null;
    broken?.end().catch(() => {});
    throw thrown;
  }
}

let id = Number(firstId);
say({ ready: true });
while (!stopping) {
  id += 1;
  const cents = 1 + (id % 7);
  const from = 1 + (id % accounts);
  const to = 1 + ((id * 7 + 3) % accounts);
  say({ attempt: id });
  try {
    let side = "source";
    if (route === null) atSource(id, from, to, cents);
    else
      await route.write((where) => {
        side = where;
        return where === "source" ? atSource(id, from, to, cents) : atTarget(id, from, to, cents);
      }, AbortSignal.timeout(20_000));
    say({ ack: id, side });
  } catch (thrown) {
    // Not acknowledged: it may be there or not, and its number is not used again.
    if (!String(thrown).includes("fenced off")) say({ failed: id, why: String(thrown).slice(0, 200) });
    await pause(5);
  }
  await pause(mode === "deaf" ? 7 : 2);
}
await route?.[Symbol.asyncDispose]();
await client?.end().catch(() => {});
db.close();
