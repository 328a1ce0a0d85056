/** A PostgreSQL server of a test's own, for tests that kill the server itself. */
import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type EmbeddedPostgres, removeEmbeddedPostgres, startEmbeddedPostgres } from "../../connectors/postgres/embedded.js";
import { freePorts } from "./kafka.js";

/** `kill`: the postmaster alone dies, and its sessions notice. `immediate`: all of them at once, without a checkpoint. Both recover from the log. */
export type ServerEnd = "kill" | "immediate";

export class PostgresServer implements AsyncDisposable {
  readonly #directory: string;
  readonly #port: number;
  #running: EmbeddedPostgres;

  static async start(): Promise<PostgresServer> {
    const directory = mkdtempSync(join(tmpdir(), "tailrace-server-"));
    const [port = 0] = await freePorts(1);
    return new PostgresServer(directory, port, await launch(directory, port));
  }

  private constructor(directory: string, port: number, running: EmbeddedPostgres) {
    this.#directory = directory;
    this.#port = port;
    this.#running = running;
  }

  /** Stays the same when the server comes back. */
  get url(): string {
    return this.#running.url.reveal();
  }

  end(how: ServerEnd): void {
    process.kill(this.#running.pid, how === "kill" ? "SIGKILL" : "SIGQUIT");
  }

  /** Returns when it takes connections: it has recovered. */
  async restart(): Promise<void> {
    while (isThere(this.#running.pid)) await new Promise((resolve) => setTimeout(resolve, 20));
    const ended = this.#running;
    this.#running = await launch(this.#directory, this.#port);
    // Its entry among the server's users goes; the new one keeps the server running.
    await ended.stop();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#running.stop();
    await removeEmbeddedPostgres(this.#directory);
  }
}

/** Kills take processes away, never the machine: without fsync nothing is lost that PostgreSQL has written. */
const launch = (directory: string, port: number): Promise<EmbeddedPostgres> =>
  startEmbeddedPostgres({ directory, port, settings: { fsync: "off", max_connections: "60" } });

function isThere(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
