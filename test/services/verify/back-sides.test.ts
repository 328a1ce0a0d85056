/** Both sides while applications write to PostgreSQL: the same verification, and the check behind a rollback's fence. */
import pg from "pg";
import { afterAll, beforeAll, expect, test } from "vitest";
import { forgetProof } from "../../../connectors/sqlite/target/forget-proof.js";
import { trackedKeysMax } from "../../../connectors/sqlite/target/tracked-keys.js";
import { systemClock } from "../../../core/clock.js";
import { absentVersion, type Following, type Leading } from "../../../core/contracts/row-reader.js";
import { tableId, theGroup } from "../../../core/vocabulary/ids.js";
import { position } from "../../../core/vocabulary/position.js";
import { keyText } from "../../../core/vocabulary/value.js";
import { backCheck } from "../../../services/verify/back-check.js";
import { backSides } from "../../../services/verify/back-sides.js";
import { tellAgain } from "../../../services/cutover/tell-again.js";
import { settle } from "../../../services/verify/settle.js";
import type { Sides } from "../../../services/verify/sides.js";
import { planTable } from "../../contracts/target-fixtures.js";
import { BackWorld } from "../../support/back-world.js";
import { until } from "../../support/oracles/until.js";
import { PostgresServer } from "../../support/postgres-server.js";
import { describeTable } from "../../support/synthetic-window.js";

const never = new AbortController().signal;
const ddl = `
  CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT, amount NUMERIC(12,2), at INTEGER);
  WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000) INSERT INTO t SELECT i, 'n' || i, i * 1.5, i FROM n;
  CREATE TABLE pair (a TEXT NOT NULL, b INTEGER NOT NULL, v TEXT, PRIMARY KEY (a, b)) WITHOUT ROWID;
  WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 800) INSERT INTO pair SELECT 'k' || (i % 7), i, i FROM n;
  CREATE TABLE empty (id INTEGER PRIMARY KEY);`;

/** Of this file's own: one test makes its commits wait for a standby. */
let server: PostgresServer;
beforeAll(async () => {
  server = await PostgresServer.start({ synchronous_commit: "local" });
});
afterAll(() => server[Symbol.asyncDispose]());
const world = (writersMs = 2_000) => BackWorld.of(ddl, { server: server.url, writersMs });
const checkOf = ({ parts }: BackWorld) => backCheck(parts);

test("what comes back is equal, what differs is found by key and column, and said of PostgreSQL", async () => {
  await using it = await world();
  await it.two.database.query("UPDATE t SET name = name || '!' WHERE id < 50");
  await it.home();
  const first = await it.verify();
  expect(await it.said()).toEqual([]);
  expect(first.tables.every(({ equalChunks, chunks }) => equalChunks === chunks)).toBe(true);
  expect(first.tables.map(({ table, rows }) => [table, rows])).toEqual([
    ["empty", 0],
    ["pair", 800],
    ["t", 3000],
  ]);
  it.two.exec("UPDATE t SET name = 'wrong' WHERE id = 7; DELETE FROM t WHERE id = 9; INSERT INTO t VALUES (5001, 'x', 1, 1)");
  it.two.exec("UPDATE pair SET v = NULL WHERE b = 3");
  await it.verify();
  const found = ["pair tk3\u0000i3: changed v", "t i5001: missing", "t i7: changed name", "t i9: extra"];
  expect(await it.said()).toEqual(found);
  // Mended where applications write: carried back like any change.
  await it.two.database.query("UPDATE t SET name = name WHERE id IN (7, 9)");
  await it.two.database.query("UPDATE pair SET v = v WHERE b = 3");
  await it.two.database.query("INSERT INTO t (id) VALUES (5001)");
  await it.two.database.query("DELETE FROM t WHERE id = 5001");
  await it.home();
  await it.verify();
  expect(await it.said()).toEqual([]);
});

test("under an application that never rests nothing is called different, and the proof comes on", { timeout: 120_000 }, async () => {
  // However long one of its transactions takes: whoever gives up waiting for it calls its rows unsettled.
  await using it = await world(100_000);
  const stop = new AbortController();
  let written = 0;
  const write = async (): Promise<void> => {
    const client = new pg.Client({ connectionString: it.two.database.url });
    await client.connect();
    for (let n = 0; !stop.signal.aborted; n++, written++) {
      await client.query("BEGIN");
      await client.query("UPDATE t SET name = $1 WHERE id BETWEEN $2 AND $2 + 20", [`w${n}`, 1 + ((n * 7) % 2900)]);
      await client.query("SAVEPOINT s");
      await client.query("DELETE FROM pair WHERE b = $1", [1 + (n % 800)]);
      await client.query(n % 3 === 0 ? "ROLLBACK TO s" : "RELEASE s");
      await client.query("INSERT INTO t (id, name) VALUES ($1, 'new') ON CONFLICT (id) DO UPDATE SET name = 'again'", [4_000 + (n % 97)]);
      if (n % 5 === 0) await client.query("DELETE FROM t WHERE id = $1", [4_000 + ((n * 3) % 97)]);
      await client.query("COMMIT");
    }
    await client.end();
  };
  const writing = write();
  await until(
    () => written > 0,
    60_000,
    () => "the application does not write",
  );
  const runs = [await it.verify(), await it.verify({ rowsPerScope: 100 }), await it.verify()];
  stop.abort();
  await writing;
  expect(await it.said()).toEqual([]);
  expect(runs.flatMap(({ tables }) => tables).map(({ unsettled }) => unsettled)).toEqual(Array(9).fill(0));
  expect(runs.map(({ proven }) => proven.order)).toEqual(runs.map(({ proven }) => proven.order).toSorted((a, b) => a - b));
});

