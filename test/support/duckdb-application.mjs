/**
 * A hostile application: keeps a DuckDB file open for writing and never stops. Transfers between two tables, inserts of 100k and more that go
 * around the log, range updates, deletes, DDL, checkpoints, four connections. What has been committed is noted beside the file, after the commit.
 * Usage: node duckdb-application.mjs FILE SECONDS [CHECKPOINT_DELAY_MS]
 */
import { fstatSync, openSync, rmSync, writeSync } from "node:fs";
import { setTimeout as pause } from "node:timers/promises";
import { DuckDBInstance } from "@duckdb/node-api";

const [file, seconds, checkpointDelayMs = "0"] = process.argv.slice(2);
for (const end of ["", ".wal", ".wal.checkpoint", ".seq"]) rmSync(`${file}${end}`, { force: true });
const instance = await DuckDBInstance.create(":memory:", { threads: "2", memory_limit: "500MB" });
const first = await instance.connect();
if (checkpointDelayMs !== "0") await first.run(`SET debug_checkpoint_sleep_ms = ${checkpointDelayMs}`);
await first.run(`ATTACH '${file}' AS app`);
const connect = async () => {
  const connection = await instance.connect();
  await connection.run("USE app");
  return connection;
};
await (await connect()).run(`
  CREATE TABLE account_a (id INTEGER PRIMARY KEY, balance BIGINT); INSERT INTO account_a SELECT range, 1000 FROM range(5000);
  CREATE TABLE account_b (id INTEGER PRIMARY KEY, balance BIGINT); INSERT INTO account_b SELECT range, 1000 FROM range(5000);
  CREATE TABLE bulk (id BIGINT, v BIGINT, s VARCHAR, d DECIMAL(18,2)); CREATE TABLE bulk_meta (n BIGINT, total HUGEINT);
  CREATE TABLE big (id BIGINT, v BIGINT, s VARCHAR); INSERT INTO big SELECT range, range % 1000, 'text ' || range FROM range(200000);
  CREATE TABLE big_meta (total HUGEINT, n BIGINT); INSERT INTO big_meta SELECT sum(v), count(*) FROM big;
  CREATE TABLE done_1 (n BIGINT); CREATE TABLE done_2 (n BIGINT); CREATE TABLE done_3 (n BIGINT);
  INSERT INTO done_1 VALUES (0); INSERT INTO done_2 VALUES (0); INSERT INTO done_3 VALUES (0)`);
const until = Date.now() + 1000 * Number(seconds);
const done = [0, 0, 0];
const note = openSync(`${file}.seq`, "w+");
const random = (n) => Math.floor(Math.random() * n);

function committed(of, n) {
  done[of] = n;
  const bytes = Buffer.alloc(24);
  done.forEach((count, i) => {
    bytes.writeBigInt64LE(BigInt(count), i * 8);
  });
  writeSync(note, bytes, 0, 24, 0);
}
committed(0, 0);

async function transfer(connection) {
  const n = done[0] + 1;
  const amount = random(50);
  await connection.run(
    `BEGIN; UPDATE account_a SET balance = balance - ${amount} WHERE id = ${random(5000)};
     UPDATE account_b SET balance = balance + ${amount} WHERE id = ${random(5000)}; UPDATE done_1 SET n = ${n}; COMMIT`,
  );
  committed(0, n);
  await pause(random(6));
}

async function bulk(connection) {
  const n = done[1] + 1;
  const kind = random(10);
  const rows = kind < 3 ? 130_000 + random(150_000) : 1 + random(20_000);
  const work =
    kind < 6
      ? `INSERT INTO bulk SELECT ${n} * 1000000 + range, range % 7919, 'row-' || hash(range + ${n}), (range % 1000) / 7 FROM range(${rows})`
      : kind < 9
        ? `DELETE FROM bulk WHERE id % ${2 + random(5)} = 0 AND id < ${random(n + 1)} * 1000000`
        : "DELETE FROM bulk";
  await connection.run(
    `BEGIN; ${work}; DELETE FROM bulk_meta; INSERT INTO bulk_meta SELECT count(*), coalesce(sum(v), 0) FROM bulk; UPDATE done_2 SET n = ${n}; COMMIT`,
  );
  committed(1, n);
  await pause(random(60));
}

async function range(connection) {
  const n = done[2] + 1;
  const from = random(200_000);
  await connection.run(
    `BEGIN; UPDATE big SET v = v + 1, s = 'update ${n} ' || id WHERE id BETWEEN ${from} AND ${from + 1 + random(40_000)};
     UPDATE big_meta SET total = (SELECT sum(v) FROM big), n = (SELECT count(*) FROM big); UPDATE done_3 SET n = ${n}; COMMIT`,
  );
  committed(2, n);
  await pause(random(60));
}

async function checkpoint(connection) {
  await pause(100 + random(500));
  if (random(4) === 0) {
    const rows = random(150_000);
    await connection.run(`CREATE OR REPLACE TABLE ddl_${random(3)} AS SELECT range AS i, 'x' || range AS s FROM range(${rows})`);
  }
  await connection.run(random(3) === 0 ? "FORCE CHECKPOINT app" : "CHECKPOINT app");
}

async function repeat(work) {
  const connection = await connect();
  while (Date.now() < until) {
    try {
      await work(connection);
    } catch (thrown) {
      if (!/conflict|CHECKPOINT|aborted/i.test(thrown.message)) console.error(thrown.message);
      await connection.run("ROLLBACK").catch(() => {});
    }
  }
}

console.log("started", process.pid, fstatSync(note).ino);
await Promise.all([transfer, bulk, range, checkpoint].map(repeat));
console.log("done", done.join());
process.exit(0);
