import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { connectTarget } from "../../../connectors/postgres/connect.js";
import { Connection } from "../../../connectors/postgres/connection.js";
import { parseConnectionUrl } from "../../../connectors/postgres/connection-url.js";
import { asTargetError, withTargetErrors } from "../../../connectors/postgres/pg-errors.js";
import { TailraceError } from "../../../core/errors.js";
import { pipelineId } from "../../../core/vocabulary/ids.js";
import { freshDatabase, type TestDatabase, withDatabase } from "../../support/postgres.js";

const never = new AbortController().signal;

describe("errors of PostgreSQL", () => {
  let database: TestDatabase;
  let connection: Connection;
  beforeAll(async () => {
    database = await freshDatabase();
    await database.query("CREATE TABLE t (id bigint PRIMARY KEY, n integer NOT NULL CHECK (n > 0), s varchar(3), u uuid, b bytea)");
    await database.query("CREATE TABLE c (t bigint REFERENCES t DEFERRABLE)");
    await database.query("INSERT INTO t VALUES (1, 1)");
    connection = await Connection.open(parseConnectionUrl(database.url), { applicationName: "tailrace/test", pipelined: false });
  });
  afterAll(async () => {
    await connection[Symbol.asyncDispose]();
    await database[Symbol.asyncDispose]();
  });

  const secret = "s3cr3t";
  it.each([
    ["value.type", "22001", `INSERT INTO t VALUES (2, 2, '${secret}')`],
    ["value.range", "22003", "INSERT INTO t VALUES (2, 99999999999)"],
    ["value.time", "22007", `SELECT '${secret}'::date`],
    ["value.time", "22008", "SELECT '2026-02-30'::date"],
    ["value.type", "22P02", `SELECT '${secret}'::uuid`],
    ["value.json", "22P02", `SELECT '${secret}'::json`],
    ["value.encoding", "22021", "SELECT convert_from('\\xff', 'UTF8')"],
    ["value.json", "22030", "DO $$ BEGIN RAISE SQLSTATE '22030'; END $$"],
    ["target.refused", "22012", "SELECT 1 / 0"],
    ["value.null", "23502", "INSERT INTO t VALUES (2, NULL)"],
    ["target.constraint", "23503", "INSERT INTO c VALUES (99)"],
    ["target.constraint", "23505", "INSERT INTO t VALUES (1, 1)"],
    ["target.constraint", "23514", "INSERT INTO t VALUES (2, -1)"],
    ["target.constraint", "23001", "DO $$ BEGIN RAISE restrict_violation; END $$"],
    ["target.constraint", "23P01", "DO $$ BEGIN RAISE exclusion_violation; END $$"],
    ["target.constraint", "21000", "INSERT INTO t (id, n) VALUES (3, 3), (3, 4) ON CONFLICT (id) DO UPDATE SET n = excluded.n"],
    ["target.object-missing", "42P01", "SELECT FROM nowhere"],
    ["target.object-missing", "42703", "SELECT nothing FROM t"],
    ["target.object-missing", "42704", "SELECT NULL::no_such_type"],
    ["target.refused", "42601", "SELEC"],
    ["target.refused", "P0001", `DO $$ BEGIN RAISE 'it says ${secret}'; END $$`],
    ["target.unavailable", "40001", "DO $$ BEGIN RAISE serialization_failure; END $$"],
    ["target.unavailable", "40P01", "DO $$ BEGIN RAISE deadlock_detected; END $$"],
    ["target.unavailable", "53300", "DO $$ BEGIN RAISE too_many_connections; END $$"],
    ["target.full", "53100", "DO $$ BEGIN RAISE disk_full; END $$"],
    ["target.unavailable", "57014", "SET statement_timeout = 1; SELECT pg_sleep(9)"],
    ["target.unavailable", "57P03", "DO $$ BEGIN RAISE cannot_connect_now; END $$"],
    ["target.unavailable", "08006", "DO $$ BEGIN RAISE connection_failure; END $$"],
    ["target.privileges", "42501", "DO $$ BEGIN RAISE insufficient_privilege; END $$"],
  ])("%s is what SQLSTATE %s is called: %s", async (code, sqlstate, sql) => {
    const thrown = await withTargetErrors(() => connection.query(sql)).catch((error: unknown) => error);
    await connection.query("SET statement_timeout = 0");
    expect(thrown).toMatchObject({ code, where: { sqlstate } });
    const all = thrown instanceof TailraceError ? [thrown.message, thrown.stack, thrown.where, thrown.cause, String(thrown.cause)] : [];
    expect(JSON.stringify(all)).not.toContain(secret);
    expect(JSON.stringify(all)).not.toContain("Failing row");
  });

  it("names constraint, table and column", async () => {
    const thrown = await withTargetErrors(() => connection.query("INSERT INTO t VALUES (1, 1)")).catch((error: unknown) => error);
    expect(thrown).toMatchObject({ where: { schema: "public", table: "t", constraint: "t_pkey" } });
  });

  it("a server that is not there, a database that is not there, and a name that is not there are told apart", async () => {
    const open = (url: string) => connectTarget({ url, pipeline: pipelineId("p") }, never).catch((error: unknown) => error);
    const nobody = new URL(database.url);
    nobody.port = "1";
    expect(await open(nobody.href)).toMatchObject({ code: "target.unavailable" });
    expect(await open(withDatabase(database.url, "no_such_database"))).toMatchObject({
      code: "target.credentials",
      where: { sqlstate: "3D000" },
    });
    nobody.hostname = "no-such-host.invalid";
    expect(await open(`${nobody.href}?sslmode=disable`)).toMatchObject({ code: "target.unavailable" });
  });

  it("a server without TLS is refused when TLS is asked for", async () => {
    const url = `${database.url}?sslmode=verify-full`;
    await expect(connectTarget({ url, pipeline: pipelineId("p") }, never)).rejects.toMatchObject({ code: "target.tls" });
  });

  it("a database that is not UTF-8 is refused", async () => {
    const name = `latin_${Math.random().toString(36).slice(2)}`;
    await database.query(`CREATE DATABASE ${name} ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0`);
    const refused = connectTarget({ url: withDatabase(database.url, name), pipeline: pipelineId("p") }, never);
    await expect(refused).rejects.toMatchObject({ code: "target.encoding" });
    await database.query(`DROP DATABASE ${name} WITH (FORCE)`);
  });

  it("sessions mean the same whatever role and database say", async () => {
    await database.query(
      `DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET timezone = ''Asia/Tokyo''', current_database());
        EXECUTE format('ALTER DATABASE %I SET datestyle = ''German''', current_database());
        EXECUTE format('ALTER DATABASE %I SET synchronous_commit = off', current_database());
        EXECUTE format('ALTER DATABASE %I SET default_transaction_isolation = serializable', current_database()); END $$`,
    );
    await using strange = await Connection.open(parseConnectionUrl(database.url), { applicationName: "tailrace/test", pipelined: true });
    const settings = await strange.rows(
      "SELECT current_setting('timezone') AS tz, current_setting('datestyle') AS ds, current_setting('synchronous_commit') AS sc, current_setting('transaction_isolation') AS ti",
    );
    expect(settings).toEqual([{ tz: "UTC", ds: "ISO, YMD", sc: "on", ti: "read committed" }]);
  });

  it("lets bugs and aborts pass", () => {
    const bug = new RangeError("ours");
    expect(asTargetError(bug)).toBe(bug);
    expect(asTargetError("text")).toBe("text");
  });
});
