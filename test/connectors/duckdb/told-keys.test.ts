/** Asking what changed: complete, and in work that grows with what is asked about, not with all that was told. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { CaptureDirectory, type InstalledTable } from "../../../connectors/duckdb/capture-directory.js";
import { ReadableTables } from "../../../connectors/duckdb/readable-tables.js";
import { ToldKeys } from "../../../connectors/duckdb/told-keys.js";
import { ToldLog } from "../../../connectors/duckdb/told-log.js";
import type { ColumnProfile, SourceCatalog } from "../../../core/contracts/source.js";
import type { RowName } from "../../../core/contracts/row-reader.js";
import { makePlan } from "../../../core/plan/make-plan.js";
import { pipelineId, schemaVersion, tableId, theGroup } from "../../../core/vocabulary/ids.js";
import { position } from "../../../core/vocabulary/position.js";
import type { TableDescription } from "../../../core/vocabulary/table.js";

const never = new AbortController().signal;
const pipeline = pipelineId("told");
const table = tableId("t");
const description: TableDescription = {
  table,
  group: theGroup,
  schema: schemaVersion(1),
  key: [0],
  columns: [
    { name: "id", declaredType: "BIGINT", nullable: false, generated: false, classes: ["integer"] },
    { name: "v", declaredType: "VARCHAR", nullable: true, generated: false, classes: ["text"] },
  ],
};
const installed: InstalledTable = { number: 1, schema: "main", name: "t", description, mode: "keyed", state: "captured" };

let folder = "";
let directory: CaptureDirectory;
let log: ToldLog;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "tailrace-told-keys-"));
  directory = new CaptureDirectory({ path: join(folder, "app.duckdb"), stateDirectory: join(folder, ".tailrace") });
  directory.install({ version: 1, pipeline, group: theGroup, source: directory.source, tables: [installed] });
  log = new ToldLog(directory.told);
  log.begin(1);
});
afterEach(() => {
  log[Symbol.dispose]();
  rmSync(folder, { recursive: true });
});

function opened(): ToldKeys {
  const profile = (column: string, type: string): ColumnProfile => {
    const counts = { rows: 0, nulls: 0, classes: {}, integerMin: null, integerMax: null, textWithNul: 0, bytesMax: 0 };
    return { column, ...counts, fits: [], declared: { type, conversion: { kind: "as-is" }, why: null } };
  };
  const beside = { rowsEstimated: 0, uniques: [], indexes: [], foreignKeys: [], notes: [] };
  const catalog: SourceCatalog = { tables: [{ description, ...beside }], refused: [] };
  const profiles = new Map([[table, [profile("id", "bigint"), profile("v", "text")]]]);
  const settings = { tables: new Map(), onlyListedTables: false, target: { url: null, schema: "public" } };
  const { plan } = makePlan({ pipeline, prefix: pipeline, settings, catalog, profiles, now: new Date(0) });
  return new ToldKeys(directory.told, new ReadableTables(directory, { pipeline, plan }), () => Promise.reject(new Error("nobody asks")));
}

/** As a cycle tells them, in lines of `perLine`; `row` null: deleted. */
function tell(after: number, changes: readonly (readonly [id: number, row: string | null])[], perLine = 100): number {
  const first = after + 1;
  const end = first + changes.length;
  log.batch(after, end);
  for (let i = 0; i < changes.length; i += perLine) {
    const page = changes.slice(i, i + perLine);
    const json = page.map(([id, row], j) => [
      first + i + j,
      row === null ? "d" : "u",
      [String(id)],
      row === null ? null : [String(id), row],
    ]);
    log.rows(1, { from: first + i, until: first + i + page.length }, JSON.stringify(json));
  }
  log.end(end);
  return end;
}

const numberOf = ({ key: [id] }: RowName): string => (typeof id === "bigint" ? id.toString() : "");
const at = (order: number): ReturnType<typeof position> => position(1, order);
async function keysOf(keys: ToldKeys, after: number, upTo: number): Promise<readonly RowName[]> {
  const found = new Map<string, RowName>();
  for await (const page of keys.changedKeys({ after: at(after), upTo: at(upTo) }, never)) for (const name of page) found.set(name.id, name);
  return [...found.values()];
}

