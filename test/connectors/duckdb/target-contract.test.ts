import { openDuckDbTarget } from "../../../connectors/duckdb/target/open-target.js";
import type { TablePlan } from "../../../core/contracts/plan.js";
import { targetContract } from "../../contracts/target-contract.js";
import { contractPipeline, type TargetContext } from "../../contracts/target-fixtures.js";
import { DuckDbFile, engineProgram } from "../../support/duckdb.js";
import { readDuckDb } from "../../support/duckdb-read.js";

const ddl = `CREATE TABLE parent (id BIGINT PRIMARY KEY, name VARCHAR);
  CREATE TABLE child (id BIGINT PRIMARY KEY, parent BIGINT REFERENCES parent (id), code VARCHAR UNIQUE);
  CREATE TABLE pair (a VARCHAR, b BIGINT, value VARCHAR, PRIMARY KEY (a, b))`;

const traits = {
  builds: false,
  constraints: { unique: "child.code", foreignKey: "child(parent) REFERENCES parent(id)" },
  refuses: "value.no-way-back",
  traces: 2,
} as const;

targetContract("DuckDB", makeContext, traits);

async function makeContext(): Promise<TargetContext> {
  const file = await DuckDbFile.of(ddl, { pipeline: contractPipeline });
  await file.closeApplication();
  const { path, stateDirectory } = file;
  const options = { path, stateDirectory, pipeline: contractPipeline, direction: "forward", program: engineProgram } as const;
  return {
    connect: () => Promise.resolve(openDuckDbTarget({ ...options, home: () => path })),
    rows: (table) => readDuckDb(path, selectOf(table)),
    [Symbol.asyncDispose]: () => file[Symbol.asyncDispose](),
  };
}

function selectOf(table: TablePlan): string {
  const columns = table.columns.map(({ target }) => `"${target}"::VARCHAR`).join(", ");
  return `SELECT ${columns} FROM "${table.target.name}" ORDER BY ${table.key.map((name) => `"${name}"`).join(", ")}`;
}
