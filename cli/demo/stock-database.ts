/** The made-up inventory: five tables with DuckDB's own types, filled before anything of ours looks at them. */
import { Database } from "../../connectors/duckdb/engine/database.js";

export const shopsCount = 12;
export const productsCount = 200;
/** What all shops have together. Every transaction of the application keeps it. */
export const pieces = shopsCount * productsCount * 100;

export const stockTables = ["shops", "products", "stock", "movements", "sales"] as const;

const schema = (sales: number): string => `
CREATE TABLE shops (code VARCHAR PRIMARY KEY, name VARCHAR NOT NULL, opened DATE, place STRUCT(city VARCHAR, floor TINYINT));
INSERT INTO shops SELECT printf('S%02d', i), ['Zürich', '東京', 'O''Hare', 'Đà Nẵng'][1 + i % 4], DATE '2001-02-03' + (i * 400)::INTEGER, {city: 'c' || i, floor: i % 3}
  FROM range(1, ${shopsCount + 1}) AS r(i);
CREATE TABLE products (id INTEGER PRIMARY KEY, name VARCHAR NOT NULL, price DECIMAL(18,2) NOT NULL, class ENUM('A', 'B', 'C'), tags VARCHAR[], code UUID, weight DOUBLE);
INSERT INTO products SELECT i, 'product ' || i, i * 1.37, ['A', 'B', 'C'][1 + i % 3], CASE WHEN i % 4 = 0 THEN NULL ELSE ['t' || i % 5, 'new'] END,
  md5('p' || i)::UUID, i / 7 FROM range(1, ${productsCount + 1}) AS r(i);
CREATE INDEX products_by_class ON products (class);
CREATE TABLE stock (shop VARCHAR, product INTEGER, pieces INTEGER NOT NULL, expires TIMESTAMP, PRIMARY KEY (shop, product));
INSERT INTO stock SELECT shops.code, id, 100, CASE WHEN id % 3 = 0 THEN 'infinity' ELSE TIMESTAMP '2030-01-01 00:00:00.000001' + to_days(id) END FROM shops, products;
CREATE TABLE movements (id BIGINT PRIMARY KEY, giver VARCHAR NOT NULL, taker VARCHAR NOT NULL, product INTEGER NOT NULL, pieces INTEGER NOT NULL, made TIMESTAMPTZ NOT NULL);
CREATE TABLE sales (shop VARCHAR, product INTEGER, sold HUGEINT, at_hour TIME, paid DECIMAL(38,4));
INSERT INTO sales SELECT printf('S%02d', 1 + i % ${shopsCount}), 1 + i % ${productsCount}, i % 9, TIME '08:00:00' + to_minutes(i % 600), i / 8 FROM range(${sales}) AS r(i);
`;

/** Without limits of ours: it is the application's own. */
export const openStock = (path: string, spillDirectory: string): Promise<Database> =>
  Database.open(path, { memoryMb: 500, threads: 1, spillDirectory });

/** Returns how many rows there are. */
export async function createStock(path: string, sales: number): Promise<number> {
  await using database = await openStock(path, `${path}.spill`);
  await database.run(schema(sales));
  let rows = 0;
  for (const table of stockTables) {
    const [counted] = await database.rows<{ n: bigint }>(`SELECT count(*) AS n FROM ${table}`);
    rows += Number(counted?.n ?? 0);
  }
  return rows;
}
