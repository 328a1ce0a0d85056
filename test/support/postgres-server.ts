/** A PostgreSQL server of a test's own, for tests that kill the server itself. */
import { mkdtempSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import pg from "pg";
import { type EmbeddedPostgres, removeEmbeddedPostgres, startEmbeddedPostgres } from "../../connectors/postgres/embedded.js";
import { isAlive } from "./is-alive.js";
import { freePort } from "./ports.js";
import { freshDatabase, type TestDatabase } from "./postgres.js";

/** `kill`: the postmaster alone dies, and its sessions notice. `immediate`: all of them at once, without a checkpoint. Both recover from the log. */
export type ServerEnd = "kill" | "immediate";

type Settings = Readonly<Record<string, string>>;

export class PostgresServer implements AsyncDisposable {
  readonly #directory: string;
  readonly #port: number;
  readonly #settings: Settings;
  #running: EmbeddedPostgres;

  static async start(settings: Settings = {}): Promise<PostgresServer> {
    const directory = mkdtempSync(join(tmpdir(), "tailrace-server-"));
    const port = await freePort();
    return new PostgresServer(directory, port, { settings, running: await launch(directory, port, settings) });
  }

  private constructor(
    directory: string,
    port: number,
    { settings, running }: { readonly settings: Settings; readonly running: EmbeddedPostgres },
  ) {
    this.#settings = settings;
    this.#directory = directory;
    this.#port = port;
    this.#running = running;
  }

  /** Stays the same when the server comes back. */
  get url(): string {
    return this.#running.url.reveal();
  }

  get address(): { readonly host: string; readonly port: number } {
    return { host: "127.0.0.1", port: this.#port };
  }

  database(): Promise<TestDatabase> {
    return freshDatabase(this.url);
  }

  /** Of the server's files: what it must be able to read and write. */
  async owner(): Promise<{ readonly uid: number; readonly gid: number }> {
    const [row] = await this.query<{ data_directory: string }>("SHOW data_directory");
    const { uid, gid } = statSync(row?.data_directory ?? "");
    return { uid, gid };
  }

  /** In a session of its own, as an administrator. */
  async query<T>(sql: string): Promise<readonly T[]> {
    const client = new pg.Client({ connectionString: this.url });
    await client.connect();
    try {
      return (await client.query(sql)).rows as T[];
    } finally {
      await client.end();
    }
  }

  end(how: ServerEnd): void {
    process.kill(this.#running.pid, how === "kill" ? "SIGKILL" : "SIGQUIT");
  }

  /** Returns when it takes connections: it has recovered. */
  async restart(): Promise<void> {
    while (isAlive(this.#running.pid)) await new Promise((resolve) => setTimeout(resolve, 20));
    const ended = this.#running;
    this.#running = await launch(this.#directory, this.#port, this.#settings);
    // Its entry among the server's users goes; the new one keeps the server running.
    await ended.stop();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#running.stop();
    await removeEmbeddedPostgres(this.#directory);
  }
}

/** Kills take processes away, never the machine: without fsync nothing is lost that PostgreSQL has written. */
const launch = (directory: string, port: number, settings: Settings): Promise<EmbeddedPostgres> =>
  startEmbeddedPostgres({ directory, port, settings: { fsync: "off", max_connections: "60", ...settings } });
