/** Row groups that are as they were are left out of a comparison, and nothing that changed ever is. TAILRACE_TEST_LONG=1: many more steps. */
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { LiveCopier, type PrivateCopy } from "../../../connectors/duckdb/copy/live-copy.js";
import { removeDatabase } from "../../../connectors/duckdb/copy/private-file.js";
import { type DuckTable, tableName } from "../../../connectors/duckdb/duck-table.js";
import { DiffEngine } from "../../../connectors/duckdb/engine/diff-engine.js";
import type { CycleAnswer } from "../../../connectors/duckdb/engine/engine.js";
import { changedSpans, type RowGroup } from "../../../connectors/duckdb/engine/row-groups.js";
import { systemClock } from "../../../core/clock.js";
import { schemaVersion, tableId, theGroup } from "../../../core/vocabulary/ids.js";
import type { StorageClass } from "../../../core/vocabulary/table.js";
import { DuckDbApplication } from "../../support/duckdb.js";

const never = new AbortController().signal;
const isLong = process.env.TAILRACE_TEST_LONG === "1";
const groupRows = 2_048;

const columns: readonly (readonly [string, string, StorageClass])[] = [
  ["id", "INTEGER", "integer"],
  ["v", "INTEGER", "integer"],
  ["flag", "BOOLEAN", "boolean"],
  ["amount", "DECIMAL(18,2)", "decimal"],
  ["at", "TIMESTAMP", "integer"],
  ["f", "DOUBLE", "real"],
  ["s", "VARCHAR", "text"],
  ["list", "INTEGER[]", "text"],
];
const create = (name: string, key: string): string =>
  `CREATE TABLE ${name} (${columns.map(([column, type]) => `"${column}" ${type}`).join(", ")}${key});`;
const values = (id: string, n: number): string =>
  `${id}, ${n}, ${id} % 2 = 0, ${id} / 4, TIMESTAMP '2024-01-01' + to_seconds(${id}), ${id} / 7.0, 'text ' || ${id}, [${id}, NULL]`;

function tableOf(number: number, name: string): DuckTable {
  return {
    number,
    schema: "main",
    name,
    mode: "keyed",
    description: {
      table: tableId(tableName("main", name)),
      group: theGroup,
      schema: schemaVersion(1),
      columns: columns.map(([column, declaredType, storage]) => ({
        name: column,
        declaredType,
        nullable: column !== "id",
        generated: false,
        classes: [storage],
      })),
      key: [0],
    },
  };
}

/** The engine in this process, and by its answers what a reader holds. */
class Follower {
  readonly rows = new Map<number, Map<number, string>>();
  #engine: DiffEngine | null = null;
  #order = 0;
  #copy: PrivateCopy | null = null;
  readonly #copier: LiveCopier;

  constructor(
    private readonly folder: string,
    private readonly tables: readonly DuckTable[],
    private readonly pieceRows: number,
  ) {
    mkdirSync(join(folder, "copies"));
    this.#copier = new LiveCopier({
      path: join(folder, "app.duckdb"),
      directory: join(folder, "copies"),
      clock: systemClock,
      bytesPerSecond: null,
    });
  }

  /** As a process that was started anew. */
  async restart(): Promise<void> {
    await this.close();
    this.#engine = new DiffEngine();
    const options = { directory: this.folder, memoryMb: 200, threads: 2, pieceRows: this.pieceRows };
    await this.#engine.open({ options, tables: this.tables });
    if (this.#copy !== null) await this.#engine.attach({ path: this.#copy.path });
  }

  async cycle(): Promise<CycleAnswer> {
    if (this.#engine === null) await this.restart();
    const engine = this.#engine;
    if (engine === null) throw new Error("it was started");
    const before = this.#copy;
    const copy = await this.#copier.take(before, never);
    if (copy !== null) {
      await engine.attach({ path: copy.path });
      this.#copy = copy;
      if (before !== null) removeDatabase(before.path);
    }
    const isFirst = this.#order === 0;
    const numbers = this.tables.map(({ number }) => number);
    const compare = isFirst ? [] : numbers;
    const request = { compare, doubtAbove: null, firstOrder: this.#order + 1, changesMax: 10_000_000, frozen: null };
    const answer = await engine.cycle({ ...request, establish: isFirst ? numbers : [] });
    for (const { number } of this.tables) if (isFirst) await this.#readAll(engine, number);
    for (const { table, first, count } of answer.changes) {
      const page = await engine.changes({ table, from: first, until: first + count, bytes: 1 << 30 });
      expect(page.until).toBe(first + count);
      this.#take(table, page.json);
    }
    this.#order = Math.max(1, answer.lastOrder);
    return answer;
  }

  async #readAll(engine: DiffEngine, number: number): Promise<void> {
    const { rows } = await engine.sort({ table: number, after: null });
    const { texts } = await engine.chunks({ from: 0, rows: Math.max(1, rows), bytes: 1 << 30, chunks: 1 });
    const [text = "[]"] = texts;
    this.rows.set(number, new Map((JSON.parse(text) as readonly [number][]).map((row) => [row[0], JSON.stringify(row)])));
  }

  #take(table: number, text: string): void {
    const rows = this.rows.get(table);
    for (const [, op, [id], row] of JSON.parse(text) as readonly (readonly [number, string, readonly [number], unknown])[]) {
      expect(rows?.has(id), `${op} of ${id}`).toBe(op !== "c");
      if (op === "d") rows?.delete(id);
      else rows?.set(id, JSON.stringify(row));
    }
  }

  async close(): Promise<void> {
    await this.#engine?.close();
    this.#engine = null;
  }
}

