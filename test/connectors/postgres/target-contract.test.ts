import { connectTarget } from "../../../connectors/postgres/connect.js";
import { targetContract } from "../../contracts/target-contract.js";
import { contractPipeline, never } from "../../contracts/target-fixtures.js";
import { freshDatabase } from "../../support/postgres.js";
import { readRows } from "./context.js";

targetContract("PostgreSQL", async () => {
  const database = await freshDatabase();
  return {
    connect: () => connectTarget({ url: database.url, pipeline: contractPipeline }, never),
    rows: (table) => readRows(database, table),
    [Symbol.asyncDispose]: () => database[Symbol.asyncDispose](),
  };
});
