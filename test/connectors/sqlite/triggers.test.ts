import { execFileSync, spawnSync } from "node:child_process";
import { describe, expect, test } from "vitest";
import { Follower } from "../../support/follower.js";
import { SourceFile } from "../../support/sqlite.js";

/** Snapshot, then the application's statements, then both must be equal at every batch. */
async function follows(
  ddl: string,
  statements: readonly string[],
  options: { readonly recursiveTriggers?: boolean; readonly young?: string; readonly younger?: string } = {},
) {
  await using file = await SourceFile.of(ddl);
  if (options.young !== undefined) file.application().exec(options.young);
  if (options.young !== undefined) await file.install();
  if (options.younger !== undefined) file.application().exec(options.younger);
  const application = file.application({ fresh: true, recursiveTriggers: options.recursiveTriggers ?? false });
  await using follower = new Follower(await file.open());
  await follower.catchUp(0);
  for (const sql of statements) {
    application.exec(sql);
    await follower.catchUp(file.newestSeq());
    follower.replica.assertEquals((t) => file.rows(t), `after ${sql}`);
  }
  return { kinds: (): string[] => follower.lastParts.flatMap((p) => (p.kind === "changes" ? p.changes.map((c) => c.kind) : [])) };
}

describe("rows that REPLACE pushes out without a delete trigger", () => {
  const shapes = ["", " WITHOUT ROWID"].flatMap((shape) => [false, true].map((recursive) => [shape, recursive] as const));
  test.each(shapes)("through a second unique index (table%s, recursive_triggers %s)", async (shape, recursiveTriggers) => {
    await follows(
      `CREATE TABLE t (id INTEGER PRIMARY KEY, u TEXT UNIQUE, v)${shape}; INSERT INTO t VALUES (1, 'a', 1), (2, 'b', 2), (3, 'c', 3)`,
      [
        "REPLACE INTO t VALUES (1, 'b', 9)",
        "INSERT OR REPLACE INTO t VALUES (4, 'c', 9)",
        "INSERT INTO t VALUES (5, 'e', 5); UPDATE OR REPLACE t SET u = 'e' WHERE id = 1",
        "UPDATE OR REPLACE t SET id = 4 WHERE id = 1",
      ],
      { recursiveTriggers },
    );
  });

  test("through the rowid of a table with another key", async () => {
    await follows("CREATE TABLE t (k TEXT PRIMARY KEY NOT NULL, v); INSERT INTO t VALUES ('a', 1), ('b', 2), ('c', 3)", [
      "INSERT OR REPLACE INTO t (rowid, k, v) VALUES (2, 'x', 9)",
      "UPDATE OR REPLACE t SET rowid = 1 WHERE k = 'c'",
    ]);
  });

  test("through the default that REPLACE puts in the place of NULL", async () => {
    await follows("CREATE TABLE t (id INTEGER PRIMARY KEY, u TEXT NOT NULL DEFAULT 'x' UNIQUE); INSERT INTO t VALUES (1, 'x'), (2, 'y')", [
      "INSERT OR REPLACE INTO t VALUES (3, NULL)",
      "UPDATE OR REPLACE t SET u = NULL WHERE id = 2",
    ]);
  });

  test("through an expression index and a generated column", async () => {
    await follows(
      `CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT, n INTEGER, double AS (n * 2) UNIQUE);
       CREATE UNIQUE INDEX low ON t (lower(a), coalesce(n, '),(') DESC) WHERE n IS NOT NULL;
       INSERT INTO t (id, a, n) VALUES (1, 'A', 1), (2, 'B', 2)`,
      ["INSERT OR REPLACE INTO t (id, a, n) VALUES (3, 'a', 1)", "UPDATE OR REPLACE t SET n = 1 WHERE id = 2"],
    );
  });

  test("through a key that is equal but of another storage class", async () => {
    await follows("CREATE TABLE t (k PRIMARY KEY NOT NULL, v); INSERT INTO t VALUES (1, 'a')", [
      "REPLACE INTO t VALUES (1.0, 'b')",
      "UPDATE t SET k = 1 WHERE k = 1.0",
    ]);
  });
});

