/** A log whose small transactions were joined leads to the same rows, under the same row ids, as the log that the application wrote. */
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { joinTransactions } from "../../../connectors/duckdb/copy/join-transactions.js";
import { entry, scanWal } from "../../../connectors/duckdb/copy/wal-scan.js";
import { Database } from "../../../connectors/duckdb/engine/database.js";
import { DuckDbApplication } from "../../support/duckdb.js";

const rounds = process.env.TAILRACE_TEST_LONG === "1" ? 200 : 6;
const tables = ["keyed", "indexed", "plain", "child"] as const;

let folder = "";
let path = "";
let application: DuckDbApplication;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "tailrace-joined-"));
  path = join(folder, "app.duckdb");
});
afterEach(async () => {
  await application.kill();
  rmSync(folder, { recursive: true, force: true });
});

function generator(seed: number): (n: number) => number {
  let state = seed >>> 0;
  return (n) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * n);
  };
}

function flushes(bytes: Buffer, from: number): number {
  let count = 0;
  for (let at = from; at < bytes.length; at += 16 + Number(bytes.readBigUInt64LE(at))) {
    if (bytes.readUInt8(at + 18) === entry.flush) count++;
  }
  return count;
}

/** What a copy with this log holds, row ids included. */
async function rowsWith(log: Buffer, name: string): Promise<readonly unknown[]> {
  const copy = join(folder, `${name}.duckdb`);
  copyFileSync(path, copy);
  writeFileSync(`${copy}.wal`, log);
  await using database = await Database.open(":memory:", { memoryMb: 200, threads: 1, spillDirectory: join(folder, "spill") });
  await database.run(`ATTACH '${copy}' AS src (READ_ONLY)`);
  const found: unknown[] = [];
  for (const table of tables) {
    found.push(
      await database.rows(
        `SELECT count(*) AS n, md5(string_agg(row(rowid, r)::VARCHAR, '|' ORDER BY rowid)) AS rows FROM src.${table} AS r`,
      ),
    );
    // By way of the index.
    found.push(await database.rows(`SELECT count(*) AS n FROM src.${table} WHERE id = 7`));
  }
  found.push(await database.rows("SELECT last_value AS n FROM duckdb_sequences() WHERE database_name = 'src'"));
  return found;
}

test("joined transactions come to the same rows", { timeout: 600_000 }, async () => {
  const seed = Number(process.env.TAILRACE_SEED ?? Date.now() % 1_000_000);
  console.log(`joined transactions: seed ${seed}`);
  const random = generator(seed);
  application = await DuckDbApplication.start(path);
  await application.run(
    `CREATE SEQUENCE numbers; CREATE TABLE keyed (id INTEGER PRIMARY KEY, v INTEGER, s VARCHAR); CREATE TABLE indexed (id INTEGER, v INTEGER, s VARCHAR);
     CREATE INDEX i ON indexed (v); CREATE TABLE plain (id INTEGER, v INTEGER, s VARCHAR DEFAULT 'n' || nextval('numbers'));
     CREATE TABLE child (id INTEGER, v INTEGER REFERENCES keyed (id), s VARCHAR);
     INSERT INTO keyed SELECT range, 0, 'k' FROM range(3000); INSERT INTO indexed FROM keyed; INSERT INTO plain FROM keyed; INSERT INTO child SELECT range, range, 'c' FROM range(3); CHECKPOINT app`,
  );
  let next = 10_000;
  const statement = (): string => {
    const table = tables[random(3)] ?? "plain";
    const id = random(3_000);
    const more = random(20) === 0 ? 300 : 1;
    const kinds = [
      `UPDATE ${table} SET v = v + 1 WHERE id BETWEEN ${id} AND ${id + more}`,
      `UPDATE ${table} SET s = s || 'x' WHERE id = ${id}`,
      `DELETE FROM ${table} WHERE id BETWEEN ${id} AND ${id + more} AND id > 2`,
      `INSERT INTO ${table} (id, v) SELECT range, 1 FROM range(${next}, ${(next += more)})`,
      // What was inserted a moment ago.
      `UPDATE ${table} SET v = v + 1 WHERE id BETWEEN ${next - 20} AND ${next}`,
      `DELETE FROM ${table} WHERE id BETWEEN ${next - 20} AND ${next - 10}`,
      // A key that goes and comes back.
      `DELETE FROM keyed WHERE id = ${id} AND id > 2; INSERT OR IGNORE INTO keyed VALUES (${id}, 5, 'again')`,
      `INSERT OR REPLACE INTO keyed VALUES (${3 + random(2_000)}, 6, 'replaced')`,
      `INSERT INTO child VALUES (${next}, ${random(3)}, 'c')`,
    ];
    return kinds[random(random(2) === 0 ? 2 : kinds.length)] ?? "";
  };
  let [before, after] = [0, 0];
  for (let round = 0; round < rounds; round++) {
    for (let n = 0; n < 60; n++) {
      const many = random(5) === 0 ? 1 + random(4) : 1;
      const said = Array.from({ length: many }, statement).join("; ");
      try {
        await application.run(many === 1 ? said : `BEGIN; ${said}; COMMIT`);
      } catch {
        // A constraint that DuckDB is over-eager about.
        await application.run("ROLLBACK").catch(() => []);
      }
    }
    if (random(10) === 0) await application.run(`CREATE OR REPLACE TABLE other AS SELECT range AS x FROM range(10)`);
    const log = readFileSync(`${path}.wal`);
    const scan = scanWal(log, 0, path);
    const whole = log.subarray(0, scan.end);
    const joined = joinTransactions(whole, scan.headerBytes, scan.end);
    before += flushes(whole, scan.headerBytes);
    after += flushes(joined, scan.headerBytes);
    expect(await rowsWith(joined, `joined-${round}`), `seed ${seed}, round ${round}`).toEqual(await rowsWith(whole, `whole-${round}`));
    if (random(4) === 0) await application.run("CHECKPOINT app");
  }
  expect(after).toBeLessThan(before * 0.8);
});

test("transactions of one row each become a few", async () => {
  application = await DuckDbApplication.start(path);
  await application.run(
    "CREATE TABLE keyed (id INTEGER PRIMARY KEY, v INTEGER); CREATE TABLE entry (id INTEGER PRIMARY KEY); INSERT INTO keyed SELECT range, 0 FROM range(100); CHECKPOINT app",
  );
  for (let n = 0; n < 300; n += 50) {
    const one = (id: number): string =>
      `BEGIN; UPDATE keyed SET v = ${id} WHERE id = ${id % 100}; INSERT INTO entry VALUES (${id}); COMMIT;`;
    await application.run(Array.from({ length: 50 }, (_, i) => one(n + i)).join(" "));
  }
  const log = readFileSync(`${path}.wal`);
  const scan = scanWal(log, 0, path);
  const joined = joinTransactions(log, scan.headerBytes, scan.end);
  expect(flushes(log.subarray(0, scan.end), scan.headerBytes)).toBe(300);
  expect(flushes(joined, scan.headerBytes)).toBeLessThan(10);
});