let folder = "";
let application: DuckDbApplication;
let follower: Follower;
const tables = [tableOf(1, "plain"), tableOf(2, "keyed")];

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), "tailrace-row-groups-"));
  application = await DuckDbApplication.start(join(folder, "app.duckdb"), "", groupRows);
});
afterEach(async () => {
  await follower.close();
  await application.kill();
  rmSync(folder, { recursive: true, force: true });
});

async function expectEqual(what: string): Promise<void> {
  for (const { number, name } of tables) {
    const list = `json_array(id, v, flag, amount::VARCHAR, epoch_us("at")::VARCHAR, f::VARCHAR, s, to_json(list)::VARCHAR)::VARCHAR`;
    const [all] = await application.run(`SELECT coalesce(string_agg(${list}, chr(10) ORDER BY id), '') FROM ${name}`);
    const told = [...(follower.rows.get(number) ?? [])].toSorted(([a], [b]) => a - b).map(([, row]) => row);
    const text = all?.[0];
    if (typeof text !== "string") throw new Error("a text was asked for");
    const there = text.split("\n").filter((line) => line !== "");
    // Before they are compared as a whole: a message of two megabytes helps nobody.
    const different = there.findIndex((row, i) => told[i] !== row);
    expect([told[different], told.length], `${name} ${what}`).toEqual([there[different], there.length]);
  }
}

/** Small, repeatable. */
function generator(seed: number): (n: number) => number {
  let state = seed >>> 0;
  return (n) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * n);
  };
}

test("whatever is done to a table, a comparison that leaves row groups out finds all of it", { timeout: 1_800_000 }, async () => {
  const seed = Number(process.env.TAILRACE_SEED ?? Date.now() % 1_000_000);
  console.log(`row groups: seed ${seed}`);
  const random = generator(seed);
  follower = new Follower(folder, tables, 5_000);
  await application.run(create("plain", "") + create("keyed", ", PRIMARY KEY (id)"));
  let next = 12_000;
  for (const { name } of tables) await application.run(`INSERT INTO ${name} SELECT ${values("range", 0)} FROM range(${next})`);
  await follower.cycle();
  const somewhere = (): string => {
    const from = random(next);
    return `id BETWEEN ${from} AND ${from + random(300)}`;
  };
  const insert = (t: string, rows: number): string => {
    next += rows;
    return `INSERT INTO ${t} SELECT ${values("range", 1)} FROM range(${next - rows}, ${next})`;
  };
  const steps: readonly ((t: string) => string)[] = [
    (t) => `UPDATE ${t} SET v = v + 1 WHERE id = ${random(next)}`,
    // Blocks take turns: their list comes back with other rows in it.
    (t) => `UPDATE ${t} SET v = v + 1 WHERE id = 7`,
    (t) => `UPDATE ${t} SET s = 'longer ' || repeat('x', ${random(2)} * 5000) || v WHERE ${somewhere()}`,
    (t) => `UPDATE ${t} SET f = -f, list = [v] WHERE ${somewhere()}`,
    (t) => `UPDATE ${t} SET flag = NULL, amount = ${random(9)} WHERE ${somewhere()}`,
    (t) => `UPDATE ${t} SET "at" = "at" + INTERVAL 1 MICROSECOND WHERE hash(id + ${random(1_000)}) % 500 = 0`,
    (t) => `UPDATE ${t} SET v = ${random(100)}`,
    (t) => `DELETE FROM ${t} WHERE ${somewhere()}`,
    (t) => `DELETE FROM ${t} WHERE hash(id + ${random(1_000)}) % 300 = 0`,
    (t) => `DELETE FROM ${t} WHERE id BETWEEN ${groupRows * random(5)} AND ${groupRows * (random(3) + 3)}`,
    (t) => insert(t, 1 + random(50)),
    (t) => insert(t, 1 + random(9_000)),
    // The same keys at the table's end.
    (t) =>
      `CREATE OR REPLACE TEMP TABLE away AS SELECT * FROM ${t} WHERE ${somewhere()}; DELETE FROM ${t} WHERE id IN (SELECT id FROM away)`,
    (t) => `INSERT INTO ${t} SELECT * FROM temp.away WHERE id NOT IN (SELECT id FROM ${t})`,
  ];
  await application.run("CREATE TEMP TABLE away AS SELECT * FROM plain LIMIT 0");
  for (let n = 0; n < (isLong ? 300 : 20); n++) {
    const said: string[] = [];
    for (let many = 1 + random(2); many > 0; many--) {
      const table = random(2) === 0 ? "plain" : "keyed";
      const sql = steps[random(steps.length)]?.(table) ?? "";
      said.push(sql);
      await application.run(sql);
    }
    if (random(2) === 0) await application.run("CHECKPOINT app");
    if (random(15) === 0) await follower.restart();
    await follower.cycle();
    await expectEqual(`after step ${n} of seed ${seed}: ${said.join("; ")}`);
  }
});

