import { expect, test } from "vitest";
import { systemClock } from "../../../core/clock.js";
import { tableId } from "../../../core/vocabulary/ids.js";
import { comparePositions } from "../../../core/vocabulary/position.js";
import { finalCheck } from "../../../services/verify/final-check.js";
import { repair } from "../../../services/verify/repair.js";
import { never, VerifyContext } from "./context.js";

const ddl = `
  CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT, amount NUMERIC(12,2), at INTEGER);
  WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000) INSERT INTO t SELECT i, 'n' || i, i * 1.5, i FROM n;
  CREATE TABLE pair (a TEXT NOT NULL, b INTEGER NOT NULL, v, PRIMARY KEY (a, b)) WITHOUT ROWID;
  WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 800) INSERT INTO pair SELECT 'k' || (i % 7), i, i FROM n;
  CREATE TABLE empty (id INTEGER PRIMARY KEY);`;

test("a quiet pair is equal, and the result holds for one position", async () => {
  await using it = await VerifyContext.of(ddl);
  const synced = await it.two.sync();
  const { tables, proven } = await it.verify();
  expect(tables.map(({ table, rows, chunks, equalChunks }) => [table, rows, chunks, equalChunks])).toEqual([
    ["empty", 0, 1, 1],
    ["pair", 800, 2, 2],
    // The last range is open, and empty when the rows come out even.
    ["t", 3000, 7, 7],
  ]);
  expect(proven.order).toBe(synced.order);
  expect(await it.said()).toEqual([]);
  const [run] = await it.store.runs(1, never);
  expect(run).toMatchObject({ state: "done", kind: "demand", whole: true, error: null });
});

test("planted differences are found with key and columns, repaired through the log, and gone", async () => {
  await using it = await VerifyContext.of(ddl);
  await it.two.sync();
  await it.two.database.query("UPDATE t SET name = 'N7', at = NULL WHERE id = 7");
  await it.two.database.query("DELETE FROM t WHERE id IN (1, 3000)");
  await it.two.database.query("INSERT INTO t VALUES (3001, 'x', 0, 0), (-5, 'x', 0, 0)");
  await it.two.database.query("UPDATE pair SET b = b + 10000 WHERE a = 'k1' AND b = 1");
  const found = [
    "pair tk1\u0000i10001: extra",
    "pair tk1\u0000i1: missing",
    "t i-5: extra",
    "t i1: missing",
    "t i3000: missing",
    "t i3001: extra",
    "t i7: changed name,at",
  ];
  const first = await it.verify();
  expect(await it.said()).toEqual(found);
  expect(first.tables.map(({ missing, extra, changed, unsettled }) => [missing, extra, changed, unsettled])).toEqual([
    [0, 0, 0, 0],
    [1, 1, 0, 0],
    [2, 2, 1, 0],
  ]);
  // Found again they are the same findings, not new ones.
  await it.verify();
  expect(await it.said()).toEqual(found);
  it.two.run();
  const repaired = await repair({ sides: it.sides, store: it.store, repairs: it.requests, table: null }, never);
  expect(repaired).toEqual({
    why: null,
    tables: [
      { table: "pair", asked: 2, equal: 2, different: 0, waiting: 0 },
      { table: "t", asked: 5, equal: 5, different: 0, waiting: 0 },
    ],
  });
  expect(await it.said()).toEqual([]);
  const states = await it.two.database.query<{ state: string; n: string }>(
    "SELECT state, count(*) AS n FROM tailrace.verification_mismatch WHERE asked_at IS NOT NULL AND ended_at IS NOT NULL GROUP BY 1",
  );
  expect(states).toEqual([{ state: "repaired", n: "7" }]);
  const again = await it.verify();
  expect(again.tables.every(({ equalChunks, chunks }) => equalChunks === chunks)).toBe(true);
});

test("a finding that mends itself is gone without a repair", async () => {
  await using it = await VerifyContext.of(ddl);
  await it.two.sync();
  await it.two.database.query("UPDATE t SET name = 'wrong' WHERE id = 9");
  await it.verify();
  it.two.exec("UPDATE t SET name = 'right' WHERE id = 9");
  await it.two.sync();
  await it.verify();
  expect(await it.said()).toEqual([]);
  expect(await it.two.database.query("SELECT state FROM tailrace.verification_mismatch")).toEqual([{ state: "gone" }]);
});

test("a target that does not come on is unsettled, never different", async () => {
  await using it = await VerifyContext.of(ddl);
  await it.two.sync();
  it.two.exec("UPDATE t SET name = 'late' WHERE id < 4; DELETE FROM pair WHERE b = 5");
  await using patient = await VerifyContext.over(it.two, 100).then((one) => ({
    one,
    [Symbol.asyncDispose]: () => one.store[Symbol.asyncDispose](),
  }));
  const { tables } = await patient.one.verify();
  expect(tables.map(({ missing, extra, changed, unsettled }) => [missing, extra, changed, unsettled])).toEqual([
    [0, 0, 0, 0],
    [0, 0, 0, 1],
    [0, 0, 0, 3],
  ]);
  const [row] = await it.mismatches();
  expect(row?.why).toMatch(/^the target stands at 1:0:\d+ and the source was read at 1:4:0$/);
  await it.two.sync();
  await it.verify();
  expect(await it.said()).toEqual([]);
});