test.each([
  "CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT UNIQUE, b TEXT UNIQUE)",
  "CREATE TABLE t (id TEXT PRIMARY KEY NOT NULL, a TEXT UNIQUE, b)",
  "CREATE TABLE t (id TEXT PRIMARY KEY NOT NULL, a TEXT COLLATE NOCASE UNIQUE, b UNIQUE) WITHOUT ROWID",
  "CREATE TABLE t (id PRIMARY KEY NOT NULL, a NOT NULL DEFAULT 'x' UNIQUE, b); CREATE UNIQUE INDEX low ON t (lower(b), a) WHERE b IS NOT NULL",
  `CREATE TABLE t (id INTEGER PRIMARY KEY, a, b, gone); CREATE UNIQUE INDEX /* ( */ "x ( WHERE" ON t (a, /* , */ lower(b) DESC) -- why
     wHeRe gone IS NULL /* still there */ AND b <> ') WHERE'; CREATE UNIQUE INDEX y ON t (b) WHERE(gone = 0)`,
])("no write reads a whole table for what it may push out: %s", async (ddl) => {
  await using file = await SourceFile.of(ddl);
  const application = file.application();
  const triggers = application
    .prepare("SELECT sql FROM sqlite_master WHERE type = 'trigger' AND name GLOB '_cdc_1_[iudb]*'")
    .pluck()
    .all() as string[];
  const reads = triggers.flatMap((sql) =>
    [...sql.matchAll(/SELECT 1, '\w'[^;]* FROM "t" z WHERE [^;]*?(?=; INSERT|; END)/g)].map(([read]) => read),
  );
  expect(reads.length).toBeGreaterThan(2);
  for (const read of reads) {
    const plan = application.prepare(`EXPLAIN QUERY PLAN ${read.replaceAll(/\b(?:new|old)\.(?:"[^"]*"|\w+)/g, "'x'")}`).all() as {
      detail: string;
    }[];
    const steps = plan.map(({ detail }) => detail).filter((detail) => /\bz\b/.test(detail));
    expect(steps.length, read).toBe(1);
    expect(steps[0], read).toMatch(/^SEARCH z/);
  }
  await follows(ddl, [
    "INSERT INTO t (id, a, b) VALUES (1, 'a', 'A'), (2, 'b', 'B'), (3, 'c', 'C')",
    "INSERT OR REPLACE INTO t (id, a, b) VALUES (4, 'a', 'B')",
    "UPDATE OR REPLACE t SET a = 'a', b = 'B' WHERE id = 3",
    "INSERT OR REPLACE INTO t (id, a, b) VALUES (3, 'q', 'q')",
  ]);
});

test("an expression that cannot be asked of a row outside of its partial index fails no write of the application", async () => {
  await follows(
    `CREATE TABLE t (id INTEGER PRIMARY KEY, data TEXT); CREATE UNIQUE INDEX number ON t (json_extract(data, '$.n')) WHERE json_valid(data);
     INSERT INTO t VALUES (1, '{"n": 1}'), (2, 'no JSON')`,
    [
      "INSERT INTO t VALUES (3, 'nor this')",
      "REPLACE INTO t VALUES (4, '{\"n\": 1}')",
      "UPDATE t SET data = 'none' WHERE id = 4; UPDATE t SET data = '{}'  WHERE id = 2",
    ],
  );
});

test("INSERT OR IGNORE and an upsert hint at rows that stay, and delete none", async () => {
  const ddl = "CREATE TABLE t (id INTEGER PRIMARY KEY, u TEXT UNIQUE, v); INSERT INTO t VALUES (1, 'a', 1), (2, 'b', 2)";
  const ignored = await follows(ddl, ["INSERT OR IGNORE INTO t VALUES (3, 'a', 3)"]);
  expect(ignored.kinds()).toEqual([]);
  const upserted = await follows(ddl, ["INSERT INTO t VALUES (3, 'a', 3) ON CONFLICT (u) DO UPDATE SET v = excluded.v"]);
  expect(upserted.kinds()).toEqual(["update"]);
});

