/**
 * Rows of a DuckDB file as the target should hold them, read from the copies that the source shows, in a process of their own. Each copy is labelled by
 * the position at which the file was so; one is held for some seconds, however fast the source goes on.
 *
 * An answer may be as old as that, but never older than a position that this reader has told. What changed since is told by the source's record.
 */
import { type Clock, systemClock } from "../../core/clock.js";
import type { KeyScope } from "../../core/contracts/change.js";
import type { TargetPlan } from "../../core/contracts/plan.js";
import {
  type Between,
  type ChangedKey,
  type ChangedKeys,
  type KeyedDigest,
  type KeyedRow,
  type Labelled,
  refusedDigest,
  type RowName,
  type RowReader,
  rowsByKeyMax,
  type RowThen,
  type ScopeCut,
  type ScopeDigest,
} from "../../core/contracts/row-reader.js";
import { TailraceError } from "../../core/errors.js";
import type { TargetText } from "../../core/mapping/hashed-row.js";
import { DigestSum, joinDigests, rowHash } from "../../core/mapping/row-hash.js";
import type { GroupId, PipelineId, TableId } from "../../core/vocabulary/ids.js";
import type { Position } from "../../core/vocabulary/position.js";
import { keyOf, type TableDescription } from "../../core/vocabulary/table.js";
import type { Key, Row } from "../../core/vocabulary/value.js";
import { CaptureDirectory, type CaptureDirectoryOptions } from "./capture-directory.js";
import { keyPartText } from "./column-type.js";
import { CopyReader } from "./copy-reader.js";
import { placeOfFile } from "./fence/tombstone.js";
import type { TextScope } from "./engine/view.js";
import { ReadableTables, type ReadTable } from "./readable-tables.js";
import type { CopyViews } from "./shown-view.js";
import { StandingViews } from "./standing-view.js";
import { ToldKeys } from "./told-keys.js";

export interface DuckDbRowReaderOptions extends CaptureDirectoryOptions {
  readonly pipeline: PipelineId;
  readonly group: GroupId;
  readonly plan: TargetPlan;
  /** How PostgreSQL prints what a type reads that only it knows. */
  readonly targetText: TargetText;
  readonly memoryMb: number;
  readonly clock?: Clock;
  /** How long a copy is held at least; 0: every answer is of the newest. */
  readonly heldMs?: number;
  /** The built program of the process that reads. */
  readonly program?: string;
}
export interface DuckDbRowReader extends RowReader, ChangedKeys {
  /** As the capture describes it now. */
  describe(table: TableId): TableDescription;
}

export function openDuckDbRowReader(options: DuckDbRowReaderOptions): DuckDbRowReader {
  const directory = new CaptureDirectory(options);
  return new Reader(directory, new ReadableTables(directory, options), { ...options, views: null });
}

/** Of the file itself, wherever it lies: of a copy that is taken now. Legal while nobody writes to it; what it answers has no position. */
export async function openStandingRowReader(options: DuckDbRowReaderOptions, signal: AbortSignal): Promise<DuckDbRowReader> {
  const directory = new CaptureDirectory(options);
  const tables = new ReadableTables(directory, options);
  const views = await StandingViews.of(directory, placeOfFile(options.path).path, options.clock ?? systemClock, signal);
  return new Reader(directory, tables, { ...options, views });
}

const defaultHeldMs = 10_000;
const boundsAtOnce = 1_000;
const rowsAtOnce = 2_000;

class Reader implements DuckDbRowReader {
  readonly #copies: CopyReader;
  readonly #told: ToldKeys;

  constructor(
    directory: CaptureDirectory,
    private readonly tables: ReadableTables,
    private readonly options: DuckDbRowReaderOptions & { readonly views: CopyViews | null },
  ) {
    const { clock = systemClock, heldMs = defaultHeldMs, memoryMb, program, views } = options;
    this.#copies = new CopyReader({ directory, tables, clock, heldMs, memoryMb, views, program: program ?? null });
    this.#told = new ToldKeys(directory.told, tables, options.targetText);
  }

  describe(table: TableId): TableDescription {
    return this.tables.get(table).installed.description;
  }

  async position(signal: AbortSignal): Promise<Position> {
    return await this.#copies.position(signal);
  }

