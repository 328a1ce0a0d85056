/** A DuckDB file from `init` to `destroy` with nothing but the command: types, keys, live changes, a table asked for again, a changed table. */
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { stringify } from "yaml";
import { systemClock } from "../../core/clock.js";
import { answerOf, start, tailrace } from "../cli/command.js";
import { DuckDbApplication } from "../support/duckdb.js";
import { freePorts, portsOfPipeline } from "../support/ports.js";
import { freshDatabase, type TestDatabase } from "../support/postgres.js";

/** Declared type, literals, type at the target, and what PostgreSQL prints for each literal. */
const types: readonly (readonly [string, readonly string[], string, readonly (string | null)[]])[] = [
  ["BOOLEAN", ["true", "false"], "boolean", ["true", "false"]],
  ["TINYINT", ["-128", "127"], "smallint", ["-128", "127"]],
  ["UTINYINT", ["0", "255"], "smallint", ["0", "255"]],
  ["SMALLINT", ["-32768", "32767"], "smallint", ["-32768", "32767"]],
  ["USMALLINT", ["65535"], "integer", ["65535"]],
  ["INTEGER", ["-2147483648"], "integer", ["-2147483648"]],
  ["UINTEGER", ["4294967295"], "bigint", ["4294967295"]],
  ["BIGINT", ["-9223372036854775808", "9007199254740993"], "bigint", ["-9223372036854775808", "9007199254740993"]],
  ["UBIGINT", ["18446744073709551615"], "numeric(20,0)", ["18446744073709551615"]],
  ["HUGEINT", ["-170141183460469231731687303715884105728"], "numeric(39,0)", ["-170141183460469231731687303715884105728"]],
  ["UHUGEINT", ["340282366920938463463374607431768211455"], "numeric(39,0)", ["340282366920938463463374607431768211455"]],
  [
    "DECIMAL(38,10)",
    ["1234567890123456789012345678.0123456789", "-0.5"],
    "numeric(38,10)",
    ["1234567890123456789012345678.0123456789", "-0.5000000000"],
  ],
  ["FLOAT", ["0.1", "'nan'", "'-inf'", "3.4028235e38"], "real", ["0.1", "NaN", "-Infinity", "3.4028235e+38"]],
  [
    "DOUBLE",
    ["0.1", "5e-324", "1.7976931348623157e308", "'inf'"],
    "double precision",
    ["0.1", "5e-324", "1.7976931348623157e+308", "Infinity"],
  ],
  ["VARCHAR", ["'a\tb\\N\n\"it''s\" 💥'", "''"], "text", ['a\tb\\N\n"it\'s" 💥', ""]],
  ["BLOB", ["'\\x00\\xFFa'::BLOB", "''::BLOB"], "bytea", ["\\x00ff61", "\\x"]],
  ["BIT", ["'0101'::BIT"], "bit varying", ["0101"]],
  ["UUID", ["'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'"], "uuid", ["a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"]],
  [
    "DATE",
    ["'1970-01-01'", "'2099-12-31'", "'0044-03-15 (BC)'", "'infinity'"],
    "date",
    ["1970-01-01", "2099-12-31", "0044-03-15 BC", "infinity"],
  ],
  ["TIME", ["'23:59:59.999999'", "'24:00:00'"], "time without time zone", ["23:59:59.999999", "24:00:00"]],
  ["TIME WITH TIME ZONE", ["'10:00:00+01:30'"], "time with time zone", ["10:00:00+01:30"]],
  [
    "TIMESTAMP",
    ["'2024-02-29 23:59:59.999999'", "'-infinity'", "'1969-12-31 23:59:59.000001'"],
    "timestamp without time zone",
    ["2024-02-29 23:59:59.999999", "-infinity", "1969-12-31 23:59:59.000001"],
  ],
  ["TIMESTAMP_S", ["'2024-01-01 00:00:01'"], "timestamp without time zone", ["2024-01-01 00:00:01"]],
  ["TIMESTAMP_MS", ["'2024-01-01 00:00:00.123'"], "timestamp without time zone", ["2024-01-01 00:00:00.123"]],
  ["TIMESTAMP_NS", ["'2024-01-01 00:00:00.123456789'"], "bigint", ["1704067200123456789"]],
  ["TIMESTAMP WITH TIME ZONE", ["'2024-01-01 00:00:00+02'"], "timestamp with time zone", ["2023-12-31 22:00:00+00"]],
  ["INTERVAL", ["INTERVAL '14 months -3 days 04:05:06.000001'"], "interval", ["1 year 2 mons -3 days +04:05:06.000001"]],
  ["ENUM('b', 'a')", ["'b'"], "text", ["b"]],
  ["JSON", ["'{\"a\": [1, null]}'"], "jsonb", ['{"a": [1, null]}']],
  ["INTEGER[]", ["[1, NULL]", "[]", "[NULL]"], "jsonb", ["[1, null]", "[]", "[null]"]],
  [
    "STRUCT(a DECIMAL(38,2), b VARCHAR)",
    ["{a: 123456789012345678901234567890.12, b: 'x'}"],
    "jsonb",
    ['{"a": 123456789012345678901234567890.12, "b": "x"}'],
  ],
  ["MAP(INTEGER, VARCHAR)", ["MAP {1: 'a'}"], "jsonb", ['{"1": "a"}']],
  ["FLOAT[2]", ["[0.5, 1.5]::FLOAT[2]"], "jsonb", ["[0.5, 1.5]"]],
  ["UNION(n INTEGER, s VARCHAR)", ["union_value(s := 'x')"], "jsonb", ['{"s": "x"}']],
];