test("a trigger of the application that is younger than ours does not leave a stale row in the log", async () => {
  await follows(
    "CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT)",
    [
      "INSERT INTO t VALUES (1, 'a')",
      "UPDATE t SET v = 'b'",
      "INSERT INTO t VALUES (2, 'kill')",
      "UPDATE t SET id = 9",
      "INSERT INTO t VALUES (10, 'moves')",
    ],
    {
      young: `CREATE TRIGGER y1 AFTER UPDATE ON t WHEN length(new.v) < 4 BEGIN UPDATE t SET v = v || '!' WHERE id = new.id; END;
              CREATE TRIGGER y2 AFTER INSERT ON t WHEN new.v = 'kill' BEGIN DELETE FROM t WHERE id = new.id; END;
              CREATE TRIGGER y3 AFTER UPDATE OF id ON t WHEN new.id = 9 BEGIN DELETE FROM t WHERE id = 9; END;
              CREATE TRIGGER y4 AFTER INSERT ON t WHEN new.v = 'moves' BEGIN UPDATE t SET id = 11 WHERE id = 10; END;`,
    },
  );
});

describe("a trigger of the application that runs before ours and fills the place that became free", () => {
  // There from the beginning, so that a younger one does not ask for another `apply`.
  const table = (key: string): string =>
    `CREATE TABLE t (${key}, v); CREATE TRIGGER old AFTER INSERT ON t WHEN new.v = 'never' BEGIN SELECT 1; END;`;
  const rows = "INSERT INTO t VALUES (1, 'a'), (2, 'b'), (3, 'c')";

  test.each(["id INTEGER PRIMARY KEY", "id TEXT PRIMARY KEY", "id PRIMARY KEY NOT NULL"])("%s", async (key) => {
    await follows(
      `${table(key)} ${rows}`,
      ["DELETE FROM t WHERE id = 1", "UPDATE t SET id = 20 WHERE id = 2", "UPDATE t SET v = 'new'", "DELETE FROM t"],
      {
        younger: `CREATE TRIGGER reborn AFTER DELETE ON t WHEN old.v <> 'reborn' BEGIN INSERT INTO t VALUES (old.id, 'reborn'); END;
                CREATE TRIGGER behind AFTER UPDATE OF id ON t BEGIN INSERT INTO t VALUES (old.id, 'left behind'); END;`,
      },
    );
  });

  test("a child that a foreign key takes with it", async () => {
    await follows(
      `CREATE TABLE p (id INTEGER PRIMARY KEY, v); CREATE TABLE c (id INTEGER PRIMARY KEY, p REFERENCES p ON DELETE CASCADE);
       CREATE TRIGGER again AFTER DELETE ON c BEGIN INSERT OR IGNORE INTO p VALUES (old.p, 'again'); END;
       INSERT INTO p VALUES (1, 'a'); INSERT INTO c VALUES (1, 1)`,
      ["DELETE FROM p WHERE id = 1"],
    );
  });
});

test("a row without a key is logged although nothing finds it again, for the target to refuse it", async () => {
  const ddl =
    "CREATE TABLE t (id TEXT PRIMARY KEY, v); CREATE TRIGGER app AFTER INSERT ON t BEGIN UPDATE t SET v = v || '!' WHERE id = new.id; END";
  await follows(ddl, [
    "INSERT INTO t VALUES ('a', 1)",
    "INSERT INTO t VALUES (NULL, 2)",
    "UPDATE t SET v = 3 WHERE id IS NULL",
    "DELETE FROM t WHERE id IS NULL",
  ]);
  await follows(ddl, ["INSERT INTO t VALUES ('a', 1)", "UPDATE t SET id = NULL"]);
});

test("RAISE(IGNORE) in a trigger of the application does not keep ours from running once it is installed after it", async () => {
  await follows("CREATE TABLE t (id INTEGER PRIMARY KEY, v)", ["INSERT INTO t VALUES (1, 'a')", "UPDATE t SET v = 'b'"], {
    young: "CREATE TRIGGER silence AFTER INSERT ON t BEGIN SELECT RAISE(IGNORE); END",
  });
});