test("a target that is far behind and goes on falling behind is judged all the same, and rightly", async () => {
  await using it = await VerifyContext.of(ddl);
  await it.two.sync();
  await it.two.database.query("UPDATE t SET name = 'wrong' WHERE id = 2500");
  const write = (from: number): void => {
    it.two.exec(`UPDATE t SET name = name || '${from}' WHERE id BETWEEN ${from % 2000} AND ${(from % 2000) + 20}`);
    it.two.exec(`DELETE FROM t WHERE id = ${(from % 400) + 2001}; INSERT INTO t (id, name) VALUES (${10_000 + from}, 'new')`);
  };
  let written = 0;
  for (; written < 2_000; written++) write(written);
  // Far slower than what is written meanwhile: at the end the target is further behind than at the beginning.
  it.two.run(() => systemClock.delay(50, never));
  const writing = setInterval(() => write(written++), 2);
  const { tables, proven } = await it.verify().finally(() => clearInterval(writing));
  expect(it.two.file.newestSeq() - proven.order).toBeGreaterThan(0);
  expect(await it.said()).toEqual(["t i2500: changed name"]);
  expect(tables.map(({ missing, extra, changed, unsettled }) => [missing, extra, changed, unsettled])).toEqual([
    [0, 0, 0, 0],
    [0, 0, 0, 0],
    [0, 0, 1, 0],
  ]);
});

test("another type at the target is refused for what it is, and nothing is repaired", async () => {
  await using it = await VerifyContext.of(ddl);
  await it.two.sync();
  await it.two.database.query("UPDATE t SET name = 'wrong' WHERE id = 9");
  await it.verify();
  await it.two.database.query("ALTER TABLE t ALTER COLUMN name TYPE varchar(40)");
  await using later = await VerifyContext.over(it.two).then((one) => ({
    one,
    [Symbol.asyncDispose]: () => one.store[Symbol.asyncDispose](),
  }));
  const before = it.two.file.newestSeq();
  await expect(repair({ sides: later.one.sides, store: it.store, repairs: it.requests, table: null }, never)).rejects.toMatchObject({
    code: "verify.differs-in-kind",
  });
  expect(it.two.file.newestSeq()).toBe(before);
});

test("the final check reads only what changed since, and finds what is wrong in it", async () => {
  await using it = await VerifyContext.of(ddl);
  await it.two.sync();
  const check = finalCheck({ sides: it.sides, store: it.store, tables: it.tables });
  expect(await check.cost(never)).toEqual({ dirtyRows: 0, dirtyChunks: 0, oldestProofMs: null });
  await expect(check.check(await it.sides.source.position(never), never)).rejects.toMatchObject({ code: "verify.unproven" });
  await it.verify();
  it.two.exec("UPDATE t SET name = 'new' WHERE id IN (1, 2, 2900); DELETE FROM pair WHERE b = 9; UPDATE t SET name = 'newer' WHERE id = 1");
  const cost = await check.cost(never);
  expect(cost).toMatchObject({ dirtyRows: 4, dirtyChunks: 3 });
  expect(cost.oldestProofMs).toBeGreaterThanOrEqual(0);
  const at = await it.two.sync();
  expect(await check.check(at, never)).toEqual({ equal: true, rowsRead: 4, different: 0 });
  expect(await check.check(at, never)).toEqual({ equal: true, rowsRead: 0, different: 0 });
  it.two.exec("UPDATE t SET name = 'last' WHERE id = 5");
  const end = await it.two.sync();
  await it.two.database.query("UPDATE t SET name = 'lost' WHERE id = 5");
  expect(await check.check(end, never)).toEqual({ equal: false, rowsRead: 1, different: 1 });
  const [run] = await it.store.runs(1, never);
  expect(comparePositions(run?.proven ?? end, { ...end, index: 0 })).toBe(0);
});

test("a side that holds far more rows than the other is compared within bounds", async () => {
  await using it = await VerifyContext.of("CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT); INSERT INTO t VALUES (1, 'a')");
  await it.two.sync();
  await it.two.database.query("INSERT INTO t SELECT i, 'x' FROM generate_series(2, 45000) AS i");
  const { tables } = await it.verify();
  expect(tables[0]).toMatchObject({ table: tableId("t"), extra: 44_999, missing: 0, changed: 0 });
  expect((await it.mismatches()).length).toBe(10_000);
});
