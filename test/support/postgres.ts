/**
 * A fresh database per test, on an embedded PostgreSQL shared by all workers of the run (first in starts it, last out removes it), or on
 * the server of `TAILRACE_TEST_PG_URL`, whose role must be allowed to create databases.
 */
import { randomBytes } from "node:crypto";
import { tmpdir } from "node:os";
import { join } from "node:path";
import pg from "pg";
import { afterAll } from "vitest";
import { type EmbeddedPostgres, removeEmbeddedPostgres, startEmbeddedPostgres } from "../../connectors/postgres/embedded.js";
import { until } from "./oracles/until.js";

export interface TestDatabase extends AsyncDisposable {
  readonly url: string;
  /** Rows as objects; own plain connection, default session settings. */
  query<T = Record<string, unknown>>(sql: string, values?: readonly unknown[]): Promise<T[]>;
}

const directory = join(tmpdir(), `tailrace-test-postgres-${process.ppid}`);
let server: Promise<EmbeddedPostgres> | null = null;

// Registered once per test file that imports this. A run is many processes one after the other: each leaves when its file is done.
afterAll(async () => {
  if (server === null) return;
  await (await server).stop();
  server = null;
  await removeEmbeddedPostgres(directory);
});

/** Of a server on which databases may be created. */
export async function postgresServerUrl(): Promise<string> {
  const given = process.env["TAILRACE_TEST_PG_URL"];
  if (given !== undefined && given !== "") return given;
  // Tests kill sessions and processes, never the machine: without fsync a kill loses nothing.
  server ??= startEmbeddedPostgres({
    directory,
    settings: { fsync: "off", max_connections: "200", max_replication_slots: "50", max_wal_senders: "50" },
  });
  return (await server).url.reveal();
}

/** `server`: url of another one than the shared. */
export async function freshDatabase(server?: string): Promise<TestDatabase> {
  const admin = server ?? (await postgresServerUrl());
  const name = `tailrace_test_${randomBytes(8).toString("hex")}`;
  await once(admin, `CREATE DATABASE ${name} ENCODING 'UTF8' TEMPLATE template0`);
  const url = withDatabase(admin, name);
  const client = new pg.Client({ connectionString: url });
  // A test may end all sessions of its database, this one included; the next query then says so.
  client.on("error", () => {});
  await client.connect();
  return {
    url,
    query: async <T>(sql: string, values: readonly unknown[] = []): Promise<T[]> => {
      const result = values.length === 0 ? await client.query(sql) : await client.query(sql, [...values]);
      return result.rows as T[];
    },
    [Symbol.asyncDispose]: async () => {
      await client.end();
      await onceFree(() => dropSlots(admin, name));
      await onceFree(() => once(admin, `DROP DATABASE ${name} WITH (FORCE)`));
    },
  };
}

export function withDatabase(url: string, name: string): string {
  const parsed = new URL(url);
  parsed.pathname = `/${name}`;
  return parsed.href;
}

/** The server waits five seconds for sessions that it ends, and on a busy machine they may take longer to go. */
async function onceFree(work: () => Promise<void>): Promise<void> {
  let inUse: unknown = null;
  const isDone = (): Promise<boolean> =>
    work().then(
      () => true,
      (thrown: unknown) => {
        if ((thrown as { readonly code?: unknown }).code !== "55006") throw thrown;
        inUse = thrown;
        return false;
      },
    );
  await until(isDone, 60_000, () => String(inUse));
}

/** A database whose log somebody wants to read stays. */
async function dropSlots(admin: string, database: string): Promise<void> {
  const ofDatabase = `FROM pg_replication_slots WHERE database = '${database}'`;
  await once(admin, `SELECT pg_terminate_backend(active_pid, 5000) ${ofDatabase} AND active_pid IS NOT NULL`);
  await once(admin, `SELECT pg_drop_replication_slot(slot_name) ${ofDatabase}`);
}

async function once(url: string, sql: string): Promise<void> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    await client.query(sql);
  } finally {
    await client.end();
  }
}
