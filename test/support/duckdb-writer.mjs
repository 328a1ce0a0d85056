/** An application that holds a DuckDB file open for writing and does what it is told, statement by statement. */
import { DuckDBInstance } from "@duckdb/node-api";

const [file, storage = "", rowGroupRows = "0"] = process.argv.slice(2);
const options = [
  ...(storage === "" ? [] : [`STORAGE_VERSION '${storage}'`]),
  ...(rowGroupRows === "0" ? [] : [`ROW_GROUP_SIZE ${rowGroupRows}`]),
];
const instance = await DuckDBInstance.create(":memory:", { threads: "2", memory_limit: "800MB" });
const connection = await instance.connect();
await connection.run(`ATTACH '${file}' AS app ${options.length === 0 ? "" : `(${options.join(", ")})`}; USE app`);
let turn = Promise.resolve();
process.on("message", (call) => {
  turn = turn.then(() => serve(call));
});
process.once("disconnect", () => process.exit(0));

async function serve({ id, sql }) {
  try {
    const reader = await connection.runAndReadAll(sql);
    const types = reader.columnTypes().map(String);
    process.send({ id, rows: reader.getRows().map((row) => row.map((value, i) => plain(value, types[i]))) });
  } catch (thrown) {
    process.send({ id, error: thrown.message });
  }
}

/** As the contracts have it, found out without any of the product's code. */
function plain(value, type) {
  if (value === null || typeof value === "string" || typeof value === "boolean") return value;
  if (typeof value === "bigint") return /HUGEINT|UBIGINT|BIGNUM/.test(type) ? value.toString() : value;
  if (typeof value === "number") return /FLOAT|DOUBLE/.test(type) ? value : BigInt(value);
  if (type === "BLOB") return value.bytes;
  if (type === "DATE") return BigInt(value.days);
  if (type === "TIMESTAMP_S") return value.seconds * 1_000_000n;
  if (type === "TIMESTAMP_MS") return value.millis * 1_000n;
  if (type === "TIMESTAMP_NS") return value.nanos;
  if (type.startsWith("TIMESTAMP")) return value.micros;
  return value.toString();
}
process.send({ id: 0 });
