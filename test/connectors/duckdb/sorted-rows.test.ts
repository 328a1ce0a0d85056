/** Rows on their way out: every one of them once and in key order, in slices that are bounded in rows and in bytes, in little memory. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import type { DuckTable } from "../../../connectors/duckdb/duck-table.js";
import { Database } from "../../../connectors/duckdb/engine/database.js";
import { sortableBytes, SortedRows } from "../../../connectors/duckdb/engine/sorted-rows.js";
import { RowParser } from "../../../connectors/duckdb/values.js";
import { schemaVersion, tableId, theGroup } from "../../../core/vocabulary/ids.js";
import type { StorageClass } from "../../../core/vocabulary/table.js";
import { keyText } from "../../../core/vocabulary/value.js";
import { DuckDbFile } from "../../support/duckdb.js";
import { Follower } from "../../support/follower.js";

let folder = "";
let database: Database;
beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), "tailrace-sorted-"));
  database = await Database.open(":memory:", { memoryMb: 300, threads: 2, spillDirectory: join(folder, "spill") });
});
afterEach(async () => {
  await database[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true });
});

async function stored(sql: string): Promise<void> {
  await database.run(`ATTACH '${join(folder, "app.duckdb")}' AS src`);
  await database.run(`USE src; ${sql}; CHECKPOINT; USE memory`);
}

function tableOf(
  name: string,
  columns: readonly (readonly [string, string, StorageClass])[],
  key: readonly [number, ...number[]],
): DuckTable {
  const described = columns.map(([column, declaredType, storage]) => ({
    name: column,
    declaredType,
    nullable: true,
    generated: false,
    classes: [storage],
  }));
  const description = { table: tableId(name), group: theGroup, schema: schemaVersion(1), columns: described, key };
  return { number: 1, schema: "main", name, description, mode: "keyed" };
}

interface Read {
  readonly keys: readonly string[];
  readonly texts: readonly string[];
}
async function readAll(table: DuckTable, limits: { rows: number; bytes: number; chunks: number }, stageBytes: number): Promise<Read> {
  const sorted = new SortedRows(database, stageBytes);
  const parser = new RowParser(table);
  const keys: string[] = [];
  const texts: string[] = [];
  const rows = await sorted.sort(table, null);
  for (let from = 0; from < rows; ) {
    const slices = await sorted.chunks({ from, ...limits });
    expect(slices.texts.length).toBeLessThanOrEqual(limits.chunks);
    texts.push(...slices.texts);
    for (const text of slices.texts) {
      const some = parser.rows(text);
      expect(some.length).toBeLessThanOrEqual(limits.rows);
      keys.push(...some.map((row) => keyText(parser.keyOf(row))));
    }
    expect(slices.rows).toBeGreaterThan(0);
    from += slices.rows;
  }
  return { keys, texts };
}

const inOrder = async (sql: string, parser: RowParser): Promise<readonly string[]> => {
  const [found] = await database.rows<{ text: string }>(
    `SELECT '[' || string_agg(j::VARCHAR, ',' ORDER BY n) || ']' AS text FROM (${sql})`,
  );
  return parser.keys(found?.text ?? "[]").map(keyText);
};

test("rows come whole and in the order of their key, however they lie and however small the stages are", async () => {
  await stored(`CREATE TABLE t AS SELECT (range * 7919) % 20000 AS id, md5(range::VARCHAR) AS v FROM range(20000); DELETE FROM t WHERE id % 7 = 0;
    CREATE TABLE pairs AS SELECT CASE WHEN range % 3 = 0 THEN 'ä' ELSE 'it''s' END || (range % 40) AS shop, (hash(range) % 1000000)::INTEGER * 20000::BIGINT + range AS sku, md5(range::VARCHAR) AS v FROM range(20000);
    CREATE TABLE odd AS SELECT 5000 - range AS rowid, range % 3 AS _tailrace_k0 FROM range(5000)`);
  const t = tableOf(
    "t",
    [
      ["id", "BIGINT", "integer"],
      ["v", "VARCHAR", "text"],
    ],
    [0],
  );
  const limits = { rows: 500, bytes: 1 << 20, chunks: 16 };
  const ordered = await inOrder("SELECT id AS n, json_array(id::VARCHAR) AS j FROM src.t", new RowParser(t));
  for (const stageBytes of [100_000, 1 << 30]) expect((await readAll(t, limits, stageBytes)).keys).toEqual(ordered);
  const pairs = tableOf(
    "pairs",
    [
      ["shop", "VARCHAR", "text"],
      ["sku", "BIGINT", "integer"],
      ["v", "VARCHAR", "text"],
    ],
    [0, 1],
  );
  const both = await inOrder("SELECT row(shop, sku) AS n, json_array(shop, sku::VARCHAR) AS j FROM src.pairs", new RowParser(pairs));
  expect((await readAll(pairs, limits, 200_000)).keys).toEqual(both);
  // A column that has the name of the engine's own numbers.
  const odd = tableOf(
    "odd",
    [
      ["rowid", "BIGINT", "integer"],
      ["_tailrace_k0", "BIGINT", "integer"],
    ],
    [0],
  );
  const numbers = await inOrder("SELECT rowid AS n, json_array(rowid::VARCHAR) AS j FROM src.odd", new RowParser(odd));
  expect((await readAll(odd, limits, 1_000)).keys).toEqual(numbers);
});

test("rows of some kilobytes come in the order of their key, more of them than the memory holds", async () => {
  await database[Symbol.asyncDispose]();
  database = await Database.open(":memory:", { memoryMb: 64, threads: 2, spillDirectory: join(folder, "spill") });
  await stored("CREATE TABLE t AS SELECT (range * 7919) % 15000 AS id, repeat(md5(range::VARCHAR), 200) AS v FROM range(15000)");
  const columns = [
    ["id", "BIGINT", "integer"],
    ["v", "VARCHAR", "text"],
  ] as const;
  const sorted = new SortedRows(database, sortableBytes(64));
  expect(await sorted.sort(tableOf("t", columns, [0]), ["10000"])).toBe(4_999);
  const rows = await sorted.sort(tableOf("t", columns, [0]), null);
  const first = await sorted.chunks({ from: 0, rows: 500, bytes: 1 << 19, chunks: 1 });
  const last = await sorted.chunks({ from: rows - 3, rows: 500, bytes: 1 << 19, chunks: 16 });
  const ids = (texts: readonly string[]): readonly unknown[] =>
    texts.flatMap((text) => (JSON.parse(text) as readonly [unknown][]).map(([id]) => id));
  expect(ids(first.texts)).toEqual(Array.from({ length: first.rows }, (_, i) => String(i)));
  expect(ids(last.texts)).toEqual(["14997", "14998", "14999"]);
});

test("no text has more bytes than were asked for, but for its last row, however unlike the rows are", async () => {
  await stored(`CREATE TABLE t AS SELECT range AS id, CASE WHEN range % 97 = 0 THEN repeat('x', 30000) WHEN range % 5 = 0 THEN NULL ELSE 'short' END AS v,
    CASE WHEN range = 600 THEN repeat('b', 40000)::BLOB END AS b, [range, range] AS l FROM range(1000)`);
  const t = tableOf(
    "t",
    [
      ["id", "BIGINT", "integer"],
      ["v", "VARCHAR", "text"],
      ["b", "BLOB", "blob"],
      ["l", "BIGINT[]", "text"],
    ],
    [0],
  );
  const read = await readAll(t, { rows: 200, bytes: 20_000, chunks: 4 }, 1 << 30);
  expect(read.keys).toHaveLength(1000);
  const [largestRow] = [
    Math.max(...read.texts.flatMap((text) => (JSON.parse(text) as readonly unknown[]).map((row) => JSON.stringify(row).length))),
  ];
  for (const text of read.texts) expect(text.length).toBeLessThanOrEqual(20_000 + (largestRow ?? 0) + 1_000);
});

test("large rows travel in chunks and pages that a log takes, by copy and by change", async () => {
  await using file = await DuckDbFile.of(
    "CREATE TABLE t (id INTEGER PRIMARY KEY, v VARCHAR); INSERT INTO t SELECT range, repeat('x', 20000) FROM range(600)",
  );
  const follower = new Follower(await file.open());
  const sizes: number[] = [];
  const take = (): void => {
    for (const part of follower.lastParts) {
      if (part.kind === "chunk") sizes.push(JSON.stringify(part.chunk.rows.map(([, v]) => v)).length);
      if (part.kind === "changes") sizes.push(JSON.stringify(part.changes.map((it) => (it.kind === "delete" ? null : it.after[1]))).length);
    }
  };
  do {
    await follower.next();
    take();
  } while (follower.source.progress().some(({ state }) => state !== "done"));
  expect(follower.replica.rows("t")).toHaveLength(600);
  await file.run("UPDATE t SET v = v || 'y'");
  const before = sizes.length;
  while (sizes.length === before) {
    await follower.next();
    take();
  }
  expect(follower.replica.rows("t").every(([, v]) => typeof v === "string" && v.endsWith("y"))).toBe(true);
  expect(Math.max(...sizes)).toBeLessThan(1_200_000);
});
