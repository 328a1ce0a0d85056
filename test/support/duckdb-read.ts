/** Looks at a DuckDB file that nobody has open, with DuckDB itself and none of the product's code. */
import { DuckDBInstance } from "@duckdb/node-api";

/** Every value as DuckDB prints it. */
export async function readDuckDb(path: string, sql: string): Promise<(string | null)[][]> {
  const instance = await DuckDBInstance.create(path, { access_mode: "READ_ONLY" });
  try {
    const connection = await instance.connect();
    const reader = await connection.runAndReadAll(sql);
    const rows = reader.getRows().map((row) => row.map((value) => (value === null ? null : String(value))));
    connection.closeSync();
    return rows;
  } finally {
    instance.closeSync();
  }
}
