/** What is said of a way back before it is opened, on a server that cannot open one. */
import pg from "pg";
import { expect, test } from "vitest";
import { openWayBackDesk } from "../../../../connectors/postgres/source/desk.js";
import { pipelineId, theGroup } from "../../../../core/vocabulary/ids.js";
import { withDatabase } from "../../../support/postgres.js";
import { PostgresServer } from "../../../support/postgres-server.js";
import { wayTable } from "../../../support/way-back.js";

const never = new AbortController().signal;

test("each obstacle has its name and its remedy, and nothing has to be prepared", async () => {
  await using server = await PostgresServer.start({ wal_level: "replica", max_replication_slots: "0", max_slot_wal_keep_size: "64MB" });
  await using database = await server.database();
  await database.query("CREATE TABLE t (id bigint PRIMARY KEY, large text)");
  await database.query("CREATE ROLE guest LOGIN PASSWORD 'guest'");
  const guest = new URL(withDatabase(database.url, new URL(database.url).pathname.slice(1)));
  guest.username = "guest";
  guest.password = "guest";
  const desk = openWayBackDesk({ url: guest.href, pipeline: pipelineId("shop") });
  const findings = await desk.findings(theGroup, [wayTable("t", { id: "bigint", large: "text" })], never);
  expect(findings.map(({ name, severity }) => `${name} ${severity}`)).toEqual([
    "wal-level error",
    "slots error",
    "senders ok",
    "role error",
    "publication error",
    "owner error",
    "identity info",
    "kept-log ok",
  ]);
  expect(findings.filter(({ severity, fix }) => severity === "error" && fix === "")).toEqual([]);
  expect(await desk.obstacles(theGroup, never)).toHaveLength(4);
  const client = new pg.Client({ connectionString: database.url });
  await client.connect();
  const { rows } = await client.query("SELECT c.relreplident FROM pg_class AS c WHERE c.relname = 't'");
  await client.end();
  expect(rows).toEqual([{ relreplident: "d" }]);
});
