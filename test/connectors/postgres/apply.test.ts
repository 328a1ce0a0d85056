import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { connectTarget } from "../../../connectors/postgres/connect.js";
import type { Change } from "../../../core/contracts/change.js";
import type { TablePlan } from "../../../core/contracts/plan.js";
import type { Target } from "../../../core/contracts/target.js";
import { markerId, tableId, theGroup } from "../../../core/vocabulary/ids.js";
import { position } from "../../../core/vocabulary/position.js";
import type { Row } from "../../../core/vocabulary/value.js";
import {
  childPlan,
  childRow,
  childTable,
  contractPipeline,
  never,
  nothingStale,
  Owner,
  parentPlan,
  parentRow,
  parentTable,
  planOf,
  planTable,
} from "../../contracts/target-fixtures.js";
import { freshDatabase, type TestDatabase } from "../../support/postgres.js";
import { changesOf, chunkOf, created, deleted, describeTable, rekeyed, updated, windowOf } from "../../support/synthetic-window.js";
import { readRows } from "./context.js";

describe("apply", () => {
  let database: TestDatabase;
  let target: Target;
  beforeEach(async () => {
    database = await freshDatabase();
    target = await connectTarget({ url: database.url, pipeline: contractPipeline }, never);
  });
  afterEach(async () => {
    await database[Symbol.asyncDispose]();
  });
  const prepared = async (...tables: readonly TablePlan[]): Promise<Owner> => {
    await target.prepare(planOf(...tables), nothingStale, never);
    return Owner.of(target);
  };

  it("replays in source order what a set cannot do because of an immediate UNIQUE of the operator's", async () => {
    await using owner = await prepared(parentPlan);
    await owner.apply(changesOf(parentTable, created(1, [1n], parentRow(1, "x")), created(2, [2n], parentRow(2, "y"))));
    await database.query("CREATE UNIQUE INDEX immediate ON parent (name)");
    const counts = await owner.apply(
      changesOf(
        parentTable,
        updated(3, [1n], parentRow(1, "tmp")),
        updated(4, [2n], parentRow(2, "x")),
        updated(5, [1n], parentRow(1, "y")),
        rekeyed(6, [1n], [3n], parentRow(3, "y")),
      ),
    );
    expect(await readRows(database, parentPlan)).toEqual([
      ["2", "x"],
      ["3", "y"],
    ]);
    expect(counts.get(tableId("parent"))).toMatchObject({ taken: 5, replayed: 5, applied: 0, folded: 0 });
    expect((await target.applied(theGroup, never))?.position.order).toBe(6);
  });

  it("leaves nothing of a COPY whose last row is refused, and goes on with the same session", async () => {
    await using owner = await prepared(parentPlan);
    const long = "x".repeat(1_000);
    const chunk = (last: string) =>
      chunkOf(parentTable, {
        after: null,
        upTo: null,
        at: position(0, 1, 2_000),
        rows: Array.from({ length: 2_000 }, (_, i) => parentRow(i + 1, i === 1_999 ? last : long)),
      });
    await expect(owner.apply(chunk("a\0b"))).rejects.toMatchObject({
      code: "value.nul",
      where: { table: "parent", column: "name", key: "2000" },
    });
    expect(await readRows(database, parentPlan)).toEqual([]);
    await owner.apply(chunk("ab"));
    expect((await readRows(database, parentPlan)).at(-1)).toEqual(["2000", "ab"]);
  });

  it("moves a child before its old parent goes, so that nothing cascades that nobody deleted", async () => {
    await using owner = await prepared(parentPlan, childPlan);
    await owner.apply(
      changesOf(parentTable, created(1, [1n], parentRow(1, "old")), created(2, [2n], parentRow(2, "new"))),
      changesOf(childTable, created(3, [7n], childRow(7, 1))),
    );
    await database.query("ALTER TABLE child ADD CONSTRAINT theirs FOREIGN KEY (parent) REFERENCES parent ON DELETE CASCADE");
    await database.query("CREATE TABLE note (child bigint REFERENCES child ON DELETE CASCADE)");
    await database.query("INSERT INTO note VALUES (7)");
    await owner.apply(changesOf(childTable, updated(4, [7n], childRow(7, 2))), changesOf(parentTable, deleted(5, [1n])));
    expect(await readRows(database, childPlan)).toEqual([["7", "2", "c7"]]);
    expect(await database.query("SELECT child::int FROM note")).toEqual([{ child: 7 }]);
  });

  it("says what is wrong with a staged window when it is applied, not before", async () => {
    await using owner = await prepared(parentPlan);
    const bad = owner.window({ parts: [changesOf(parentTable, created(2, [2n], [2n, "nul\0"]))] });
    await owner.session.stage(bad, never);
    await expect(owner.session.apply(bad, never)).rejects.toMatchObject({ code: "value.nul", where: { key: "2" } });
    await owner.apply(changesOf(parentTable, created(2, [2n], parentRow(2))));
    expect(await readRows(database, parentPlan)).toEqual([["2", "p2"]]);
  });

  it("deletes first where an immediate UNIQUE was there when it took over, and needs no replay", async () => {
    await target.prepare(planOf(parentPlan), nothingStale, never);
    await database.query("CREATE UNIQUE INDEX immediate ON parent (name)");
    await using owner = await Owner.of(target);
    await owner.apply(changesOf(parentTable, created(1, [1n], parentRow(1, "x"))));
    const counts = await owner.apply(changesOf(parentTable, deleted(2, [1n]), created(3, [2n], parentRow(2, "x"))));
    expect(counts.get(tableId("parent"))).toMatchObject({ applied: 2, replayed: 0 });
  });

  it("names the change that breaks a constraint of the operator's, and never a value", async () => {
    await using owner = await prepared(parentPlan);
    await database.query("ALTER TABLE parent ADD CONSTRAINT short CHECK (length(name) < 9)");
    const refused = owner.apply(
      changesOf(parentTable, created(1, [1n], parentRow(1, "fine")), created(2, [2n], parentRow(2, "s3cr3t-value-too-long"))),
    );
    await expect(refused).rejects.toMatchObject({
      code: "target.constraint",
      where: { table: "parent", constraint: "short", key: "2", position: "0:2:0", sqlstate: "23514" },
    });
    const error = (await refused.catch((thrown: unknown) => thrown)) as Error & { cause: Error; where: unknown };
    expect(JSON.stringify([error.message, error.where, error.cause, error.cause.message, error.stack])).not.toContain("s3cr3t");
    await owner.apply(changesOf(parentTable, created(1, [1n], parentRow(1, "fine"))));
  });

  it("replays a window with chunks as well, each where it stands", async () => {
    await using owner = await prepared(parentPlan);
    await owner.apply(changesOf(parentTable, created(1, [1n], parentRow(1, "x")), created(2, [2n], parentRow(2, "y"))));
    await database.query("CREATE UNIQUE INDEX immediate ON parent (name)");
    const counts = await owner.apply(
      changesOf(parentTable, updated(3, [1n], parentRow(1, "t")), updated(4, [2n], parentRow(2, "x")), updated(5, [1n], parentRow(1, "y"))),
      chunkOf(parentTable, { after: [2n], upTo: null, at: position(0, 5, 1), rows: [parentRow(3, "z")] }),
    );
    expect(counts.get(tableId("parent"))).toMatchObject({ taken: 4, replayed: 4 });
    expect((await readRows(database, parentPlan)).map((row) => row.join())).toEqual(["1,y", "2,x", "3,z"]);
  });

  it("lets triggers of the target see that we apply, and only then", async () => {
    await using owner = await prepared(parentPlan);
    await database.query(
      `CREATE TABLE seen (applying text);
       CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO public.seen VALUES (current_setting('tailrace.applying', true)); RETURN NULL; END $$;
       CREATE TRIGGER note AFTER INSERT ON parent FOR EACH STATEMENT EXECUTE FUNCTION note()`,
    );
    await owner.apply(changesOf(parentTable, created(1, [1n], parentRow(1))));
    await owner.apply(chunkOf(parentTable, { after: [1n], upTo: null, at: position(0, 1, 1), rows: [parentRow(2)] }));
    await database.query("INSERT INTO parent VALUES (9)");
    expect(await database.query("SELECT applying FROM seen")).toEqual([{ applying: "on" }, { applying: "on" }, { applying: null }]);
  });

  it("writes nothing for rows that are the same already", async () => {
    await using owner = await prepared(parentPlan);
    await owner.apply(changesOf(parentTable, created(1, [1n], parentRow(1)), created(2, [2n], parentRow(2))));
    const versions = () => database.query("SELECT id, xmin::text FROM parent ORDER BY id");
    const before = await versions();
    await owner.apply(changesOf(parentTable, updated(3, [1n], parentRow(1)), updated(4, [2n], parentRow(2))));
    await owner.apply(chunkOf(parentTable, { after: null, upTo: null, at: position(0, 4, 2), rows: [parentRow(1), parentRow(2)] }));
    expect(await versions()).toEqual(before);
  });

  it("overwrites what only looks equal: jsonb's scale, an interval's unit, letter case, -- and leaves json alone when it is the same", async () => {
    const odd = describeTable("odd", { id: "integer", doc: "text", raw: "text", span: "text", flags: "text" }, ["id"]);
    const types = ["bigint", "jsonb", "json", "interval", "bit varying(9)"];
    const plan = planTable(odd);
    const typed = { ...plan, columns: plan.columns.map((column, i) => ({ ...column, type: types[i] ?? "" })) };
    await using owner = await prepared(typed);
    await owner.apply(changesOf(odd, created(1, [1n], [1n, '{"a":1}', '{"a": 1}', "1 day", "101"])));
    await owner.apply(changesOf(odd, updated(2, [1n], [1n, '{"a":1.0}', '{"a": 1}', "24:00:00", "1010"])));
    expect(await readRows(database, typed)).toEqual([["1", '{"a": 1.0}', '{"a": 1}', "24:00:00", "1010"]]);
  });

  it("refuses text that a varchar would cut", async () => {
    const plan = { ...parentPlan, columns: parentPlan.columns.map((c) => (c.target === "name" ? { ...c, type: "bit varying(3)" } : c)) };
    await using owner = await prepared(plan);
    await expect(owner.apply(changesOf(parentTable, created(1, [1n], parentRow(1, "10101"))))).rejects.toMatchObject({
      code: "value.type",
      where: { table: "parent", key: "1", sqlstate: "22001" },
    });
  });

  it("names two source keys that are one at the target", async () => {
    const plan = { ...parentPlan, columns: parentPlan.columns.map((c) => (c.target === "id" ? { ...c, type: "uuid" } : c)) };
    const table = describeTable("parent", { id: "text", name: "text" }, ["id"]);
    await using owner = await prepared(plan);
    const [lower, upper] = ["a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", "A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11"];
    const refused = owner.apply(changesOf(table, created(1, [lower], [lower, "a"]), created(2, [upper], [upper, "b"])));
    await expect(refused).rejects.toMatchObject({ verdict: "stop" });
    expect(await readRows(database, plan)).toEqual([]);
  });

  it("waits for a lock of somebody's no longer than it must, and says so as a passing fault", async () => {
    await target.prepare(planOf(parentPlan), nothingStale, never);
    await using owner = await Owner.of(await connectTarget({ url: database.url, pipeline: contractPipeline, lockTimeoutMs: 100 }, never));
    await database.query("BEGIN; LOCK TABLE parent IN ACCESS EXCLUSIVE MODE");
    const blocked = owner.apply(changesOf(parentTable, created(1, [1n], parentRow(1))));
    await expect(blocked).rejects.toMatchObject({ code: "target.unavailable", verdict: "retry", where: { sqlstate: "55P03" } });
    await database.query("ROLLBACK");
    await owner.apply(changesOf(parentTable, created(1, [1n], parentRow(1))));
  });

  it("says that a table or column is gone", async () => {
    await using owner = await prepared(parentPlan);
    await database.query("ALTER TABLE parent RENAME name TO gone");
    const window = changesOf(parentTable, created(1, [1n], parentRow(1)));
    await expect(owner.apply(window)).rejects.toMatchObject({ code: "target.object-missing" });
    await database.query("DROP TABLE parent");
    await expect(owner.apply(window)).rejects.toMatchObject({ code: "target.object-missing" });
  });

  it("stores the newest marker and a dropped table with the window that carries them", async () => {
    await using owner = await prepared(parentPlan);
    const controls = [
      { kind: "marker", marker: markerId("m1"), at: position(0, 1) },
      { kind: "dropped", table: parentTable.table, at: position(0, 1) },
      { kind: "schema", table: parentTable, at: position(0, 1) },
    ] as const;
    await owner.session.apply(owner.window({ parts: [], controls }), never);
    expect(await database.query("SELECT marker FROM tailrace.pipeline")).toEqual([{ marker: "m1" }]);
    expect(await database.query("SELECT dropped_at IS NOT NULL AS dropped FROM tailrace.pipeline_table")).toEqual([{ dropped: true }]);
    const otherKey = describeTable("parent", { id: "integer", name: "text" }, ["name"]);
    const schema = owner.window({ parts: [], controls: [{ kind: "schema", table: otherKey, at: position(0, 2) }] });
    await expect(owner.session.apply(schema, never)).rejects.toMatchObject({ code: "plan.changed" });
  });

  it("sends a small window in one round trip", async () => {
    await using owner = await prepared(parentPlan);
    await owner.apply(changesOf(parentTable, created(1, [1n], parentRow(1))));
    let parts = 0;
    const window = windowOf({
      before: owner.session.applied,
      parts: [changesOf(parentTable, created(2, [2n], parentRow(2)))],
      onPart: () => void (parts += 1),
    });
    await owner.session.apply(window, never);
    expect(parts).toBe(1);
    expect(window.timesRead()).toBe(1);
  });

  it("any text survives as value and as key, by sets and by COPY", async () => {
    const table = describeTable("any", { key: "text", value: "text", blob: "blob", number: "real" }, ["key"]);
    const plan = planTable(table);
    await using owner = await prepared(plan);
    const text = fc
      .oneof(fc.string({ unit: "binary" }), fc.constantFrom("NULL", "\\N", "{}", '"', "\\", "\t\r\n", "\\.", "'", "", " ", ","))
      .map((s) => Buffer.from(s.replaceAll("\0", ""), "utf8").toString("utf8"));
    const row = fc.tuple(text, fc.option(text), fc.option(fc.uint8Array()), fc.option(fc.double()));
    const rows = fc.uniqueArray(row, { selector: ([key]) => key, maxLength: 20 });
    let order = 0;
    await fc.assert(
      fc.asyncProperty(rows, fc.boolean(), async (values, byCopy) => {
        order += 100;
        const given: Row[] = values.map(([key, value, blob, number]) => [key, value, blob, number]);
        await owner.apply(chunkOf(table, { after: null, upTo: null, at: position(0, order, 1), rows: byCopy ? given : [] }));
        if (!byCopy) await owner.apply(changesOf(table, ...given.map((one, i) => created(order + 1 + i, [one[0] ?? null], one))));
        const found = await database.query<{ key: string; value: string | null; blob: Buffer | null; number: number | null }>(
          `SELECT key, value, blob, number FROM "any"`,
        );
        const print = (one: readonly unknown[]): string =>
          JSON.stringify(
            one.map((v) =>
              v instanceof Uint8Array ? Buffer.from(v).toString("hex") : v === 0 ? 0 : typeof v === "number" ? String(v) : v,
            ),
          );
        expect(found.map((one) => print([one.key, one.value, one.blob, one.number])).toSorted()).toEqual(given.map(print).toSorted());
      }),
      { numRuns: 60 },
    );
  });

  it("sets, however windows are cut, come out as the changes do one by one", async () => {
    await using owner = await prepared(parentPlan);
    let order = 0;
    const model = new Map<bigint, string>();
    const step = fc.record({
      what: fc.constantFrom("put", "delete", "rekey"),
      id: fc.integer({ min: 1, max: 6 }),
      to: fc.integer({ min: 1, max: 6 }),
      end: fc.boolean(),
    });
    const change = ({ what, id, to }: { what: string; id: number; to: number }): Change | null => {
      const [key, next] = [BigInt(id), BigInt(to)];
      order += 1;
      const name = `v${order}`;
      if (what === "put") {
        const isNew = !model.has(key);
        model.set(key, name);
        return isNew ? created(order, [key], [key, name]) : updated(order, [key], [key, name]);
      }
      if (!model.has(key)) return null;
      if (what === "rekey" && model.has(next)) return null;
      model.delete(key);
      if (what === "delete") return deleted(order, [key]);
      model.set(next, name);
      return rekeyed(order, [key], [next], [next, name]);
    };
    const apply = async (window: readonly Change[]): Promise<void> => {
      if (window.length > 0) await owner.apply(changesOf(parentTable, ...window));
    };
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
        model.clear();
        await database.query("TRUNCATE parent");
        let window: Change[] = [];
        for (const one of steps) {
          const made = change(one);
          if (made !== null) window.push(made);
          if (!one.end) continue;
          await apply(window);
          window = [];
        }
        await apply(window);
        const expected = [...model].toSorted(([a], [b]) => Number(a - b)).map(([id, name]) => [String(id), name]);
        expect(await readRows(database, parentPlan)).toEqual(expected);
      }),
      { numRuns: 40 },
    );
  });
});
