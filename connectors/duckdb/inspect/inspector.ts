/** Looks at a DuckDB file by way of a private copy of its own, taken once: for init, doctor and plan. Legal while the application writes. */
import { randomUUID } from "node:crypto";
import { mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { systemClock } from "../../../core/clock.js";
import type { ColumnProfile, SourceCatalog, SourceInspector, SourceTable } from "../../../core/contracts/source.js";
import { TailraceError } from "../../../core/errors.js";
import { type GroupId, type TableId, tableId } from "../../../core/vocabulary/ids.js";
import type { Row } from "../../../core/vocabulary/value.js";
import { LiveCopier } from "../copy/live-copy.js";
import { type DuckTable, quoteName, quoteText, rowKeyColumn, tableName } from "../duck-table.js";
import { Database } from "../engine/database.js";
import { sortableBytes, SortedRows } from "../engine/sorted-rows.js";
import { refuseUnreadable } from "../copy/refuse-unreadable.js";
import { placeOfFile } from "../fence/tombstone.js";
import { RowParser } from "../values.js";
import { catalogueOf, isKeyColumn } from "./catalogue.js";
import { profileTable } from "./profile.js";
import { type ListedSchema, listSchema, type ListedTable, placeOf } from "./schema.js";

export interface DuckDbInspectorOptions {
  readonly path: string;
  readonly group: GroupId;
  readonly stateDirectory: string;
  readonly memoryMb: number;
  /** Keys that the settings declare, by table. */
  readonly keys: ReadonlyMap<string, readonly string[]>;
}

const rowsPerPage = 2_000;
const bytesPerPage = 4 << 20;

/** Rejects when the package that reads DuckDB files is missing, or the file cannot be read. */
export async function openDuckDbInspector(options: DuckDbInspectorOptions, signal: AbortSignal): Promise<DuckDbInspector> {
  // Fenced off for good, it is looked at where it lies.
  const { path } = placeOfFile(options.path);
  refuseUnreadable(path);
  const directory = join(options.stateDirectory, `look-${process.pid}-${randomUUID()}`);
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  try {
    const copier = new LiveCopier({ path, directory, clock: systemClock, bytesPerSecond: null });
    const copy = await copier.take(null, signal);
    if (copy === null) throw new Error("a first copy is always one");
    const database = await Database.open(":memory:", { memoryMb: options.memoryMb, threads: 2, spillDirectory: join(directory, "spill") });
    await database.run(`ATTACH ${quoteText(copy.path)} AS src (READ_ONLY)`);
    return new DuckDbInspector(database, directory, options);
  } catch (thrown) {
    rmSync(directory, { recursive: true, force: true });
    throw thrown;
  }
}

export class DuckDbInspector implements SourceInspector {
  #schema: ListedSchema | null = null;

  constructor(
    private readonly database: Database,
    private readonly directory: string,
    private readonly options: DuckDbInspectorOptions,
  ) {}

  async catalog(): Promise<SourceCatalog> {
    const schema = (this.#schema ??= await listSchema(this.database));
    const refused: { table: TableId; code: "table.key-values"; reason: string }[] = [];
    const declaredKeys = new Map<string, readonly string[]>();
    for (const table of schema.tables) {
      const name = tableName(table.schema, table.name);
      const key = this.options.keys.get(name);
      if (key === undefined) continue;
      const fault = await this.#keyFault(table, schema, key);
      if (fault === null) declaredKeys.set(name, key);
      else refused.push({ table: tableIdOf(name), code: "table.key-values", reason: fault });
    }
    const catalogue = catalogueOf(schema, { group: this.options.group, declaredKeys });
    const faulty = new Set<string>(refused.map(({ table }) => table));
    return {
      ...catalogue,
      tables: catalogue.tables.filter(({ description }) => !faulty.has(description.table)),
      refused: [...catalogue.refused, ...refused],
    };
  }

  async profile(table: SourceTable): Promise<readonly ColumnProfile[]> {
    return await profileTable(this.database, duckTableOf(table));
  }

  async *rows(table: SourceTable): AsyncGenerator<readonly Row[]> {
    const captured = duckTableOf(table);
    const parser = new RowParser(captured);
    const sorted = new SortedRows(this.database, sortableBytes(this.options.memoryMb));
    const rows = await sorted.sort(captured, null);
    for (let from = 0; from < rows; ) {
      const page = await sorted.chunks({ from, rows: rowsPerPage, bytes: bytesPerPage, chunks: 1 });
      for (const text of page.texts) yield parser.rows(text);
      from += page.rows;
    }
    await sorted.forget();
  }

  /** The version of DuckDB that looks. */
  async version(): Promise<string> {
    const [row] = await this.database.rows<{ version: string }>("SELECT version() AS version");
    return row?.version ?? "";
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.database[Symbol.asyncDispose]();
    rmSync(this.directory, { recursive: true, force: true });
  }

  /** null: no two rows have the same one, and none lacks it. */
  async #keyFault(table: ListedTable, schema: ListedSchema, key: readonly string[]): Promise<string | null> {
    const columns = schema.columns.get(placeOf(table.schema, table.name)) ?? [];
    const unusable = key.find((name) => !isKeyColumn(table, columns, name));
    if (unusable !== undefined) return `its declared key names '${unusable}', which is no column of a type that can be a key`;
    const names = key.map(quoteName).join(", ");
    const [found] = await this.database.rows<{ nulls: bigint; doubles: bigint }>(
      `SELECT count(*) FILTER (WHERE ${key.map((name) => `${quoteName(name)} IS NULL`).join(" OR ")}) AS nulls,
         (SELECT count(*) FROM (SELECT 1 FROM src.${quoteName(table.schema)}.${quoteName(table.name)} GROUP BY ${names} HAVING count(*) > 1)) AS doubles
       FROM src.${quoteName(table.schema)}.${quoteName(table.name)}`,
    );
    if (found === undefined) throw new TailraceError("internal", { what: "a count has no answer" });
    if (found.nulls > 0n) return `its declared key (${key.join(", ")}) is NULL in ${found.nulls} rows`;
    return found.doubles > 0n ? `its declared key (${key.join(", ")}) has ${found.doubles} values that several rows share` : null;
  }
}

const tableIdOf = (name: string): TableId => tableId(name);

/** Numbers are of no account for looking. */
export function duckTableOf({ description }: SourceTable): DuckTable {
  const [first = "", second] = description.table.split(".");
  const place = second === undefined ? { schema: "main", name: first } : { schema: first, name: second };
  const isRows = description.columns[description.key[0]]?.name === rowKeyColumn;
  return { ...place, number: 0, description, mode: isRows ? "rows" : "keyed" };
}
