/** Looks at a DuckDB file wherever it lies, through a copy that is taken anew whenever the catalogue is asked for: what is looked at has changed by then. */
import { disposeQuietly } from "../../../core/dispose.js";
import type { ColumnProfile, SourceCatalog, SourceInspector, SourceTable } from "../../../core/contracts/source.js";
import type { Row } from "../../../core/vocabulary/value.js";
import { type DuckDbInspector, type DuckDbInspectorOptions, openDuckDbInspector } from "./inspector.js";

export const openStandingInspector = (options: DuckDbInspectorOptions): SourceInspector => new StandingInspector(options);

class StandingInspector implements SourceInspector {
  #now: DuckDbInspector | null = null;

  constructor(private readonly options: DuckDbInspectorOptions) {}

  async catalog(): Promise<SourceCatalog> {
    await this[Symbol.asyncDispose]();
    this.#now = await openDuckDbInspector(this.options, new AbortController().signal);
    return await this.#now.catalog();
  }

  async profile(table: SourceTable): Promise<readonly ColumnProfile[]> {
    return await this.#opened().profile(table);
  }

  async *rows(table: SourceTable): AsyncGenerator<readonly Row[]> {
    yield* this.#opened().rows(table);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#now !== null) await disposeQuietly(this.#now);
    this.#now = null;
  }

  #opened(): DuckDbInspector {
    if (this.#now === null) throw new Error("the catalogue was not asked for");
    return this.#now;
  }
}
