import { describe, expect, test } from "vitest";
import { openDatabase } from "../../../connectors/sqlite/database.js";
import { checkCapture } from "../../../connectors/sqlite/schema-check.js";
import { TailraceError } from "../../../core/errors.js";
import { theGroup } from "../../../core/vocabulary/ids.js";
import { Follower } from "../../support/follower.js";
import { SourceFile } from "../../support/sqlite.js";

const ddl = `
  CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT, b);
  CREATE TABLE other (id INTEGER PRIMARY KEY, v);
  INSERT INTO t VALUES (1, 'x', 1), (2, 'y', 2); INSERT INTO other VALUES (1, 1)`;

async function refused(work: Promise<unknown>): Promise<TailraceError> {
  const thrown = await work.then(
    () => null,
    (error: unknown) => error,
  );
  expect(thrown).toBeInstanceOf(TailraceError);
  return thrown as TailraceError;
}

const changes: readonly (readonly [what: string, table: string, sql: string])[] = [
  [
    "is rebuilt by create, copy, drop and rename",
    "t",
    "BEGIN; CREATE TABLE n (id INTEGER PRIMARY KEY, a TEXT, b); INSERT INTO n SELECT * FROM t; DROP TABLE t; ALTER TABLE n RENAME TO t; COMMIT",
  ],
  ["is dropped and created again", "t", "DROP TABLE t; CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT, b)"],
  ["is dropped", "t", "DROP TABLE t"],
  ["is renamed", "t", "ALTER TABLE t RENAME TO t2"],
  ["gets a column", "t", "ALTER TABLE t ADD COLUMN c DEFAULT 5"],
  ["has a column renamed", "t", "ALTER TABLE t RENAME COLUMN b TO bb"],
  ["gets a unique index", "t", "CREATE UNIQUE INDEX late ON t (a)"],
  ["gets a trigger", "t", "CREATE TRIGGER late AFTER UPDATE ON t BEGIN UPDATE other SET v = 1; END"],
  ["gets a child that follows its key", "t", "CREATE TABLE child (id INTEGER PRIMARY KEY, t REFERENCES t (id) ON UPDATE CASCADE)"],
  ["loses a capture trigger", "t", "DROP TRIGGER _cdc_2_u"],
  ["is new", "fresh", "CREATE TABLE fresh (id INTEGER PRIMARY KEY)"],
];

describe("the source stops and names the table when a table", () => {
  test.each(changes)("%s", async (_what, table, sql) => {
    await using file = await SourceFile.of(ddl);
    await using follower = new Follower(await file.open());
    await follower.catchUp(0);
    file.application().exec(`INSERT INTO other VALUES (5, 5); ${sql}`);
    const error = await refused(follower.next());
    expect(error.code).toBe("source.schema-changed");
    expect(error.where["table"]).toBe(table);
    expect((await refused(file.open({ lockDirectory: file.directory + "/other" }))).code).toBe("source.schema-changed");
  });
});

describe("apply, and the re-read that it asks for, heal a table that", () => {
  const healed = changes.filter(([what]) => what !== "is dropped");
  test.each(healed)("%s", async (_what, _table, sql) => {
    await using file = await SourceFile.of(ddl);
    await using follower = new Follower(await file.open());
    await follower.catchUp(0);
    file.application().exec(`INSERT INTO other VALUES (5, 5); ${sql}`);
    await refused(follower.next());
    file.application().exec("UPDATE other SET v = 7; DELETE FROM other WHERE id = 1");
    expect(file.plan().length).toBeGreaterThan(0);
    await file.install();
    expect(file.plan()).toEqual([]);
    for (const { description } of file.tables()) file.application().exec(`INSERT INTO ${description.table} (id) VALUES (77)`);
    await follower.restart();
    await follower.catchUp(file.newestSeq());
    follower.replica.assertEquals((t) => file.rows(t), "after apply");
    expect(follower.replica.isComplete()).toBe(true);
    expect(
      follower.replica
        .tables()
        .map((t) => t.table)
        .toSorted(),
    ).toEqual(
      file
        .tables()
        .map((t) => t.description.table)
        .toSorted(),
    );
    expect(follower.position?.history).toBe(1);
  });
});

