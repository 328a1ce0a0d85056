/** A DuckDB file that another process holds open for writing, and everything of ours about it. */
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { type DuckDbSource, type DuckDbSourceOptions, openDuckDbSource } from "../../connectors/duckdb/duckdb-source.js";
import { openDuckDbInstaller } from "../../connectors/duckdb/installer.js";
import { type DuckDbInspector, openDuckDbInspector } from "../../connectors/duckdb/inspect/inspector.js";
import { openDuckDbRequests } from "../../connectors/duckdb/requests.js";
import type { SourceRequests } from "../../core/contracts/source.js";
import { type PipelineId, pipelineId, theGroup } from "../../core/vocabulary/ids.js";
import type { TableDescription } from "../../core/vocabulary/table.js";
import { keyText, type Row, type Value } from "../../core/vocabulary/value.js";

const never = new AbortController().signal;
export const engineProgram = resolve("dist/connectors/duckdb/engine/worker.js");

interface Reply {
  readonly id: number;
  readonly rows?: readonly (readonly Value[])[];
  readonly error?: string;
}

export class DuckDbApplication implements AsyncDisposable {
  #calls = 0;
  readonly #waiting = new Map<number, (reply: Reply) => void>();

  private constructor(readonly child: ChildProcess) {
    child.on("message", (reply: Reply) => this.#waiting.get(reply.id)?.(reply));
  }

  static async start(path: string, storage = "", rowGroupRows = 0): Promise<DuckDbApplication> {
    const child = fork("test/support/duckdb-writer.mjs", [path, storage, String(rowGroupRows)], { serialization: "advanced" });
    const ready = once(child, "message");
    const application = new DuckDbApplication(child);
    await ready;
    return application;
  }

  async run(sql: string): Promise<readonly (readonly Value[])[]> {
    const id = ++this.#calls;
    const reply = await new Promise<Reply>((resolveReply) => {
      this.#waiting.set(id, resolveReply);
      this.child.send({ id, sql });
    });
    this.#waiting.delete(id);
    if (reply.error !== undefined) throw new Error(`${reply.error} in ${sql.slice(0, 200)}`);
    return reply.rows ?? [];
  }

  async kill(): Promise<void> {
    if (this.child.exitCode !== null || this.child.signalCode !== null) return;
    this.child.kill("SIGKILL");
    await once(this.child, "exit");
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.kill();
  }
}

export class DuckDbFile implements AsyncDisposable {
  readonly folder = mkdtempSync(join(tmpdir(), "tailrace-duckdb-"));
  readonly path = join(this.folder, "app.duckdb");
  readonly stateDirectory = join(this.folder, ".tailrace");
  readonly pipeline: PipelineId;
  application: DuckDbApplication | null = null;
  #open: DuckDbSource | null = null;

  constructor(pipeline: PipelineId = pipelineId("inventory")) {
    this.pipeline = pipeline;
  }

  static async of(
    sql: string,
    options: { readonly install?: boolean; readonly storage?: string; readonly pipeline?: PipelineId } = {},
  ): Promise<DuckDbFile> {
    const file = new DuckDbFile(options.pipeline);
    file.application = await DuckDbApplication.start(file.path, options.storage);
    await file.run(sql);
    if (options.install !== false) await file.install();
    return file;
  }

  /** As an application does that ends by itself. */
  async closeApplication(): Promise<void> {
    await this.run("USE memory; DETACH app");
    await this.application?.kill();
    this.application = null;
  }

  run(sql: string): Promise<readonly (readonly Value[])[]> {
    if (this.application === null) throw new Error("the application does not run");
    return this.application.run(sql);
  }

  inspector(keys: ReadonlyMap<string, readonly string[]> = new Map()): Promise<DuckDbInspector> {
    return openDuckDbInspector({ path: this.path, group: theGroup, stateDirectory: this.stateDirectory, memoryMb: 400, keys }, never);
  }

  async install(keys: ReadonlyMap<string, readonly string[]> = new Map()): Promise<readonly string[]> {
    await using inspector = await this.inspector(keys);
    const { tables } = await inspector.catalog();
    using installer = openDuckDbInstaller(this.#place());
    return await installer.apply(tables, { setWal: false });
  }

  async open(options: Partial<DuckDbSourceOptions> = {}): Promise<DuckDbSource> {
    await this.#open?.[Symbol.asyncDispose]();
    this.#open = await openDuckDbSource({ ...this.#place(), memoryMb: 300, pollMs: 10, program: engineProgram, ...options });
    return this.#open;
  }

  /** `answerMs`: how long a marker waits for its answer. */
  requests(answerMs = 0): SourceRequests {
    return openDuckDbRequests({ ...this.#place(), answerMs });
  }

  #place() {
    const { path, stateDirectory, pipeline } = this;
    return { path, stateDirectory, pipeline, group: theGroup };
  }

  /** By key text, read by the application itself. */
  async rows(table: TableDescription): Promise<ReadonlyMap<string, Row>> {
    const columns = table.columns.map(({ name }) => `"${name}"`).join(", ");
    const rows = await this.run(`SELECT ${columns} FROM ${table.table}`);
    return new Map(rows.map((row) => [keyText(table.key.map((i) => row[i] ?? null)), row]));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#open?.[Symbol.asyncDispose]();
    await this.application?.kill();
    rmSync(this.folder, { recursive: true, force: true });
  }
}