test("only row groups that changed are read", async () => {
  follower = new Follower(folder, tables, 1_000_000);
  const groups = 20;
  await application.run(create("plain", "") + create("keyed", ", PRIMARY KEY (id)"));
  for (const { name } of tables)
    await application.run(`INSERT INTO ${name} SELECT ${values("range", 0)} FROM range(${groups * groupRows})`);
  await application.run("CHECKPOINT app");
  await follower.cycle();
  const compared = async (sql: string, isCheckpoint = true): Promise<number> => {
    await application.run(sql);
    if (isCheckpoint) await application.run("CHECKPOINT app");
    return (await follower.cycle()).rowsCompared;
  };
  expect(await compared("CREATE TABLE other (x INTEGER)")).toBe(0);
  expect(await compared("UPDATE plain SET v = 5 WHERE id = 10000")).toBe(groupRows);
  // In memory until the next checkpoint.
  expect(await compared("UPDATE plain SET v = 6 WHERE id = 10000", false)).toBe(groupRows);
  expect(await compared("SELECT 1")).toBe(groupRows);
  expect(await compared("SELECT 1")).toBe(0);
  expect(await compared("DELETE FROM keyed WHERE id IN (3, 20000)")).toBeLessThanOrEqual(8 * groupRows);
  expect(
    await compared("INSERT INTO keyed SELECT * REPLACE (id + 1000000 AS id) FROM keyed WHERE id BETWEEN 10 AND 20"),
  ).toBeLessThanOrEqual(4 * groupRows);
  await expectEqual("at the end");
});

test("a list of segments that comes back with other rows behind it is not taken for the same", async () => {
  follower = new Follower(folder, tables, 1_000_000);
  await application.run(create("plain", "") + create("keyed", ", PRIMARY KEY (id)"));
  await application.run(`INSERT INTO plain SELECT ${values("range", 0)} FROM range(1500); UPDATE plain SET v = id; CHECKPOINT app`);
  await follower.cycle();
  for (let n = 0; n < 6; n++) {
    for (const id of [2 * n, 2 * n + 1]) {
      // Least and largest value, and all that the list says of the column, stay the same.
      const v = (of: number): string => `(SELECT v FROM plain WHERE id = ${of})`;
      const swapped = `UPDATE plain SET v = CASE id WHEN ${id} THEN ${v(id + 50)} ELSE ${v(id)} END WHERE id IN (${id}, ${id + 50})`;
      await application.run(`${swapped}; CHECKPOINT app`);
    }
    expect((await follower.cycle()).changes.map(({ count }) => count)).toEqual([4]);
  }
  await expectEqual("at the end");
});

test("a span covers whatever is not known to be as it was, whatever the groups became", () => {
  const seed = Number(process.env.TAILRACE_SEED ?? Date.now() % 1_000_000);
  console.log(`spans: seed ${seed}`);
  const random = generator(seed);
  const made = (): RowGroup[] => {
    let first = 0;
    return Array.from({ length: random(6) }, () => {
      const group = { first, rows: 1 + random(9), mark: random(4) === 0 ? null : `m${random(3)}` };
      first += group.rows;
      return group;
    });
  };
  for (let n = 0; n < 2_000; n++) {
    const [before, now] = [made(), made()];
    const spans = changedSpans(before, now, 4);
    const covered = (at: number): boolean => spans.some(({ from, until }) => at >= from && (until === null || at < until));
    const groupAt = (groups: readonly RowGroup[], at: number): RowGroup | undefined =>
      groups.find(({ first, rows }) => at >= first && at < first + rows);
    for (let at = 0; at < 60; at++) {
      const [then, is] = [groupAt(before, at), groupAt(now, at)];
      const isSame =
        then?.first === is?.first && then?.rows === is?.rows && (then === undefined || (then.mark !== null && then.mark === is?.mark));
      if (!isSame) expect(covered(at), JSON.stringify({ before, now, at })).toBe(true);
      if (isSame && is !== undefined) expect(covered(at), JSON.stringify({ before, now, at })).toBe(false);
    }
    for (const [i, { from, until }] of spans.entries()) {
      if (until === null) continue;
      expect(until - from).toBeLessThanOrEqual(4);
      expect(spans[i + 1]?.from ?? until).toBeGreaterThanOrEqual(until);
    }
  }
});