test("a commit that came back and cannot be seen at PostgreSQL yet is not called different", async () => {
  await using it = await world(20);
  const client = new pg.Client({ connectionString: it.two.database.url });
  await client.connect();
  await server.query("ALTER SYSTEM SET synchronous_standby_names = 'nobody'");
  await server.query("SELECT pg_reload_conf()");
  try {
    await client.query("SET synchronous_commit = on");
    const pid = (await client.query<{ pid: number }>("SELECT pg_backend_pid() AS pid")).rows[0]?.pid ?? 0;
    let n = 0;
    let committing: Promise<unknown> = Promise.resolve();
    // The server heeds its new setting when it has come to it: until then commits do not wait.
    for (let waits = false; !waits; ) {
      let isDone = false;
      n += 1;
      committing = client
        .query(
          `WITH d AS (DELETE FROM t WHERE id = ${n}), i AS (INSERT INTO t (id) VALUES (${9000 + n})) UPDATE t SET name = 'late' WHERE id = ${100 + n}`,
        )
        .then(() => (isDone = true));
      while (!isDone && !waits) {
        const [row] = await server.query<{ waits: boolean }>(
          `SELECT wait_event = 'SyncRep' AS waits FROM pg_stat_activity WHERE pid = ${pid}`,
        );
        waits = row?.waits === true;
      }
    }
    const inFile = () =>
      it.two.file
        .application()
        .prepare("SELECT name FROM t WHERE id = ?")
        .pluck()
        .get(100 + n);
    while (inFile() !== "late") await systemClock.delay(5, never);
    const { sides } = it.parts;
    const names = await sides.source.identify(tableId("t"), [[BigInt(n)], [BigInt(100 + n)], [BigInt(9_000 + n)], [2_000n]], never);
    const settled = async () => (await settle(sides, tableId("t"), names, never)).map(({ kind, row }) => `${keyText(row.key)} ${kind}`);
    const late = [n, 100 + n, 9_000 + n];
    expect(await settled()).toEqual(["i2000 equal", ...late.map((id) => `i${id} unsettled`)]);
    await server.query(`SELECT pg_cancel_backend(${pid})`);
    await committing;
    expect(await settled()).toEqual([...late, 2_000].map((id) => `i${id} equal`));
  } finally {
    await server.query("ALTER SYSTEM RESET synchronous_standby_names");
    await server.query("SELECT pg_reload_conf()");
    await client.end();
  }
});

test("the check of a rollback reads only what came back since, and finds what is wrong in it", async () => {
  await using it = await world();
  const check = checkOf(it);
  expect(await check.cost(never)).toEqual({ dirtyRows: 0, dirtyChunks: 3, oldestProofMs: 0 });
  await it.two.database.query("UPDATE t SET name = 'new' WHERE id IN (1, 2, 2900)");
  await it.two.database.query("DELETE FROM pair WHERE b = 9");
  await it.two.database.query("UPDATE t SET id = 7000 WHERE id = 5");
  const at = await it.home();
  expect(await check.cost(never)).toMatchObject({ dirtyRows: 6, oldestProofMs: 0 });
  expect(await check.check(at, never)).toEqual({ equal: true, rowsRead: 6, different: 0 });
  it.two.exec("UPDATE t SET name = 'lost' WHERE id = 2");
  expect(await check.advance(never)).toBe(6);
  expect(await check.check(at, never)).toEqual({ equal: false, rowsRead: 6, different: 1 });
  it.two.exec("UPDATE t SET name = 'new' WHERE id = 2");
  expect(await check.advance(never)).toBe(6);
  expect(await check.check(at, never)).toEqual({ equal: true, rowsRead: 0, different: 0 });
  // A verification in between proves as much.
  await it.two.database.query("UPDATE t SET name = 'newer' WHERE id < 100");
  await it.home();
  expect(await check.cost(never)).toMatchObject({ dirtyRows: 98 });
  await it.verify();
  // The run holds what came after it for whoever goes on with it.
  expect(await check.cost(never)).toMatchObject({ dirtyRows: 0 });
});

