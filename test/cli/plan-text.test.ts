/** The text of a plan, to the letter: people compare two of them, and so may a script. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import Database from "better-sqlite3";
import { afterEach, beforeEach, expect, it } from "vitest";
import type { Paint } from "../../cli/output/output.js";
import { planText, refusalsOf } from "../../cli/pipeline/plan-text.js";
import type { Proposal } from "../../cli/pipeline/proposal.js";
import { surveySource } from "../../cli/pipeline/survey.js";
import { checkSettings } from "../../cli/settings/load-settings.js";
import { parseYaml } from "../../cli/settings/read-yaml.js";
import { openSqliteInspector } from "../../connectors/sqlite/inspect/inspector.js";
import { comparePlans } from "../../core/plan/diff-plan.js";
import { theGroup } from "../../core/vocabulary/ids.js";

const same = (text: string): string => text;
const plain: Paint = { bold: same, dim: same, red: same, green: same, yellow: same, cyan: same };

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "tailrace-plan-"));
});
afterEach(() => {
  rmSync(directory, { recursive: true, force: true });
});

const yaml = `pipeline: shop
source: { kind: sqlite, path: shop.db }
tables:
  orders:
    to: sales.orders
    columns:
      placed: { to: placed_at, type: timestamptz, from: epoch-ms }
      legacy: { drop: true }
      origin: { constant: expenses-v1 }
      total: { type: "numeric(6,2)" }
  "odd \\u001b[31m": {}
`;

async function proposalOf(): Promise<Proposal> {
  const path = join(directory, "shop.db");
  const database = new Database(path);
  database.exec(`CREATE TABLE orders (id INTEGER PRIMARY KEY, placed INTEGER NOT NULL, total REAL, legacy TEXT, note TEXT UNIQUE);
    CREATE TABLE "odd \u001b[31m" (k TEXT PRIMARY KEY NOT NULL);
    CREATE TABLE left_alone (id INTEGER PRIMARY KEY);
    INSERT INTO orders VALUES (1, 1700000000000, 1.5, 'x', 'a'), (2, 1700000000001, 123456.5, 'x', 'b')`);
  database.close();
  const { settings } = checkSettings(parseYaml(join(directory, "tailrace.yaml"), yaml), {});
  using inspector = openSqliteInspector(path, { group: theGroup });
  const survey = await surveySource(inspector, settings, { applied: null, census: true, now: new Date(0), onTable: () => {} });
  const topics = [{ topic: "shop.cuts", exists: false }];
  return {
    survey,
    differences: comparePlans({ ...survey.plan, tables: [] }, survey.plan),
    sourceSql: ["a", "b"],
    targetSql: ["c"],
    topics,
  };
}

it("says tables, mapping, risks and work in one fixed order, and lets no name reach the terminal raw", async () => {
  const proposal = await proposalOf();
  const places = { source: "shop.db", log: "embedded log", target: "embedded PostgreSQL" };
  const text = planText(proposal, { pipeline: "shop", prefix: "shop", places }, plain);
  expect(text).not.toContain("\u001b");
  expect(text).toMatchInlineSnapshot(`
    "pipeline shop
      source shop.db
      log    embedded log
      target embedded PostgreSQL

    odd \\u001b[31m → public.odd \\u001b[31m  topic shop.odd___31m-930d78a7, about 0 rows
      column  source  target
      k       TEXT    text    key, not null

    orders → sales.orders  topic shop.orders, about 2 rows
      column     source          target
      id         INTEGER         bigint                    key, not null
      placed_at  placed INTEGER  timestamp with time zone  not null, epoch-ms
      total      REAL            numeric(6,2)
      note       TEXT            text
      origin     -               text                      constant, on insert
      unique orders_note_key (note)
      left out: legacy

    error   orders.total: 1 value would stop the pipeline: a number with more than 4 digits before the point  [value.range]

    to do  target 1 statement, log 1 new topic, source 2 statements  (--print-sql shows the SQL)
      + odd \\u001b[31m: table public.odd \\u001b[31m
      + orders: table sales.orders"
  `);
  expect(refusalsOf(proposal)).toEqual([
    { table: "orders", column: "total", code: "value.range", reason: expect.any(String) as unknown, count: 1 },
  ]);
});