test("cascades, deferred foreign keys and children that write back arrive as they happened", async () => {
  await follows(
    `CREATE TABLE p (id INTEGER PRIMARY KEY, n DEFAULT 0);
     CREATE TABLE c (id INTEGER PRIMARY KEY, pid REFERENCES p (id) ON DELETE CASCADE ON UPDATE CASCADE);
     CREATE TABLE s (id INTEGER PRIMARY KEY, parent REFERENCES s (id) ON UPDATE CASCADE ON DELETE SET NULL);
     CREATE TRIGGER back AFTER UPDATE ON c BEGIN UPDATE p SET n = n + 1 WHERE id = new.pid; END;
     INSERT INTO p (id) VALUES (1), (2); INSERT INTO c VALUES (1, 1), (2, 1), (3, 2); INSERT INTO s VALUES (1, 1), (2, 1)`,
    [
      "UPDATE p SET id = 5 WHERE id = 1",
      "UPDATE s SET id = 7 WHERE id = 1",
      "BEGIN; PRAGMA defer_foreign_keys = ON; INSERT INTO c VALUES (9, 99); INSERT INTO p VALUES (99, 1); COMMIT",
      "DELETE FROM p WHERE id = 5; DELETE FROM s WHERE id = 7",
    ],
  );
});

test("two keys that change places in one transaction", async () => {
  await follows("CREATE TABLE t (id INTEGER PRIMARY KEY, v); INSERT INTO t VALUES (1, 'a'), (2, 'b')", [
    "BEGIN; UPDATE t SET id = -1 WHERE id = 1; UPDATE t SET id = 1 WHERE id = 2; UPDATE t SET id = 2 WHERE id = -1; COMMIT",
  ]);
});

test("DELETE without WHERE, savepoints, rollbacks and ATTACH are logged as what they leave", async () => {
  await using file = await SourceFile.of("CREATE TABLE t (id INTEGER PRIMARY KEY, v); INSERT INTO t VALUES (1, 'a'), (2, 'b')");
  await using follower = new Follower(await file.open());
  await follower.catchUp(0);
  const other = file.application({ fresh: true });
  other.exec("DELETE FROM t; BEGIN; INSERT INTO t VALUES (3, 'c'); SAVEPOINT s; INSERT INTO t VALUES (4, 'd'); ROLLBACK TO s; COMMIT");
  other.exec("BEGIN; INSERT INTO t VALUES (5, 'e'); ROLLBACK");
  await follower.catchUp(file.newestSeq());
  follower.replica.assertEquals((t) => file.rows(t), "after the rollbacks");
  expect(follower.replica.rows("t")).toEqual([[3n, "c"]]);
});

test("values arrive as they are stored, and a column widens before the first value of a new class", async () => {
  await using file = await SourceFile.of(
    "CREATE TABLE t (id INTEGER PRIMARY KEY NOT NULL, v TEXT NOT NULL, w INTEGER); INSERT INTO t VALUES (1, 'a', 1)",
  );
  await using follower = new Follower(await file.open());
  await follower.catchUp(0);
  file.application().exec(`
    INSERT INTO t VALUES (9223372036854775807, 'nul' || char(0) || 'l', -9223372036854775808), (3, x'', 9007199254740993), (4, '', 1e999),
      (5, CAST(x'61ff62' AS TEXT), 1.5), (6, '\ufffd', NULL), (7, char(128512), 'text in INTEGER'), (8, 0.5, x'00')`);
  await follower.catchUp(file.newestSeq());
  follower.replica.assertEquals((t) => file.rows(t), "with all values");
  const described = follower.replica.tables()[0]?.columns.map((c) => [c.classes, c.nullable]);
  expect(described).toEqual([
    [["integer"], false],
    [["blob", "raw", "text"], false],
    [["blob", "integer", "real", "text"], true],
  ]);
  expect(follower.replica.rows("t")[3]?.[1]).toEqual({ rawText: new Uint8Array([0x61, 0xff, 0x62]) });
  expect(follower.replica.rows("t")[4]?.[1]).toBe("\ufffd");
  expect(follower.replica.controls.filter((c) => c === "schema t").length).toBe(2);
});

