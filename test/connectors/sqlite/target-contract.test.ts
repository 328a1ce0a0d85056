import { openSqliteTarget } from "../../../connectors/sqlite/target/open-target.js";
import { targetContract } from "../../contracts/target-contract.js";
import { contractPipeline, type TargetContext } from "../../contracts/target-fixtures.js";
import { readRows } from "./target-context.js";
import { SourceFile } from "../../support/sqlite.js";

const ddl = `CREATE TABLE parent (id INTEGER PRIMARY KEY, name TEXT);
  CREATE TABLE child (id INTEGER PRIMARY KEY, parent INTEGER REFERENCES parent (id) ON DELETE CASCADE, code TEXT UNIQUE);
  CREATE TABLE pair (a TEXT NOT NULL, b INTEGER NOT NULL, value TEXT, PRIMARY KEY (a, b));`;

const traits = {
  builds: false,
  constraints: { unique: "child.code", foreignKey: "child(parent) REFERENCES parent(id)" },
  refuses: "value.no-way-back",
  traces: 2,
} as const;

targetContract("SQLite", makeContext, traits);

async function makeContext(): Promise<TargetContext> {
  const file = await SourceFile.of(ddl);
  return {
    connect: () =>
      Promise.resolve(
        openSqliteTarget({ path: file.path, pipeline: contractPipeline, lockDirectory: file.directory, direction: "forward" }),
      ),
    rows: (table) => Promise.resolve(readRows(file, table)),
    [Symbol.asyncDispose]: () => file[Symbol.asyncDispose](),
  };
}