/** Value of each row then; "absent", or "untold" when nothing is said of it. */
async function then(keys: ToldKeys, rows: readonly RowName[], after: number, upTo: number): Promise<ReadonlyMap<string, string>> {
  const told = await keys.changedRows(table, rows, { after: at(after), upTo: at(upTo) }, never);
  return new Map(
    rows.map((name) => {
      const row = told.get(name.id);
      return [numberOf(name), row === undefined ? "untold" : row.kind === "row" ? String(row.row.at(-1)) : row.kind];
    }),
  );
}

test("of each row the last change up to the position counts, whatever came before and comes after", async () => {
  const first = tell(
    0,
    [
      [1, "a"],
      [2, "a"],
      [3, "a"],
      [4, "a"],
    ],
    2,
  );
  const second = tell(
    first,
    [
      [1, "b"],
      [2, null],
    ],
    2,
  );
  const third = tell(
    second,
    [
      [1, "c"],
      [2, "c"],
      [9, "c"],
    ],
    2,
  );
  const keys = opened();
  const rows = await keysOf(keys, 0, third);
  expect(new Set(rows.map(numberOf))).toEqual(new Set(["1", "2", "3", "4", "9"]));
  expect([...(await then(keys, rows, 0, second))]).toEqual([
    ["1", "b"],
    ["2", "absent"],
    ["3", "a"],
    ["4", "a"],
    ["9", "untold"],
  ]);
  expect([...(await then(keys, rows, first, third))]).toEqual([
    ["1", "c"],
    ["2", "c"],
    ["3", "untold"],
    ["4", "untold"],
    ["9", "c"],
  ]);
  expect([...(await then(keys, rows, second, third - 2)).values()]).toEqual(["c", "c", "untold", "untold", "untold"]);
});

test("to ask about all of a backlog in steps parses each of its lines a few times, not once per step", async () => {
  const [lines, perLine, steps] = [120, 50, 40];
  const ids = Array.from({ length: lines * perLine }, (_, i): readonly [number, string] => [i, `v${i}`]);
  const end = tell(0, ids, perLine);
  const keys = opened();
  for (let step = 0; step < steps; step++) {
    const from = Math.floor((step * ids.length) / steps);
    const until = Math.floor(((step + 1) * ids.length) / steps);
    const rows = await keysOf(keys, from, until);
    expect(rows).toHaveLength(until - from);
    const told = await then(keys, rows, from, end);
    expect([...told.values()]).toEqual(rows.map((name) => `v${numberOf(name)}`));
  }
  // Once for the names, and in each step for the keys and for the rows, with the lines that two steps share.
  expect(keys.parsed).toBeLessThanOrEqual(3 * lines + 2 * steps);
});

test("rows that change over and over are found in the newest lines alone", async () => {
  const [rounds, perLine] = [60, 50];
  const round = (n: number): readonly (readonly [number, string])[] => Array.from({ length: perLine }, (_, i) => [i, `round ${n}`]);
  let end = 0;
  for (let n = 1; n <= rounds; n++) end = tell(end, round(n), perLine);
  const keys = opened();
  const rows = await keysOf(keys, 0, end);
  const before = keys.parsed;
  for (let step = 0; step < 10; step++) expect(new Set((await then(keys, rows, 0, end)).values())).toEqual(new Set([`round ${rounds}`]));
  expect(keys.parsed - before).toBe(10);
});

test("what is told while somebody asks is known to the next question, however large its lines are", async () => {
  const large = "é\t".repeat(300_000);
  const first = tell(
    0,
    [
      [1, large],
      [2, "small"],
    ],
    1,
  );
  const keys = opened();
  const rows = await keysOf(keys, 0, first);
  expect((await then(keys, rows, 0, first)).get("1")).toBe(large);
  const second = tell(
    first,
    [
      [2, large],
      [3, "new"],
    ],
    1,
  );
  expect([...(await then(keys, await keysOf(keys, 0, second), 0, second)).values()]).toEqual([large, large, "new"]);
});
