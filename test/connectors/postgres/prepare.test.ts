import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { connectTarget } from "../../../connectors/postgres/connect.js";
import type { TablePlan } from "../../../core/contracts/plan.js";
import type { Target } from "../../../core/contracts/target.js";
import { describeTable, changesOf, created, chunkOf, deleted, rekeyed } from "../../support/synthetic-window.js";
import { position } from "../../../core/vocabulary/position.js";
import {
  childPlan,
  contractPipeline,
  contractPlan,
  never,
  nothingStale,
  Owner,
  pairPlan,
  parentPlan,
  parentRow,
  parentTable,
  planOf,
  planTable,
} from "../../contracts/target-fixtures.js";
import { freshDatabase, type TestDatabase } from "../../support/postgres.js";
import { readRows } from "./context.js";

describe("prepare", () => {
  let database: TestDatabase;
  let target: Target;
  beforeEach(async () => {
    database = await freshDatabase();
    target = await connectTarget({ url: database.url, pipeline: contractPipeline }, never);
  });
  afterEach(async () => {
    await database[Symbol.asyncDispose]();
  });
  const prepare = (...tables: readonly TablePlan[]): Promise<void> => target.prepare(planOf(...tables), nothingStale, never);

  it("shows exactly what it would execute: running the preview by hand leaves nothing to prepare", async () => {
    for (const statement of await target.preview(contractPlan, never)) await database.query(statement);
    expect(await target.preview(contractPlan, never)).toEqual([]);
    expect(await target.plan(never)).toEqual(contractPlan);
  });

  it("says what every table and column of the state holds", async () => {
    await prepare(parentPlan);
    const silent = await database.query(
      `SELECT c.relname, a.attname FROM pg_class AS c JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0
       WHERE c.relnamespace = 'tailrace'::regnamespace AND c.relkind = 'r'
         AND (col_description(c.oid, a.attnum) IS NULL OR obj_description(c.oid, 'pg_class') IS NULL)`,
    );
    expect(silent).toEqual([]);
  });

  it("makes text keys compare by bytes, leaves room on pages, and adds no index and no foreign key yet", async () => {
    await target.prepare(contractPlan, nothingStale, never);
    const [pair] = await database.query(
      `SELECT array_to_string(reloptions, ',') AS options,
        (SELECT collcollate FROM pg_attribute AS a JOIN pg_collation AS l ON l.oid = a.attcollation WHERE a.attrelid = c.oid AND a.attname = 'a') AS collation,
        (SELECT count(*)::int FROM pg_index AS i WHERE i.indrelid = c.oid) AS indexes
       FROM pg_class AS c WHERE relname = 'pair'`,
    );
    expect(pair).toEqual({ options: "fillfactor=90", collation: "C", indexes: 1 });
    expect(await database.query("SELECT conname FROM pg_constraint WHERE contype = 'f' AND connamespace = 'public'::regnamespace")).toEqual(
      [],
    );
  });

  it("takes an empty table that matches, and writes to it", async () => {
    await database.query("CREATE TABLE parent (id bigint PRIMARY KEY, name text); CREATE INDEX ON parent (name)");
    await prepare(parentPlan);
    await using owner = await Owner.of(target);
    await owner.apply(changesOf(parentTable, created(1, [1n], parentRow(1))));
    await owner[Symbol.asyncDispose]();
    await prepare(parentPlan);
    await target.destroy({ tables: true }, never);
    expect(await readRows(database, parentPlan)).toEqual([["1", "p1"]]);
  });

  it("refuses a table with rows that it did not make", async () => {
    await database.query("CREATE TABLE parent (id bigint PRIMARY KEY, name text); INSERT INTO parent VALUES (1)");
    await expect(prepare(parentPlan)).rejects.toMatchObject({ code: "target.table-not-empty" });
  });

  it.each([
    ["CREATE TABLE parent (id bigint PRIMARY KEY)", "column 'name' is missing"],
    ["CREATE TABLE parent (id integer PRIMARY KEY, name text)", "column 'id' is integer, the plan says bigint"],
    ["CREATE TABLE parent (id bigint PRIMARY KEY, name text NOT NULL)", "column 'name' is NOT NULL"],
    ["CREATE TABLE parent (id bigint, name text)", "it has no primary key, the plan says (id)"],
    ["CREATE TABLE parent (id bigint, name text, PRIMARY KEY (id, name))", "its primary key is (id, name), the plan says (id)"],
    ["CREATE TABLE parent (id bigint PRIMARY KEY DEFERRABLE, name text)", "its primary key is deferrable, which ON CONFLICT cannot use"],
    ["CREATE TABLE parent (id bigint PRIMARY KEY, name text, extra text)", "the plan has no column 'extra'"],
    ["CREATE TABLE parent (id bigint PRIMARY KEY, name text GENERATED ALWAYS AS ('x') STORED)", "column 'name' is generated"],
    [
      "CREATE TABLE parent (id bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY, name text)",
      "column 'id' is an identity column that is ALWAYS generated",
    ],
    ["CREATE UNLOGGED TABLE parent (id bigint PRIMARY KEY, name text)", "it is unlogged or temporary"],
    ["CREATE VIEW parent AS SELECT 1::bigint AS id, ''::text AS name", "it is a view"],
    ["CREATE TABLE parent (id bigint PRIMARY KEY, name text) PARTITION BY RANGE (id)", "it is partitioned"],
    ["CREATE TABLE parent (id bigint PRIMARY KEY, name text); CREATE TABLE heir () INHERITS (parent)", "it is part of an inheritance tree"],
    ["CREATE TABLE parent (id bigint PRIMARY KEY, name text); ALTER TABLE parent ENABLE ROW LEVEL SECURITY", "row level security is on"],
  ])("names the difference: %s", async (sql, difference) => {
    await database.query(sql);
    const refused = prepare(parentPlan);
    await expect(refused).rejects.toMatchObject({ code: "target.table-differs" });
    await expect(refused).rejects.toThrow(difference);
    expect(await target.plan(never)).toBeNull();
  });

  it.each([
    ["ALTER TABLE parent ADD CONSTRAINT only_once UNIQUE (name)", "constraint only_once"],
    ["CREATE UNIQUE INDEX by_name ON parent (lower(name))", "unique index by_name"],
    ["ALTER TABLE parent ADD CONSTRAINT short CHECK (length(name) < 3)", "constraint short"],
    ["CREATE TABLE other (id bigint REFERENCES parent)", "foreign key other_id_fkey of other"],
    ["ALTER TABLE parent ADD CONSTRAINT self FOREIGN KEY (id) REFERENCES parent", "constraint self"],
    [
      "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'; CREATE TRIGGER act BEFORE INSERT ON parent FOR EACH ROW EXECUTE FUNCTION f()",
      "trigger act",
    ],
    ["CREATE RULE aside AS ON INSERT TO parent DO INSTEAD NOTHING", "rule aside"],
  ])("names what is in the way: %s", async (sql, name) => {
    await database.query(`CREATE TABLE parent (id bigint PRIMARY KEY, name text); ${sql}`);
    const refused = prepare(parentPlan);
    await expect(refused).rejects.toMatchObject({ code: "target.constraints-in-the-way" });
    await expect(refused).rejects.toThrow(name);
  });

  it("does not hold later decisions of an operator against a table that it made", async () => {
    await prepare({ ...parentPlan, columns: parentPlan.columns.map((column) => ({ ...column, nullable: false })) });
    await database.query("ALTER TABLE parent ADD CONSTRAINT short CHECK (length(name) < 30); ALTER TABLE parent ALTER name DROP NOT NULL");
    await prepare({ ...parentPlan, columns: parentPlan.columns.map((column) => ({ ...column, nullable: false })) }, pairPlan);
  });

  it.each([
    ["table.name", { target: { schema: "public", name: "n".repeat(64) } }],
    ["table.name", { target: { schema: "tailrace", name: "pipeline" } }],
    ["table.name", { target: { schema: "pg_catalog", name: "x" } }],
    ["plan.refused", { indexes: [{ name: "i".repeat(64), columns: ["name"], unique: false }] }],
    ["plan.refused", { columns: parentPlan.columns.map((column) => ({ ...column, type: "text); DROP TABLE x; --" })) }],
    ["plan.refused", { columns: [...parentPlan.columns, ...parentPlan.columns.map((column) => ({ ...column, target: "ctid" }))] }],
    ["table.too-wide", { columns: Array.from({ length: 1_601 }, (_, i) => ({ ...parentPlan.columns[0]!, target: `c${i}` })) }],
  ] as const)("refuses with %s what no table can be: %#", async (code, more) => {
    await expect(prepare({ ...parentPlan, ...more })).rejects.toMatchObject({ code });
  });

  it("refuses two tables with one target", async () => {
    await expect(prepare(parentPlan, { ...pairPlan, target: parentPlan.target })).rejects.toMatchObject({ code: "plan.refused" });
  });

  it("leaves nothing when one of several tables is refused", async () => {
    await database.query("CREATE TABLE child (id text)");
    await expect(target.prepare(contractPlan, nothingStale, never)).rejects.toMatchObject({ code: "target.table-differs" });
    expect(await database.query("SELECT to_regclass('parent') AS parent, to_regnamespace('tailrace') AS state")).toEqual([
      { parent: null, state: null },
    ]);
  });

  it("two prepares at the same time make everything once", async () => {
    await Promise.all([target.prepare(contractPlan, nothingStale, never), target.prepare(contractPlan, nothingStale, never)]);
    expect(await target.plan(never)).toEqual(contractPlan);
  });

  it("refuses state of a newer Tailrace", async () => {
    await prepare(parentPlan);
    await database.query("INSERT INTO tailrace.migration VALUES (99, 'from the future')");
    await expect(prepare(parentPlan)).rejects.toMatchObject({ code: "target.newer-state" });
  });

  it("names the right that the role lacks", async () => {
    const role = `poor_${Math.random().toString(36).slice(2)}`;
    await database.query(`CREATE ROLE ${role} LOGIN PASSWORD 'poor'`);
    const url = new URL(database.url);
    url.username = role;
    url.password = "poor";
    const poor = await connectTarget({ url: url.href, pipeline: contractPipeline }, never);
    await expect(poor.prepare(contractPlan, nothingStale, never)).rejects.toMatchObject({ code: "target.privileges" });
    url.password = "wrong";
    const refused = connectTarget({ url: url.href, pipeline: contractPipeline }, never);
    await expect(refused).rejects.toMatchObject({ code: "target.credentials" });
    await database.query(`DROP ROLE ${role}`);
  });

  it("builds the planned objects as the plan names them, deferrable", async () => {
    await target.prepare(contractPlan, nothingStale, never);
    await using owner = await Owner.of(target);
    await owner.session.finish(never);
    const found = await database.query(
      `SELECT conname, condeferrable, condeferred, convalidated, confdeltype FROM pg_constraint WHERE conrelid = 'child'::regclass AND contype IN ('u', 'f') ORDER BY conname`,
    );
    expect(found).toEqual([
      { conname: "child_code_key", condeferrable: true, condeferred: true, convalidated: true, confdeltype: " " },
      { conname: "child_parent_fkey", condeferrable: true, condeferred: true, convalidated: true, confdeltype: "a" },
    ]);
    expect(
      await database.query(
        "SELECT to_regclass('child_parent_idx') IS NOT NULL AS there, reltuples >= 0 AS analyzed FROM pg_class WHERE relname = 'child'",
      ),
    ).toEqual([{ there: true, analyzed: true }]);
  });

  it("validates a foreign key that a crash left unvalidated, and gives up by name what the rows refuse", async () => {
    await target.prepare(contractPlan, nothingStale, never);
    await using owner = await Owner.of(target);
    await database.query(
      `INSERT INTO child VALUES (1, NULL, 'same'), (2, NULL, 'same');
       ALTER TABLE child ADD CONSTRAINT child_parent_fkey FOREIGN KEY (parent) REFERENCES parent (id) DEFERRABLE INITIALLY DEFERRED NOT VALID`,
    );
    expect(await owner.session.finish(never)).toEqual([
      {
        object: '"child_code_key" on "public"."child"',
        why: expect.stringContaining('could not create unique index "child_code_key"') as string,
      },
    ]);
    expect(await database.query("SELECT convalidated FROM pg_constraint WHERE conname = 'child_parent_fkey'")).toEqual([
      { convalidated: true },
    ]);
    expect(await database.query("SELECT left_out -> 0 ->> 'object' AS object FROM tailrace.pipeline_table WHERE source = 'child'")).toEqual(
      [{ object: '"child_code_key" on "public"."child"' }],
    );
  });

  it("destroys only its own: tables stay without the wish, other pipelines keep their state", async () => {
    await target.prepare(contractPlan, nothingStale, never);
    const other = await connectTarget({ url: database.url, pipeline: "other" as typeof contractPipeline }, never);
    await other.prepare({ version: 1, pipeline: "other" as typeof contractPipeline, prefix: "other", tables: [] }, nothingStale, never);
    await target.destroy({ tables: false }, never);
    expect(await target.plan(never)).toBeNull();
    expect(await other.plan(never)).not.toBeNull();
    expect(await readRows(database, childPlan)).toEqual([]);
  });

  it("writes to names that are hostile in every place", async () => {
    const odd = describeTable('select "x"; --', { "a'b\"c": "integer", $1: "text", "\u{1f600} ": "text", SELECT: "integer" }, [
      "a'b\"c",
      "$1",
    ]);
    const plan = planTable(odd, {
      target: { schema: 'Sch"ema', name: 'DROP TABLE "t" CASCADE' },
      indexes: [{ name: 'idx "1"', columns: ["\u{1f600} ", "SELECT"], unique: true }],
      foreignKeys: [{ name: "fk'1", columns: ["SELECT"], parent: parentPlan.target, parentColumns: ["id"] }],
    });
    await prepare(parentPlan, plan);
    await using owner = await Owner.of(target);
    await owner.apply(
      changesOf(parentTable, created(1, [1n], parentRow(1))),
      changesOf(
        odd,
        created(2, [1n, "k"], [1n, "k", "v", 1n]),
        created(3, [2n, "k"], [2n, "k", "w", 1n]),
        rekeyed(4, [2n, "k"], [3n, "q"], [3n, "q", "w", 1n]),
      ),
    );
    expect(await owner.session.finish(never)).toEqual([]);
    await owner.apply(chunkOf(odd, { after: null, upTo: [1n, "k"], at: position(0, 4, 1), rows: [[1n, "k", "chunk", 1n]] }));
    await owner.apply(changesOf(odd, deleted(5, [3n, "q"])));
    expect(await readRows(database, plan)).toEqual([["1", "k", "chunk", "1"]]);
  });
});
