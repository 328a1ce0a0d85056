/** DuckDB as we use it: one connection, statements as text, few and small answers. The only file that knows the package. */
import type * as driver from "@duckdb/node-api";
import type { DuckDBConnection, DuckDBInstance } from "@duckdb/node-api";
import { type ErrorCode, TailraceError } from "../../../core/errors.js";

export interface DatabaseOptions {
  readonly memoryMb: number;
  readonly threads: number;
  /** Where sorts and joins that do not fit the memory go. */
  readonly spillDirectory: string;
}
type Cell = string | number | bigint | boolean | null;

export class Database implements AsyncDisposable {
  private constructor(
    private readonly instance: DuckDBInstance,
    private readonly connection: DuckDBConnection,
  ) {}

  /** `path` ":memory:" for nothing but attached files. */
  static async open(path: string, { memoryMb, threads, spillDirectory }: DatabaseOptions): Promise<Database> {
    const { DuckDBInstance: instances } = await loadDriver();
    try {
      const instance = await instances.create(path, {
        memory_limit: `${memoryMb}MB`,
        threads: String(threads),
        temp_directory: spillDirectory,
        // A file's views and macros could load or install code; nothing of ours needs that.
        autoinstall_known_extensions: "false",
      });
      const connection = await instance.connect();
      return new Database(instance, connection);
    } catch (thrown) {
      throw asEngineError(thrown);
    }
  }

  async run(sql: string, values: readonly string[] = []): Promise<void> {
    try {
      await this.connection.run(sql, values.length === 0 ? undefined : [...values]);
    } catch (thrown) {
      throw asEngineError(thrown);
    }
  }

  /** Columns must be numbers, texts or booleans. */
  async rows<Row extends Readonly<Record<string, Cell>>>(sql: string): Promise<readonly Row[]> {
    try {
      const reader = await this.connection.runAndReadAll(sql);
      return reader.getRowObjects() as unknown as readonly Row[];
    } catch (thrown) {
      throw asEngineError(thrown);
    }
  }

  async transaction(work: () => Promise<void>): Promise<void> {
    await this.run("BEGIN TRANSACTION");
    try {
      await work();
    } catch (thrown) {
      await this.run("ROLLBACK").catch(() => {});
      throw thrown;
    }
    await this.run("COMMIT");
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.connection.closeSync();
    this.instance.closeSync();
    return Promise.resolve();
  }
}

export async function duckDbVersion(): Promise<string> {
  return (await loadDriver()).version().replace(/^v/, "");
}

async function loadDriver(): Promise<typeof driver> {
  try {
    return await import("@duckdb/node-api");
  } catch (cause) {
    throw new TailraceError("source.driver-missing", { what: "The package @duckdb/node-api cannot be loaded", cause });
  }
}

/** By the first words of DuckDB's message, which name the class of the error. */
export function asEngineError(thrown: unknown): unknown {
  if (thrown instanceof TailraceError || !(thrown instanceof Error)) return thrown;
  const [line = ""] = thrown.message.split("\n");
  return new TailraceError(codeOf(line), { what: `DuckDB says: ${line.slice(0, 400)}`, cause: thrown });
}

function codeOf(message: string): ErrorCode {
  if (message.includes("Could not set lock on file")) return "source.locked";
  if (message.startsWith("Out of Memory Error")) return "source.memory";
  if (/No space left|ENOSPC/.test(message)) return "source.no-room";
  // What a sound copy cannot bring about is a bug of ours in SQL.
  return /^(?:Parser|Binder|Catalog|Syntax) Error/.test(message) ? "internal" : "source.copy-unreadable";
}