let folder = "";
let port = 0;
let database: TestDatabase;
let application: DuckDbApplication;
const settings = (more: object = {}): void =>
  writeFileSync(
    join(folder, "tailrace.yaml"),
    stringify({
      pipeline: "stock",
      source: { kind: "duckdb", path: "./stock.duckdb", memoryMb: 300, pollMs: 20 },
      target: { url: database.url },
      http: { listen: `127.0.0.1:${port}` },
      ...more,
    }),
  );
const ask = (...words: readonly string[]) => tailrace([...words, "--json"], { cwd: folder });
async function done(...words: readonly string[]): Promise<Record<string, unknown>> {
  const ended = await ask(...words);
  expect(ended.code, `${words.join(" ")}: ${ended.stderr}${ended.stdout}`).toBe(0);
  return answerOf(ended);
}
const caughtUp = () => done("wait", "caught-up", "--timeout", "120s");

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), "tailrace-e2e-duckdb-"));
  [port = 0] = await freePorts(portsOfPipeline);
  database = await freshDatabase();
  application = await DuckDbApplication.start(join(folder, "stock.duckdb"));
});
afterEach(async () => {
  await application.kill();
  await database[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true, maxRetries: 5 });
});

const rowsMost = Math.max(...types.map(([, literals]) => literals.length));

async function createTypes(): Promise<void> {
  const columns = types.map(([type], i) => `c${i} ${type}`).join(", ");
  await application.run(`CREATE TABLE kinds (id INTEGER PRIMARY KEY, ${columns})`);
  for (let row = 0; row < rowsMost; row++) {
    await application.run(`INSERT INTO kinds VALUES (${row}, ${types.map(([, literals]) => literals[row] ?? "NULL").join(", ")})`);
  }
}

