/** Where everything of one run lies: a folder, a PostgreSQL with settings as a server has them, a Kafka broker when one is asked for. */
import { execFile } from "node:child_process";
import { chmodSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import pg from "pg";
import { removeEmbeddedPostgres, startEmbeddedPostgres } from "../connectors/postgres/embedded.js";
import { kafkaJars } from "../test/support/kafka-jars.js";
import { type KafkaBroker, startKafka } from "../test/support/kafka.js";
import type { LogKind } from "./options.js";
import { childrenOf } from "./process-figures.js";

export interface BenchPlace extends AsyncDisposable {
  readonly folder: string;
  readonly postgresPid: number;
  readonly postgres: string;
  /** null: not asked for, or missing. */
  readonly kafka: KafkaBroker | null;
  /** Of those that were asked for. */
  readonly logs: readonly LogKind[];
  readonly skipped: readonly string[];
  /** A new database; returns its address. */
  database(name: string): Promise<string>;
}

/** fsync and synchronous_commit are on, as in the peers' measurements. */
const serverSettings = { shared_buffers: "1GB", max_wal_size: "8GB", checkpoint_timeout: "30min", maintenance_work_mem: "256MB" };

export async function openPlace(logs: readonly LogKind[]): Promise<BenchPlace> {
  const folder = mkdtempSync(join(tmpdir(), "tailrace-bench-"));
  chmodSync(folder, 0o755);
  const directory = join(folder, "postgres");
  const server = await startEmbeddedPostgres({ directory, settings: serverSettings });
  leaveNothingOnSignals(folder);
  const broker = logs.includes("kafka") ? await openKafka() : null;
  const url = server.url.reveal();
  const admin = await connect(url);
  const { rows } = await admin.query<{ version: string }>("SELECT version()");
  await admin.end();
  return {
    folder,
    postgresPid: server.pid,
    postgres: `${rows[0]?.version.split(" on ")[0] ?? "PostgreSQL"} (${Object.entries(serverSettings)
      .map((pair) => pair.join("="))
      .join(", ")}, fsync and synchronous_commit on)`,
    kafka: typeof broker === "string" ? null : broker,
    logs: logs.filter((log) => log !== "kafka" || (broker !== null && typeof broker !== "string")),
    skipped: typeof broker === "string" ? [`Kafka: ${broker}`] : [],
    database: (name) => createDatabase(url, name),
    [Symbol.asyncDispose]: async () => {
      if (broker !== null && typeof broker !== "string") await broker.stop();
      await server.stop();
      await removeEmbeddedPostgres(directory);
      rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
    },
  };
}

/** A run that is broken off takes its services and servers with it; the broker has a guard of its own. */
function leaveNothingOnSignals(folder: string): void {
  for (const [signal, status] of [
    ["SIGINT", 130],
    ["SIGTERM", 143],
  ] as const) {
    process.once(signal, () => {
      for (const pid of childrenOf(process.pid)) process.kill(pid, "SIGKILL");
      rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
      process.exit(status);
    });
  }
}

async function openKafka(): Promise<KafkaBroker | string> {
  const jars = await kafkaJars();
  return "missing" in jars ? jars.missing : await startKafka();
}

async function createDatabase(url: string, name: string): Promise<string> {
  const admin = await connect(url);
  await admin.query(`CREATE DATABASE ${name}`);
  await admin.end();
  const made = new URL(url);
  made.pathname = `/${name}`;
  return made.href;
}

export async function connect(connectionString: string, pipeline = false): Promise<pg.Client> {
  const client = new pg.Client({ connectionString, pipeline });
  await client.connect();
  return client;
}

const run = promisify(execFile);

/** null: it is not installed. */
export const findProgram = (name: string): Promise<string | null> =>
  run("which", [name]).then(
    ({ stdout }) => stdout.trim(),
    () => null,
  );
