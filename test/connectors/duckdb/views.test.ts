/** Views in PostgreSQL's words: what is said there gives the same rows; what is not known to is left out, with the reason. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { besideOf } from "../../../connectors/duckdb/inspect/beside.js";
import { listSchema } from "../../../connectors/duckdb/inspect/schema.js";
import { Database } from "../../../connectors/duckdb/engine/database.js";
import type { TablePlan } from "../../../core/contracts/plan.js";
import { viewFinding } from "../../../core/plan/plan-views.js";
import { tableId, theGroup } from "../../../core/vocabulary/ids.js";
import { freshDatabase, type TestDatabase } from "../../support/postgres.js";

const rows = `INSERT INTO stock VALUES ('t01', 1, 0, true, CURRENT_DATE + 10), ('t01', 2, 5, false, CURRENT_DATE + 400), ('T02', 3, NULL, NULL, NULL), ('t02', 4, 7, false, CURRENT_DATE + 30);
  INSERT INTO products VALUES (1, 'bread', 2.50), (2, 'milk', 1.20), (3, 'salt', NULL);`;

let folder = "";
let database: Database;
let target: TestDatabase;
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "tailrace-views-"));
  database = await Database.open(":memory:", { memoryMb: 300, threads: 1, spillDirectory: folder });
  await database.run("ATTACH ':memory:' AS src; USE src");
  await database.run(`CREATE TABLE stock (shop VARCHAR, product INTEGER, "Quantity" INTEGER, reorder BOOLEAN, expires DATE, PRIMARY KEY (shop, product));
    CREATE TABLE products (id INTEGER PRIMARY KEY, name VARCHAR, price DECIMAL(18,2)); CREATE SCHEMA s2; CREATE TABLE s2.other (id INTEGER); ${rows}`);
  target = await freshDatabase();
  await target.query(`CREATE SCHEMA shop; CREATE TABLE shop.stock_now (shop text, product integer, "Quantity" integer, reorder boolean, expires date);
    CREATE TABLE public.products (id integer, name text, price numeric(18,2)); ${rows.replaceAll("INTO stock", "INTO shop.stock_now")}`);
});
afterAll(async () => {
  await database[Symbol.asyncDispose]();
  await target[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true });
});

function planned(
  source: string,
  schema: string,
  name: string,
  columns: readonly string[],
  renamed: Readonly<Record<string, string>> = {},
): TablePlan {
  return {
    source: tableId(source),
    group: theGroup,
    target: { schema, name },
    columns: columns.map((column) => ({
      source: column,
      target: renamed[column] ?? column,
      type: "text",
      nullable: true,
      conversion: { kind: "as-is" },
      written: "always",
      constant: null,
    })),
    key: ["id"],
    indexes: [],
    foreignKeys: [],
    dropped: [],
  };
}
const stock = planned("stock", "shop", "stock_now", ["shop", "product", "Quantity", "reorder", "expires"]);
const products = planned("products", "public", "products", ["id", "name", "price"]);

async function said(definition: string, tables: readonly TablePlan[] = [stock, products]): Promise<string> {
  await database.run(`CREATE OR REPLACE VIEW v AS ${definition}`);
  const view = besideOf(await listSchema(database)).find(({ name }) => name === "v");
  if (view === undefined) throw new Error("the view is not listed");
  return view.kind === "other" ? view.what : viewFinding(view, tables).what;
}

test.each([
  `SELECT s.shop, s.product, CASE WHEN s.quantity <= 0 THEN 'none' WHEN s.reorder THEN 'reorder' ELSE 'expires' END AS alert FROM stock s
   WHERE s.quantity <= 0 OR s.reorder = true OR s.expires <= CURRENT_DATE + INTERVAL 30 DAY`,
  `SELECT p.id AS product, p.name, coalesce(s.quantity, 0) AS quantity FROM products p LEFT JOIN stock s ON s.product = p.id AND s.shop = 't01'`,
  "SELECT shop, count(*) AS n, sum(quantity) FILTER (WHERE quantity > 1) AS many FROM stock GROUP BY shop HAVING count(*) > 0",
  "SELECT stock.product, row_number() OVER (PARTITION BY shop ORDER BY stock.expires DESC, product) AS nth FROM stock",
  "WITH dear AS (SELECT id, price FROM products WHERE price > 2) SELECT dear.id, price * 2 AS twice FROM dear WHERE EXISTS (SELECT 1 FROM main.stock AS o WHERE o.product = dear.id)",
  "SELECT id, name || ' - it''s' AS label FROM products WHERE name LIKE '%a%' AND id IN (1, 3) AND price IS NULL",
  "SELECT a.id FROM products a, products b WHERE a.id = b.id",
])("%s", async (definition) => {
  const finding = await said(definition);
  expect(finding).toMatch(/^View 'v' is not made, and can be: CREATE VIEW "v" AS /);
  await target.query("DROP VIEW IF EXISTS v");
  await target.query(finding.replace("View 'v' is not made, and can be: ", ""));
  const theirs = (await target.query<Record<string, unknown>>("SELECT to_jsonb(v)::text AS row FROM v")).map(({ row }) =>
    JSON.stringify(JSON.parse(String(row))),
  );
  const ours = (await database.rows<{ row: string }>("SELECT to_json(v)::VARCHAR AS row FROM v")).map(
    ({ row }) => JSON.parse(row) as Record<string, unknown>,
  );
  const sorted = (row: Record<string, unknown>): string =>
    JSON.stringify(Object.fromEntries(Object.entries(row).toSorted(([a], [b]) => a.length - b.length || (a < b ? -1 : 1))));
  expect(theirs.toSorted()).toEqual(ours.map(sorted).toSorted());
});

test.each([
  ["SELECT * FROM products", "it selects all columns (*)"],
  ["SELECT id / 2 AS half FROM products", "it uses /, which divides whole numbers otherwise"],
  ["SELECT lower(name) AS n FROM products", "it calls lower, which is not known to mean the same in PostgreSQL"],
  ["SELECT shop FROM stock GROUP BY ALL", "it groups or orders by ALL"],
  ["SELECT name::DATE AS d FROM products", "it casts to DATE, whose texts and roundings may differ"],
  ["SELECT expires + to_days(product) AS d FROM stock", "its interval is made by to_days of something that is not a number"],
  ["SELECT id FROM s2.other", "it reads 's2.other', which is not in the plan"],
])("%s is left out", async (definition, why) => {
  expect(await said(definition)).toBe(`View 'v' is not carried over: ${why}`);
});

test("a table whose columns are called otherwise at the target keeps a view out; sequences and macros are named", async () => {
  const renamed = planned("products", "public", "products", ["id", "name"], { name: "title" });
  expect(await said("SELECT id FROM products", [renamed])).toBe(
    "View 'v' is not carried over: column 'name' of 'products' has another name at the target",
  );
  await database.run("CREATE SEQUENCE numbers START 7; CREATE MACRO plus_one(a) AS a + 1; CREATE VIEW above AS SELECT id FROM v");
  const others = besideOf(await listSchema(database)).flatMap((it) => (it.kind === "other" ? [it.what] : []));
  expect(others).toEqual([
    "View 'above' is not carried over: it reads the view v",
    "Sequence 'numbers' is not carried over: it has given no number yet and begins at 7, in steps of 1",
    "Macro 'plus_one' is not carried over: PostgreSQL has functions instead",
  ]);
  await database.run("DROP VIEW above; DROP SEQUENCE numbers; DROP MACRO plus_one");
});
