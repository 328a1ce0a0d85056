/**
 * The application whose database Tailrace captures, in its own process. It knows nothing of Tailrace.
 *
 *   node hostile-application.mjs setup FILE --seed N [--rows N] [--triggers]
 *   node hostile-application.mjs run FILE --seed N [--rate TX_PER_S] [--transactions N] [--big N] [--first-id N] [--triggers]
 *
 * What it does is a function of seed and file. On stdout, a line each: `ready`; `ack ID` after COMMIT came back; `rolled ID` after its
 * own ROLLBACK; `fault CODE MESSAGE` for an error that is not of its own making (there must be none); at last `done {…}`. It ends after
 * its transactions, or after the one in hand on SIGTERM; it may be killed at any moment.
 */
import { setImmediate as breathe, setTimeout as pause } from "node:timers/promises";
import { parseArgs } from "node:util";
import Database from "better-sqlite3";
import { bigTransaction, operations } from "./hostile/operations.mjs";
import { randomOf } from "./hostile/random.mjs";
import { fill, tables, triggers } from "./hostile/schema.mjs";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    seed: { type: "string", default: "1" },
    rows: { type: "string", default: "3000" },
    rate: { type: "string", default: "0" },
    transactions: { type: "string", default: "0" },
    big: { type: "string", default: "5000" },
    "first-id": { type: "string", default: "1" },
    triggers: { type: "boolean", default: false },
  },
});
const [verb, file] = positionals;
/** Errors that the operations bring upon themselves. CONSTRAINT_TRIGGER is not among them: that would be somebody else's RAISE. */
const ownErrors = new Set([
  "SQLITE_CONSTRAINT_UNIQUE",
  "SQLITE_CONSTRAINT_PRIMARYKEY",
  "SQLITE_CONSTRAINT_ROWID",
  "SQLITE_CONSTRAINT_FOREIGNKEY",
]);
const say = (line) => process.stdout.write(`${line}\n`);

function open() {
  const db = new Database(file, { timeout: 30_000 });
  db.pragma("journal_mode = WAL");
  db.pragma("synchronous = NORMAL");
  db.pragma("foreign_keys = ON");
  db.defaultSafeIntegers(true);
  return db;
}

function setup() {
  const db = open();
  db.exec(tables);
  if (values.triggers) db.exec(triggers);
  fill(db, randomOf(Number(values.seed)), Number(values.rows));
  db.close();
}

function contextOf(db, random) {
  const statements = new Map();
  const prepared = (sql) => {
    let statement = statements.get(sql);
    if (statement === undefined) statements.set(sql, (statement = db.prepare(sql)));
    return statement;
  };
  return {
    random,
    version: 0n,
    run: (sql, ...parameters) => prepared(sql).run(...parameters),
    all: (sql, ...parameters) =>
      prepared(sql)
        .raw()
        .all(...parameters),
  };
}

/** One statement's own failure undoes the statement alone; the transaction goes on, as applications do. */
function attempt(context, operation, counts) {
  try {
    operation(context);
  } catch (error) {
    if (!ownErrors.has(error.code)) throw error;
    counts.refused++;
  }
}

const names = Object.keys(operations);
/** Money moves inside a savepoint that is released whole or not at all: an operation refused half-way must not change the sum. */
const guarded = (context, db, operation, counts) => {
  db.exec("SAVEPOINT guard");
  try {
    operation(context);
    db.exec("RELEASE guard");
  } catch (error) {
    if (!ownErrors.has(error.code)) throw error;
    db.exec("ROLLBACK TO guard; RELEASE guard");
    counts.refused++;
  }
};

function transaction(context, db, id, counts) {
  const { random } = context;
  const ledgerAt = random.below(3);
  const ledger = (place) =>
    place === ledgerAt && context.run("INSERT INTO tx_ledger VALUES (?, ?)", BigInt(id), `tx ${random.below(1000)}`);
  context.version = BigInt(id);
  db.exec(random.chance(0.5) ? "BEGIN IMMEDIATE" : "BEGIN IMMEDIATE; PRAGMA defer_foreign_keys = ON");
  ledger(0);
  if (random.chance(0.004)) bigTransaction(context, Number(values.big));
  for (let n = random.between(1, 5); n > 0; n--) {
    const operation = operations[random.chance(0.35) ? "transfer" : random.pick(names)];
    if (random.chance(0.1)) {
      db.exec("SAVEPOINT whim");
      guarded(context, db, operation, counts);
      db.exec(random.chance(0.5) ? "ROLLBACK TO whim; RELEASE whim" : "RELEASE whim");
    } else if (random.chance(0.5) && operation !== operations.swapAccounts) guarded(context, db, operation, counts);
    else guarded(context, db, (c) => attempt(c, operation, counts), counts);
  }
  ledger(1);
  ledger(2);
  if (random.chance(0.05)) {
    db.exec("ROLLBACK");
    return "rolled";
  }
  try {
    db.exec("COMMIT");
    return "ack";
  } catch (error) {
    if (!ownErrors.has(error.code)) throw error;
    db.exec("ROLLBACK");
    return "rolled";
  }
}

async function run() {
  const db = open();
  if (values.triggers) db.exec(triggers);
  const random = randomOf(Number(values.seed));
  const context = contextOf(db, random);
  const counts = { acknowledged: 0, rolled: 0, refused: 0, faults: 0, slowestMs: 0 };
  const [most, rate] = [Number(values.transactions) || Infinity, Number(values.rate)];
  let stopping = false;
  process.on("SIGTERM", () => (stopping = true));
  let id = Math.max(Number(values["first-id"]), Number(context.all("SELECT coalesce(max(id), 0) + 1 FROM tx_ledger")[0][0]));
  const [began, firstId] = [performance.now(), id];
  say("ready");
  for (; !stopping && id - firstId < most; id++) {
    const from = performance.now();
    try {
      const outcome = transaction(context, db, id, counts);
      counts[outcome === "ack" ? "acknowledged" : "rolled"]++;
      say(`${outcome} ${id}`);
    } catch (error) {
      counts.faults++;
      say(`fault ${error.code ?? "?"} ${String(error.message).replaceAll("\n", " ")}`);
      if (db.inTransaction) db.exec("ROLLBACK");
    }
    counts.slowestMs = Math.max(counts.slowestMs, performance.now() - from);
    const aheadMs = rate > 0 ? ((id - firstId + 1) * 1000) / rate - (performance.now() - began) : 0;
    if (aheadMs > 1) await pause(aheadMs);
    else if (id % 32 === 0) await breathe();
  }
  db.close();
  say(`done ${JSON.stringify({ ...counts, lastId: id - 1 })}`);
}

if (verb === "setup") setup();
else if (verb === "run") await run();
else throw new Error("usage: hostile-application.mjs setup|run FILE …");