test("every type arrives as what it is, by the first copy and by live changes, and nothing is left behind", {
  timeout: 480_000,
}, async () => {
  await createTypes();
  await application.run(`CREATE TABLE "Odd Name" ("Key" VARCHAR, "a b" INTEGER, UNIQUE ("Key")); CREATE SCHEMA s2; CREATE TABLE s2.t (id UBIGINT PRIMARY KEY, g VARCHAR GENERATED ALWAYS AS (id || 'x'));
    INSERT INTO s2.t VALUES (18446744073709551615), (7); CREATE TABLE heap (a INTEGER, b VARCHAR); INSERT INTO heap VALUES (1, 'x'), (1, 'x'), (2, NULL)`);
  settings({ tables: { kinds: {}, "Odd Name": { key: ["Key"], to: "odd" }, "s2.t": { to: "t2" }, heap: {} } });
  await application.run(`INSERT INTO "Odd Name" VALUES ('k1', 1), ('K1', 2)`);
  expect(JSON.stringify(await done("doctor"))).toContain("DuckDB file of storage version");
  await done("apply");
  const running = start(["run"], { cwd: folder });
  await caughtUp();
  const expectTypes = async (id: number): Promise<void> => {
    for (const [i, [type, , target, texts]] of types.entries()) {
      const [row] = await database.query<{ type: string; text: string | null }>(
        `SELECT format_type(a.atttypid, a.atttypmod) AS type, (SELECT c${i}::text FROM kinds WHERE id = $1) AS text FROM pg_attribute AS a
         WHERE a.attrelid = 'kinds'::regclass AND a.attname = 'c${i}'`,
        [id],
      );
      expect([type, row?.type, row?.text], `${type} of row ${id}`).toEqual([type, target, texts[id % 100] ?? null]);
    }
  };
  for (let row = 0; row < rowsMost; row++) await expectTypes(row);
  await application.run("INSERT INTO kinds SELECT id + 100, * EXCLUDE (id) FROM kinds; DELETE FROM kinds WHERE id < 100");
  await application.run(
    `UPDATE "Odd Name" SET "a b" = 5 WHERE "Key" = 'k1'; DELETE FROM s2.t WHERE id = 7; DELETE FROM heap WHERE b IS NULL; INSERT INTO heap VALUES (1, 'x')`,
  );
  await caughtUp();
  for (let row = 0; row < rowsMost; row++) await expectTypes(100 + row);
  expect(await database.query('SELECT "Key", "a b" FROM odd ORDER BY "Key" COLLATE "C"')).toEqual([
    { Key: "K1", "a b": 2 },
    { Key: "k1", "a b": 5 },
  ]);
  expect(await database.query("SELECT id::text FROM t2")).toEqual([{ id: "18446744073709551615" }]);
  expect(await database.query("SELECT a, b, count(*)::int AS n FROM heap GROUP BY a, b")).toEqual([{ a: 1, b: "x", n: 3 }]);

  await database.query("DELETE FROM kinds; UPDATE heap SET a = 9");
  await done("snapshot", "kinds", "heap");
  await caughtUp();
  for (let row = 0; row < rowsMost; row++) await expectTypes(100 + row);
  expect(await database.query("SELECT DISTINCT a FROM heap")).toEqual([{ a: 1 }]);
  await expect
    .poll(() => done("status"), { timeout: 120_000 })
    .toMatchObject({
      lastLook: { copyTier: expect.any(String) as unknown, rowsCompared: expect.any(Number) as unknown },
    });
  running.child.kill("SIGTERM");
  expect((await running.ended).code).toBe(0);
  expect(readdirSync(folder).filter((name) => name.startsWith("stock"))).toEqual(expect.arrayContaining(["stock.duckdb"]));
  await done("destroy", "--tables", "--yes");
  expect(readdirSync(join(folder, ".tailrace")).filter((name) => name.startsWith("duckdb-"))).toEqual([]);
});

test("table groups of one file are refused before anything is changed, and said by doctor", { timeout: 120_000 }, async () => {
  await application.run("CREATE TABLE sales (id INTEGER PRIMARY KEY); CREATE TABLE stock (id INTEGER PRIMARY KEY)");
  settings({ groups: { sales: ["sales"] } });
  const doctor = await ask("doctor");
  expect(doctor).toMatchObject({ code: 3 });
  expect(doctor.stdout).toContain("plan.group-file");
  const apply = await ask("apply");
  expect(apply).toMatchObject({
    code: 7,
    stderr: expect.stringMatching(/Group 'sales' would be switched over without group 'main'/) as unknown,
  });
  expect(await database.query("SELECT FROM information_schema.tables WHERE table_schema IN ('public', 'tailrace')")).toEqual([]);
});

