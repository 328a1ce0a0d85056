import { connectTarget } from "../../../connectors/postgres/connect.js";
import { targetContract } from "../../contracts/target-contract.js";
import { contractPipeline, never, type TargetContext } from "../../contracts/target-fixtures.js";
import { freshDatabase } from "../../support/postgres.js";
import { readRows } from "./context.js";

const traits = {
  builds: true,
  constraints: { unique: "child_code_key", foreignKey: "child_parent_fkey" },
  refuses: "value.nul",
  traces: 4,
} as const;

targetContract("PostgreSQL", makeContext, traits);

async function makeContext(): Promise<TargetContext> {
  const database = await freshDatabase();
  return {
    connect: () => connectTarget({ url: database.url, pipeline: contractPipeline }, never),
    rows: (table) => readRows(database, table),
    [Symbol.asyncDispose]: () => database[Symbol.asyncDispose](),
  };
}
