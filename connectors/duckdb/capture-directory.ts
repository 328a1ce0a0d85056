/**
 * All that is ours about one DuckDB file, in one directory of ours: which tables are captured, what was told, what is asked for. Nothing lies
 * beside the file or in it.
 *
 *   capture.json   installed by `apply`: pipeline, tables with their descriptions
 *   memory.json    epochs and positions, for other processes and for after a loss of the log
 *   state.duckdb   the engine's
 *   copies/        private copies
 *   shown.json     the copy that others may read, and the position at which the file was so
 *   told/          what was told, change by change (told-log.ts)
 *   views/         copies that others read, held by links
 *   requests/      what other processes ask for
 *   holds/         what other processes still need
 *   anew           somebody wants a new history
 *   baseline.json  a copy of the file as it came home from the target: what it holds counts as told
 *   back/          what is known of the file as a target (target/board.ts)
 */
import { createHash, randomUUID } from "node:crypto";
import {
  closeSync,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { TailraceError } from "../../core/errors.js";
import type { GroupId, PipelineId } from "../../core/vocabulary/ids.js";
import type { DuckTable } from "./duck-table.js";

export interface CaptureDirectoryOptions {
  /** Of the DuckDB file. */
  readonly path: string;
  /** `.tailrace` beside the settings. */
  readonly stateDirectory: string;
}

export interface Installed {
  readonly version: 1;
  readonly pipeline: PipelineId;
  readonly group: GroupId;
  readonly source: string;
  /** Retired ones included: their numbers are not given away again. */
  readonly tables: readonly InstalledTable[];
}
export interface InstalledTable extends DuckTable {
  readonly state: "captured" | "retired";
}
export interface Memory {
  readonly epoch: number;
  readonly history: number;
  readonly order: number;
}

/** A copy of the file as it was when everything up to a position had been told. */
export interface Shown {
  readonly path: string;
  readonly history: number;
  readonly order: number;
}

/** What somebody still wants to ask about; ends by itself. */
export interface Hold {
  readonly name: string;
  readonly history: number;
  readonly order: number;
  readonly untilMs: number;
}

export class CaptureDirectory {
  readonly path: string;

  constructor(private readonly options: CaptureDirectoryOptions) {
    const name = createHash("sha256").update(trueName(options.path)).digest("hex").slice(0, 16);
    this.path = join(options.stateDirectory, `duckdb-${name}`);
  }

  get source(): string {
    return this.options.path;
  }
  get copies(): string {
    return this.#made("copies");
  }
  get requests(): string {
    return this.#made("requests");
  }
  get told(): string {
    return this.#made("told");
  }
  get views(): string {
    return this.#made("views");
  }
  get exists(): boolean {
    return existsSync(this.path);
  }

  installed(): Installed | null {
    const text = readOr(join(this.path, "capture.json"));
    return text === null ? null : (JSON.parse(text) as Installed);
  }

  /** Rejects with `source.not-applied` or `source.other-pipeline`. */
  installedFor(pipeline: PipelineId): Installed {
    const installed = this.installed();
    const where = { path: this.options.path, state: this.path };
    if (installed === null) throw new TailraceError("source.not-applied", { what: "No capture of this file is installed", where });
    if (installed.pipeline !== pipeline) {
      throw new TailraceError("source.other-pipeline", { what: `The pipeline '${installed.pipeline}' captures this file`, where });
    }
    return installed;
  }

  install(installed: Installed): void {
    writeDurably(join(this.#made("."), "capture.json"), JSON.stringify(installed, null, 1));
  }

  memory(): Memory {
    const text = readOr(join(this.path, "memory.json"));
    return text === null ? { epoch: 0, history: 0, order: 0 } : (JSON.parse(text) as Memory);
  }

  remember(memory: Memory): void {
    writeDurably(join(this.#made("."), "memory.json"), JSON.stringify(memory));
  }

  shown(): Shown | null {
    const text = readOr(join(this.path, "shown.json"));
    return text === null ? null : (JSON.parse(text) as Shown);
  }

  /** Not synced: after a power failure it names a copy that is gone, and the next look shows another. */
  show(shown: Shown): void {
    const early = join(this.#made("."), "shown.json.new");
    writeFileSync(early, JSON.stringify(shown), { mode: 0o600 });
    renameSync(early, join(this.path, "shown.json"));
  }

  hold(hold: Hold): void {
    writeDurably(join(this.#made("holds"), `${hold.name}.json`), JSON.stringify(hold));
  }

  release(name: string): void {
    rmSync(join(this.path, "holds", `${name}.json`), { force: true });
  }

  /** The least order that somebody still needs; null: nobody needs any of this history. */
  heldFrom(history: number, nowMs: number): number | null {
    const directory = this.#made("holds");
    const holds = readdirSync(directory)
      .filter((name) => name.endsWith(".json"))
      .map((name) => JSON.parse(readFileSync(join(directory, name), "utf8")) as Hold)
      .filter((hold) => hold.history === history && hold.untilMs > nowMs);
    return holds.length === 0 ? null : Math.min(...holds.map(({ order }) => order));
  }

  /** Everything is to be told again under a new history. */
  askAnew(): void {
    writeDurably(join(this.#made("."), "anew"), "");
  }

  isAnewAsked(): boolean {
    return existsSync(join(this.path, "anew"));
  }

  begunAnew(): void {
    rmSync(join(this.path, "anew"), { force: true });
  }

  /** A private copy, in `copies`, of what both sides hold; null: none waits to be taken for told. */
  baseline(): string | null {
    const text = readOr(join(this.path, "baseline.json"));
    return text === null ? null : (JSON.parse(text) as { readonly path: string }).path;
  }

  bringBaseline(path: string): void {
    writeDurably(join(this.#made("."), "baseline.json"), JSON.stringify({ path }));
  }

  baselineTaken(): void {
    rmSync(join(this.path, "baseline.json"), { force: true });
  }

  #made(name: string): string {
    const path = join(this.path, name);
    mkdirSync(path, { recursive: true, mode: 0o700 });
    return path;
  }
}

/** The same for every way to name a file, also while it is away. */
function trueName(path: string): string {
  try {
    return realpathSync(path);
  } catch {
    const directory = dirname(resolve(path));
    return join(existsSync(directory) ? realpathSync(directory) : directory, basename(path));
  }
}

/** There whole or not at all, whatever ends us. */
export function writeDurably(path: string, text: string): void {
  const early = `${path}.${randomUUID()}.new`;
  const fd = openSync(early, "w", 0o600);
  try {
    writeSync(fd, text);
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
  renameSync(early, path);
}

function readOr(path: string): string | null {
  try {
    return readFileSync(path, "utf8");
  } catch (thrown) {
    if ((thrown as { code?: unknown }).code === "ENOENT") return null;
    throw thrown;
  }
}