test("equality is proven while the application writes; what somebody changed at the target is found and mended", {
  timeout: 480_000,
}, async () => {
  await createTypes();
  await application.run(`CREATE TABLE stock (shop VARCHAR, sku INTEGER, n DECIMAL(12,2), seen TIMESTAMP_MS, PRIMARY KEY (shop, sku));
    INSERT INTO stock SELECT 's' || range % 7, range, range / 4, TIMESTAMP '2024-01-01' + to_seconds(range) FROM range(20000);
    CREATE TABLE heap (a INTEGER, b VARCHAR); INSERT INTO heap SELECT range % 1000, 'x' || range % 3 FROM range(5000)`);
  settings({ verify: { rowsPerSecond: 1_000_000 } });
  await done("apply");
  const running = start(["run"], { cwd: folder });
  await caughtUp();
  let writes = 0;
  const stop = new AbortController();
  const writing = (async () => {
    for (; !stop.signal.aborted; writes++) {
      await application.run(`UPDATE stock SET n = n + 1 WHERE sku % 997 = ${writes % 997}; INSERT INTO heap VALUES (${writes}, 'new');
        DELETE FROM heap WHERE a = ${writes % 1000} AND b = 'x1'; UPDATE kinds SET c5 = ${writes} WHERE id = 0; ${writes % 20 === 19 ? "CHECKPOINT" : ""}`);
      // At an application's pace, not at the engine's.
      await systemClock.delay(50, stop.signal).catch(() => {});
    }
  })();
  // Until one run has met a write that was begun and ended meanwhile, however long the application takes for one.
  for (let before = -1; before === -1 || writes < before + 2; ) {
    before = writes;
    expect(await done("verify", "run")).toMatchObject({
      kind: "VerifyRun",
      outcome: "equal",
      different: 0,
      unsettled: 0,
      offsets: { findings: [] },
    });
  }
  stop.abort();
  await writing;
  await done("wait", "verified", "--timeout", "120s");

  await database.query(
    "UPDATE stock SET n = n + 0.01 WHERE sku = 100; DELETE FROM heap WHERE a = 7 AND b = 'x0'; UPDATE kinds SET c33 = '[9]' WHERE id = 1",
  );
  const ended = await ask("verify", "run");
  expect(ended.code).toBe(4);
  const found = answerOf(ended) as { samples: { table: string; kind: string; columns: string[] }[] };
  const kinds = new Set(found.samples.map(({ table, kind, columns }) => `${table} ${kind} ${columns.join()}`));
  expect(kinds).toEqual(new Set(["stock changed n", "kinds changed c33", "heap missing "]));
  const shown = await tailrace(["verify", "show", "--show-values"], { cwd: folder });
  expect(shown.stdout).toContain("target [9]");
  expect(await done("verify", "repair")).toMatchObject({ kind: "VerifyRepair", different: 0, waiting: 0, why: null });
  expect(await done("verify", "run")).toMatchObject({ outcome: "equal" });
  expect(await done("verify", "status")).toMatchObject({ openMismatches: 0 });
  running.child.kill("SIGTERM");
  expect((await running.ended).code).toBe(0);
  // Nobody tells any more; what is there is still compared.
  expect(await done("verify", "run")).toMatchObject({ outcome: "equal" });
  await application.kill();
});

test("a changed table stops the pipeline by name; apply goes on with the new column", { timeout: 120_000 }, async () => {
  await application.run("CREATE TABLE t (id INTEGER PRIMARY KEY, a INTEGER); INSERT INTO t SELECT range, range FROM range(100)");
  settings();
  await done("apply");
  const running = start(["run"], { cwd: folder });
  await caughtUp();
  await application.run("ALTER TABLE t ADD COLUMN b VARCHAR DEFAULT 'new'; UPDATE t SET a = 5 WHERE id = 5");
  await expect.poll(async () => JSON.stringify(answerOf(await ask("status"))), { timeout: 60_000 }).toContain("source.schema-changed");
  running.child.kill("SIGTERM");
  await running.ended;
  await done("apply");
  const again = start(["run"], { cwd: folder });
  await caughtUp();
  expect(await database.query("SELECT count(*)::int AS n, min(b) AS b, sum(a)::int AS a FROM t")).toEqual([{ n: 100, b: "new", a: 4950 }]);
  again.child.kill("SIGTERM");
  await again.ended;
});

test("a key that is none, a file that is none and an encrypted or newer one are refused by name", async () => {
  await application.run("CREATE TABLE t (a INTEGER, b INTEGER); INSERT INTO t VALUES (1, 1), (1, 2)");
  settings({ tables: { t: { key: ["a"] } } });
  const refused = await ask("plan");
  expect(refused.code).toBe(7);
  expect(refused.stdout).toContain("table.key-values");
  writeFileSync(join(folder, "no.duckdb"), "x".repeat(20_000));
  settings({ source: { kind: "duckdb", path: "./no.duckdb" } });
  expect((await ask("plan")).stderr).toContain("source.not-a-database");
  const header = Buffer.alloc(16_384);
  header.write("DUCK", 8, "latin1");
  header.writeBigUInt64LE(999n, 12);
  writeFileSync(join(folder, "no.duckdb"), header);
  expect((await ask("plan")).stderr).toContain("source.storage-version");
  await application.run(`SET force_mbedtls_unsafe = true; ATTACH '${join(folder, "secret.duckdb")}' AS secret (ENCRYPTION_KEY 'key');
    CREATE TABLE secret.t AS SELECT range AS id FROM range(10); CHECKPOINT secret; INSERT INTO secret.t VALUES (10)`);
  settings({ source: { kind: "duckdb", path: "./secret.duckdb" } });
  expect((await ask("plan")).stderr).toContain("source.encrypted");
  expect(await ask("doctor")).toMatchObject({ code: 3, stdout: expect.stringContaining("source.encrypted") as unknown });
  expect(existsSync(join(folder, "stock.duckdb"))).toBe(true);
});