test("where it is not known what came back every row is to be read, until somebody verifies", async () => {
  await using it = await world();
  const check = checkOf(it);
  await it.two.database.query("TRUNCATE pair");
  await it.home();
  expect(await check.cost(never)).toMatchObject({ oldestProofMs: null });
  await expect(check.check(await it.home(), never)).rejects.toMatchObject({ code: "verify.unproven" });
  await it.verify();
  expect(await it.said()).toEqual([]);
  expect(await check.cost(never)).toMatchObject({ dirtyRows: 0, oldestProofMs: 0 });
  await it.two.database.query(`INSERT INTO t (id) SELECT i FROM generate_series(10001, 10001 + ${trackedKeysMax}) AS i`);
  await it.home();
  expect(await check.cost(never)).toMatchObject({ dirtyRows: 0, oldestProofMs: null });
  await it.verify();
  expect(await check.cost(never)).toMatchObject({ dirtyRows: 0, oldestProofMs: 0 });
});

test("what was missed is proven by nobody who began to compare before, and told again it is proven by the next", async () => {
  await using it = await world();
  const check = checkOf(it);
  await it.verify();
  expect(await check.cost(never)).toMatchObject({ oldestProofMs: 0 });
  const { following } = it.parts;
  const before = await it.home();
  forgetProof({ path: it.two.file.path, group: theGroup });
  // Of a run that began before: it keeps what it knows, and may have seen equal what was missed since.
  await following.hold("verify", before, 60_000);
  await following.proven(before);
  expect(await check.cost(never)).toMatchObject({ oldestProofMs: null });
  const after = await it.home();
  await expect(following.changedKeys({ after: before, upTo: after }, never)[Symbol.asyncIterator]().next()).rejects.toMatchObject({
    code: "source.pruned",
  });
  expect(await check.cost(never)).toMatchObject({ oldestProofMs: null });
  it.two.exec("UPDATE t SET name = 'wrong' WHERE id = 7; DELETE FROM pair WHERE b = 3");
  const told = await tellAgain({ tables: [...it.parts.sides.plans.keys()], file: following.rows, leading: it.parts.leading }, never);
  expect(told.map(({ table, rows, told: n }) => [table, rows, n])).toEqual([
    ["empty", 0, 0],
    ["pair", 800, 1],
    ["t", 3000, 1],
  ]);
  await it.home();
  await it.verify();
  expect(await it.said()).toEqual([]);
  expect(await check.cost(never)).toMatchObject({ oldestProofMs: 0 });
});

test("whoever compares learns that applications were switched over, in both directions", async () => {
  await using it = await world();
  const source = await it.two.sourceReader();
  const forward = await it.two.targetReader(source);
  const other = { code: "verify.other-direction" };
  await expect(forward.position(never)).rejects.toMatchObject(other);
  await it.turn("forward");
  await expect(it.verify()).rejects.toMatchObject(other);
  await forward.position(never);
});

test("a row that came and went while both sides were read is not taken for one too many", async () => {
  const t = tableId("t");
  const row = { id: "1", key: [1n] };
  const plan = planTable(describeTable("t", { id: "integer", name: "text" }, ["id"]));
  const rounds = { file: 0 };
  /** PostgreSQL lacks the row whenever it is looked at; the file has it in its first reads. */
  const settledWith = async (hasUntil: number, cameBack: (round: number) => number) => {
    rounds.file = 0;
    const never = (): never => {
      throw new Error("not asked for");
    };
    const rows = { scopes: never, digest: never, digests: never, [Symbol.asyncDispose]: () => Promise.resolve() };
    const identify = () => Promise.resolve([row]);
    const leading: Leading = {
      rows: { ...rows, identify, position: never, rowsByKey: () => Promise.resolve({ at: position(0, 0), value: [] }) },
      versions: () => Promise.resolve({ reign: "1", versions: new Map([["1", absentVersion]]) }),
      mark: () => Promise.resolve(100),
      touch: never,
      reign: () => Promise.resolve("1"),
      [Symbol.asyncDispose]: () => Promise.resolve(),
    };
    const there = { kind: "row", ...row, row: ["1", "a"] } as const;
    const following: Following = {
      rows: {
        ...rows,
        identify,
        position: () => Promise.resolve(position(1, rounds.file === 0 ? 50 : 101)),
        rowsByKey: () => Promise.resolve({ at: position(1, 101), value: ++rounds.file <= hasUntil ? [there] : [] }),
      },
      async *changedKeys({ after }) {
        const order = cameBack(rounds.file);
        if (order > after.order) yield [{ ...row, table: t, order }];
        await Promise.resolve();
      },
      since: never,
      hold: never,
      proven: never,
      [Symbol.asyncDispose]: () => Promise.resolve(),
    };
    const sides = backSides({ leading, following, standing: false, plans: new Map([[t, plan]]), clock: systemClock, stallMs: 1_000 });
    // The file is asked where it is until it has passed the marker.
    const reached: Sides = { ...sides, target: { ...sides.target, position: () => Promise.resolve(position(1, 101)) } };
    return (await settle(reached, t, [row], new AbortController().signal)).map(({ kind }) => kind);
  };
  expect(await settledWith(1, (round) => (round === 1 ? 80 : 90))).toEqual(["equal"]);
  expect(rounds.file).toBe(2);
  expect(await settledWith(99, () => 40)).toEqual(["missing"]);
});
