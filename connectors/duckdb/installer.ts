/** Installs and removes the capture. Nothing is put into the file: what is installed is a list of tables in a directory of ours. */
import { rmSync } from "node:fs";
import type { SourceInstaller, SourceTable } from "../../core/contracts/source.js";
import type { GroupId, PipelineId } from "../../core/vocabulary/ids.js";
import { schemaVersion } from "../../core/vocabulary/ids.js";
import { CaptureDirectory, type CaptureDirectoryOptions, type Installed, type InstalledTable } from "./capture-directory.js";
import { type DuckTable, rowKeyColumn, signatureOf } from "./duck-table.js";
import { openDuckDbFence } from "./fence/fence.js";
import { placeOfFile } from "./fence/tombstone.js";
import { openDuckDbTarget } from "./target/open-target.js";

export interface DuckDbInstallerOptions extends CaptureDirectoryOptions {
  readonly pipeline: PipelineId;
  readonly group: GroupId;
}

export function openDuckDbInstaller(options: DuckDbInstallerOptions): SourceInstaller {
  return new DuckDbInstaller(new CaptureDirectory(options), options);
}

class DuckDbInstaller implements SourceInstaller {
  constructor(
    private readonly directory: CaptureDirectory,
    private readonly options: DuckDbInstallerOptions,
  ) {}

  plan(tables: readonly SourceTable[]): readonly string[] {
    return this.#changes(this.#wanted(tables));
  }

  apply(tables: readonly SourceTable[]): Promise<readonly string[]> {
    const wanted = this.#wanted(tables);
    const changes = this.#changes(wanted);
    if (changes.length > 0) this.directory.install(wanted);
    return Promise.resolve(changes);
  }

  async destroy(): Promise<readonly string[]> {
    if (!this.directory.exists) return [];
    if (this.directory.installed() !== null) this.directory.installedFor(this.options.pipeline);
    const brought = await this.#bringBack();
    // A service that still runs may put a file there while it is emptied.
    rmSync(this.directory.path, { recursive: true, force: true, maxRetries: 10, retryDelay: 50 });
    return [...brought, `-- removed ${this.directory.path}`];
  }

  /** A file that was fenced off for good is nobody's to fence off any more; what is ours in it goes while it cannot be opened by anybody else. */
  async #bringBack(): Promise<readonly string[]> {
    const { path, pipeline, stateDirectory, group } = this.options;
    const place = placeOfFile(path);
    if (place.kind === "here") return [];
    const removed = await openDuckDbTarget({ path, pipeline, stateDirectory, home: () => place.path }).destroy(
      { tables: false },
      new AbortController().signal,
    );
    using fence = openDuckDbFence({ path, pipeline, stateDirectory });
    await fence.release(group, place.tombstone.marker);
    return [...removed, `-- ${place.path} is ${path} again`];
  }

  [Symbol.dispose](): void {
    // Nothing is held.
  }

  #before(): readonly InstalledTable[] {
    return this.directory.installed() === null ? [] : this.directory.installedFor(this.options.pipeline).tables;
  }

  #wanted(tables: readonly SourceTable[]): Installed {
    const before = this.#before();
    let number = Math.max(0, ...before.map((table) => table.number));
    let schema = Math.max(0, ...before.map(({ description }) => description.schema));
    const names = new Set<string>(tables.map(({ description }) => description.table));
    const captured = tables.map(({ description }): InstalledTable => {
      const known = before.find((table) => table.description.table === description.table);
      const made: InstalledTable = {
        ...splitName(description.table),
        number: known?.number ?? ++number,
        state: "captured",
        mode: modeOf(description),
        description,
      };
      if (known !== undefined && signatureOf(known) === signatureOf(made) && known.state === "captured") return known;
      return { ...made, description: { ...description, schema: schemaVersion(++schema) } };
    });
    const retired = before
      .filter(({ description }) => !names.has(description.table))
      .map((table): InstalledTable => {
        if (table.state === "retired") return table;
        return { ...table, state: "retired", description: { ...table.description, schema: schemaVersion(++schema) } };
      });
    const { pipeline, group, path } = this.options;
    return { version: 1, pipeline, group, source: path, tables: [...captured, ...retired].toSorted((a, b) => a.number - b.number) };
  }

  /** In the words of SQL comments: there is no SQL for it. */
  #changes(wanted: Installed): readonly string[] {
    const before = new Map(this.#before().map((table) => [table.number, table]));
    const changed = wanted.tables.filter((table) => before.get(table.number)?.description.schema !== table.description.schema);
    return changed.map(({ description, state }) => `-- ${this.directory.path}: table ${description.table} is ${state}`);
  }
}

const modeOf = ({ columns, key }: SourceTable["description"]): DuckTable["mode"] =>
  columns[key[0]]?.name === rowKeyColumn ? "rows" : "keyed";

/** Neither part has a dot in it: the catalogue sees to that. */
function splitName(table: string): Pick<DuckTable, "schema" | "name"> {
  const [first = "", second] = table.split(".");
  return second === undefined ? { schema: "main", name: first } : { schema: first, name: second };
}