test("a table that was altered while it was being snapshot is read again from its beginning", async () => {
  await using file = await SourceFile.of(ddl);
  await using follower = new Follower(await file.open({ chunkRows: 1, limits: tiny }));
  await follower.next();
  file.application().exec("ALTER TABLE t ADD COLUMN c DEFAULT 5; UPDATE t SET c = 6 WHERE id = 1");
  await refused(follower.next());
  await file.install();
  await follower.restart();
  await follower.catchUp(file.newestSeq());
  follower.replica.assertEquals((t) => file.rows(t), "after apply");
  expect(follower.replica.rows("t")).toEqual([
    [1n, "x", 1n, 6n],
    [2n, "y", 2n, 5n],
  ]);
});

test("VACUUM, ANALYZE, REINDEX, plain indexes and views do not stop it", async () => {
  await using file = await SourceFile.of(ddl);
  await using follower = new Follower(await file.open());
  await follower.catchUp(0);
  file
    .application()
    .exec(
      "VACUUM; ANALYZE; REINDEX; CREATE INDEX plain ON t (b); CREATE VIEW seen AS SELECT * FROM t; CREATE TEMP TABLE mine (a); UPDATE t SET b = 9",
    );
  await follower.catchUp(file.newestSeq());
  follower.replica.assertEquals((t) => file.rows(t), "after maintenance");
});

test("a table that is no longer wanted is told as dropped, and what the log still says of it is passed over", async () => {
  await using file = await SourceFile.of(ddl);
  await using follower = new Follower(await file.open());
  await follower.catchUp(0);
  file.application().exec("UPDATE t SET b = 5; UPDATE other SET v = 5");
  await file.install(["t"]);
  await follower.catchUp(file.newestSeq());
  expect(follower.replica.controls).toContain("dropped other");
  expect(follower.replica.tables().map((t) => t.table)).toEqual(["t"]);
  await file.install();
  await follower.catchUp(file.newestSeq());
  expect(follower.replica.controls.slice(-3)).toEqual(["schema other", "begins other", "ends other"]);
  follower.replica.assertEquals((t) => file.rows(t), "after it came back");
});

test("a missing state row stops it, although capture goes on", async () => {
  await using file = await SourceFile.of(ddl);
  await using follower = new Follower(await file.open());
  await follower.catchUp(0);
  file.application().exec("DELETE FROM _cdc_state; UPDATE t SET b = 5");
  expect((await refused(follower.next())).code).toBe("source.log-damaged");
  await file.install();
  await follower.restart();
  await follower.catchUp(file.newestSeq());
  follower.replica.assertEquals((t) => file.rows(t), "after apply");
});

const tiny = { chunks: { chunk: { rows: 1, bytes: 1_000 }, batch: { rows: 1, bytes: 1_000 }, hasTime: () => () => true } };

test("a check asks about the whole schema a few times, however many tables there are", async () => {
  const asked = async (tables: number): Promise<number> => {
    await using file = await SourceFile.of(
      Array.from({ length: tables }, (_, i) => `CREATE TABLE t${i} (id INTEGER PRIMARY KEY, v UNIQUE);`).join(" "),
    );
    const database = openDatabase(file.path, { readonly: true });
    let scans = 0;
    const prepare = database.prepare.bind(database);
    database.prepare = ((sql: string) => {
      if (/sqlite_master|pragma_table_list/.test(sql)) scans++;
      return prepare(sql);
    }) as typeof database.prepare;
    checkCapture(database, { pipeline: file.pipeline, group: theGroup, path: file.path });
    database.close();
    return scans;
  };
  expect(await asked(20)).toBe(await asked(2));
});