  async *scopes(table: TableId, { rowsPerScope: rows, within }: ScopeCut, signal: AbortSignal): AsyncGenerator<KeyScope> {
    let after: Key | null = within?.after ?? null;
    const end = within?.upTo ?? null;
    for (;;) {
      const from: Key | null = after;
      const { value } = await this.#copies.prepared(
        table,
        async (ask, it) => {
          const scope = { ...textScope({ kind: "range", after: from, upTo: end }), table: it.installed.number };
          return it.parser.keys(await ask("bounds", { ...scope, rows, most: boundsAtOnce }));
        },
        signal,
      );
      for (const upTo of value) {
        yield { kind: "range", after, upTo };
        after = upTo;
      }
      if (value.length < boundsAtOnce) break;
    }
    yield { kind: "range", after, upTo: end };
  }

  async digest(table: TableId, scope: KeyScope, signal: AbortSignal): Promise<Labelled<ScopeDigest>> {
    return await this.#copies.prepared(
      table,
      async (ask, it) => {
        const place = { ...textScope(scope), table: it.installed.number };
        const { rows, high, low, unhashed } = await ask("digest", place);
        const ours = { rows, high: BigInt.asUintN(64, BigInt(high)), low: BigInt.asUintN(64, BigInt(low)) };
        if (unhashed === 0) return ours;
        const sum = new DigestSum();
        for (let from = 0; from < unhashed; from += rowsAtOnce) {
          const page = it.parser.rows(await ask("unhashed", { ...place, from, most: rowsAtOnce }));
          for (const text of await it.hashed.texts(page, this.options.targetText, signal)) sum.add(text);
        }
        return joinDigests([ours, sum.value()]);
      },
      signal,
    );
  }

  async digests(table: TableId, scope: KeyScope, rowsMax: number, signal: AbortSignal): Promise<Labelled<readonly KeyedDigest[]>> {
    return await this.#copies.prepared(
      table,
      async (ask, it) => {
        const place = { ...textScope(scope), table: it.installed.number };
        const hashed = it.parser.keyedTexts(await ask("digests", { ...place, most: rowsMax + 1 }));
        const out = hashed.map(({ key, text }): KeyedDigest => ({ key, id: it.names.ofSource(key), digest: text }));
        for (let from = 0; out.length <= rowsMax; from += rowsAtOnce) {
          const page = it.parser.rows(await ask("unhashed", { ...place, from, most: rowsAtOnce }));
          if (page.length === 0) return out;
          const texts = await it.hashed.texts(page, this.options.targetText, signal);
          page.forEach((row, i) => out.push(digestOf(it, row, texts[i] ?? "")));
        }
        throw new TailraceError("verify.scope-too-large", { what: `A range holds more than ${rowsMax} rows`, where: { table } });
      },
      signal,
    );
  }

  async rowsByKey(table: TableId, keys: readonly Key[], signal: AbortSignal): Promise<Labelled<readonly KeyedRow[]>> {
    if (keys.length > rowsByKeyMax) throw new Error(`at most ${rowsByKeyMax} keys in one call`);
    const isPrepared = this.tables.get(table).installed.mode === "rows";
    const { at, value } = await this.#copies[isPrepared ? "prepared" : "attached"](
      table,
      async (ask, it) => {
        const json = await ask("rowsOf", { table: it.installed.number, keys: keys.map((key) => key.map(keyPartText)) });
        return { it, found: it.parser.found(json) };
      },
      signal,
    );
    const { it, found } = value;
    const rows = await it.hashed.rows(found, this.options.targetText, signal);
    const named = rows.map((row, i): KeyedRow => {
      const key = keyOf(it.installed.description, found[i] ?? []);
      const name = { key, id: it.names.ofSource(key) };
      return row.kind === "row" ? { kind: "row", ...name, row: row.row } : { ...row, ...name };
    });
    return { at, value: named };
  }

  identify(table: TableId, keys: readonly Key[], signal: AbortSignal): Promise<readonly RowName[]> {
    signal.throwIfAborted();
    const { names } = this.tables.get(table);
    return Promise.resolve(keys.map((key) => ({ key, id: names.ofSource(key) })));
  }

  changedKeys(between: Between, signal: AbortSignal): AsyncIterable<readonly ChangedKey[]> {
    return this.#told.changedKeys(between, signal);
  }

  async changedRows(
    table: TableId,
    rows: readonly RowName[],
    between: Between,
    signal: AbortSignal,
  ): Promise<ReadonlyMap<string, RowThen>> {
    return await this.#told.changedRows(table, rows, between, signal);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#copies[Symbol.asyncDispose]();
  }
}

const textKey = (key: Key | null): readonly string[] | null => key?.map(keyPartText) ?? null;
const textScope = ({ after, upTo }: KeyScope): TextScope => ({ after: textKey(after), upTo: textKey(upTo) });

function digestOf({ installed, hashed, names }: ReadTable, row: Row, text: string): KeyedDigest {
  const key = keyOf(installed.description, row);
  return { key, id: names.ofSource(key), digest: hashed.isRefusal(text) ? refusedDigest : rowHash(text) };
}