test("keys that are no UTF-8 are snapshot, touched and deleted like others", async () => {
  await using file = await SourceFile.of(`CREATE TABLE t (k TEXT PRIMARY KEY NOT NULL, v);
    INSERT INTO t VALUES ('a', 1), (CAST(x'61ff' AS TEXT), 2), (CAST(x'61ff00' AS TEXT), 3), ('b', 4), ('\ufffd', 5), ('\ud83d\ude00', 6), (char(57344), 7)`);
  await using follower = new Follower(await file.open({ chunkRows: 1 }));
  await follower.catchUp(0);
  follower.replica.assertEquals((t) => file.rows(t), "after a snapshot by single rows");
  using requests = file.requests();
  await requests.touch("t" as never, [[{ rawText: new Uint8Array([0x61, 0xff]) }]]);
  file.application().exec("DELETE FROM t WHERE v = 3");
  await follower.catchUp(file.newestSeq());
  follower.replica.assertEquals((t) => file.rows(t), "after touch and delete");
});

const hasOldSqlite = spawnSync("sqlite3", ["--version"]).status === 0;
// skipped without the sqlite3 command, the one SQLite library here that is not ours.
test.skipIf(!hasOldSqlite)("an application on another SQLite library (the sqlite3 command) writes without an error of ours", async () => {
  await using file = await SourceFile.of(
    "CREATE TABLE t (id INTEGER PRIMARY KEY, u TEXT UNIQUE, v); CREATE TABLE w (a, b, PRIMARY KEY (a, b)) WITHOUT ROWID; CREATE TABLE k (k TEXT PRIMARY KEY NOT NULL); INSERT INTO t VALUES (1, 'a', 1), (2, 'b', 2)",
  );
  await using follower = new Follower(await file.open());
  await follower.catchUp(0);
  execFileSync("sqlite3", [
    "-bail",
    file.path,
    "REPLACE INTO t VALUES (1, 'b', 0.1 + 0.2); INSERT INTO w VALUES (1, x'00'), (2, 1e999); UPDATE w SET a = 3 WHERE a = 1; INSERT OR REPLACE INTO k (rowid, k) VALUES (1, 'x'), (1, 'y'); DELETE FROM w WHERE a = 2;",
  ]);
  await follower.catchUp(file.newestSeq());
  follower.replica.assertEquals((t) => file.rows(t), "after writes of the command");
  expect(follower.replica.rows("t")).toEqual([[1n, "b", 0.1 + 0.2]]);
});

// skipped without the sqlite3 command: our own library refuses to make such tables.
test.skipIf(!hasOldSqlite)("indexes and defaults whose texts stand in double quotes, as older libraries allow", async () => {
  await using file = await SourceFile.of("CREATE TABLE x (id INTEGER PRIMARY KEY)", { install: false });
  const ddl = `CREATE TABLE named (id INTEGER PRIMARY KEY, name TEXT NOT NULL DEFAULT "no ""name""" UNIQUE); INSERT INTO named (id) VALUES (1);
    CREATE TABLE t (id INTEGER PRIMARY KEY, a, "the ""state""" TEXT);
    CREATE UNIQUE INDEX active ON t (a) WHERE "The ""state""" = "act""ive";
    CREATE UNIQUE INDEX either ON t (a, coalesce("the ""state""", "none") COLLATE "NOCASE"); INSERT INTO t VALUES (1, 'a', 'act"ive'), (2, 'b', NULL);`;
  execFileSync("sqlite3", ["-bail", file.path, ddl]);
  await file.install();
  await using follower = new Follower(await file.open());
  await follower.catchUp(0);
  file.application().exec(`REPLACE INTO t VALUES (3, 'a', 'act"ive'), (4, 'b', 'NONE'); REPLACE INTO named (id, name) VALUES (2, NULL)`);
  await follower.catchUp(file.newestSeq());
  follower.replica.assertEquals((t) => file.rows(t), "after both were pushed out");
  expect(follower.replica.rows("t").map(([id]) => id)).toEqual([3n, 4n]);
});
