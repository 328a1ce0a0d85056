/**
 * Which rows changed between two positions, and how they were then, by what was told.
 *
 * A range may hold millions of changes and is asked about ten thousand rows at a time. So each line of the record is parsed once for the keys that it
 * names, of which four bytes each are held; a question then goes from the newest line back and parses those alone that name what it still looks for.
 */
import { breathe } from "../../core/clock.js";
import type { Between, ChangedKey, KeyedRow, RowName, RowThen } from "../../core/contracts/row-reader.js";
import { TailraceError } from "../../core/errors.js";
import type { TargetText } from "../../core/mapping/hashed-row.js";
import type { TableId } from "../../core/vocabulary/ids.js";
import { keyText, type Row } from "../../core/vocabulary/value.js";
import type { ReadableTables, ReadTable } from "./readable-tables.js";
import { ToldIndex, type ToldRows } from "./told-index.js";
import type { ToldChange } from "./values.js";

const keysPerPage = 4_000;
/** Of names that are held, all together: 32 MiB. Beyond them lines are parsed as often as they are asked about. */
const namesMax = 8_000_000;

export class ToldKeys {
  readonly #index: ToldIndex;
  /** Hashes of the names of a line's rows. */
  #names = new WeakMap<ToldRows, Uint32Array>();
  #namesHeld = 0;
  #parsed = 0;

  constructor(
    directory: string,
    private readonly tables: ReadableTables,
    private readonly ask: TargetText,
  ) {
    this.#index = new ToldIndex(directory);
  }

  /** Lines that were parsed so far. */
  get parsed(): number {
    return this.#parsed;
  }

  async *changedKeys(between: Between, signal: AbortSignal): AsyncGenerator<readonly ChangedKey[]> {
    let keys = new Map<string, ChangedKey>();
    for (const line of this.#between(between)) {
      signal.throwIfAborted();
      const it = this.tables.byNumber(line.table);
      if (it === null) continue;
      const { table } = it.installed.description;
      const changes = this.#changesOf(it, line).map((change) => ({ order: change.order, key: it.parser.keyOfChange(change) }));
      this.#hold(line, () => changes.map(({ key }) => it.names.ofSource(key)));
      for (const { order, key } of changes) {
        if (isWithin(order, between)) keys.set(`${table} ${keyText(key)}`, { table, key, id: it.names.ofSource(key), order });
      }
      await breathe();
      if (keys.size < keysPerPage) continue;
      yield [...keys.values()];
      keys = new Map();
    }
    if (keys.size > 0) yield [...keys.values()];
  }

  async changedRows(
    table: TableId,
    rows: readonly RowName[],
    between: Between,
    signal: AbortSignal,
  ): Promise<ReadonlyMap<string, RowThen>> {
    const it = this.tables.get(table);
    const wanted = new Map(rows.map((row) => [row.id, row]));
    const open = new OpenNames(wanted.keys());
    const last = new Map<string, Row | null>();
    const lines = this.#between(between).filter((line) => line.table === it.installed.number);
    for (const line of lines.toReversed()) {
      signal.throwIfAborted();
      if (open.size === 0) break;
      if (!open.hasAny(this.#namesOf(it, line))) continue;
      for (const change of this.#changesOf(it, line).toReversed()) {
        if (!isWithin(change.order, between)) continue;
        const id = it.names.ofSource(it.parser.keyOfChange(change));
        if (open.take(id)) last.set(id, it.parser.rowOfChange(change));
      }
      await breathe();
    }
    return await this.#answer(it, wanted, last, signal);
  }

  async #answer(
    it: ReadTable,
    wanted: ReadonlyMap<string, RowName>,
    last: ReadonlyMap<string, Row | null>,
    signal: AbortSignal,
  ): Promise<ReadonlyMap<string, RowThen>> {
    const images = [...last].flatMap(([id, row]): readonly (readonly [string, Row])[] => (row === null ? [] : [[id, row]]));
    const hashed = await it.hashed.rows(
      images.map(([, row]) => row),
      this.ask,
      signal,
    );
    const answers = new Map<string, RowThen>([...last.keys()].map((id) => [id, { kind: "absent" }]));
    images.forEach(([id, image], i) => {
      const row = hashed[i];
      if (row === undefined) throw new Error("a row was asked for and none came back");
      const name = { id, key: wanted.get(id)?.key ?? it.parser.keyOf(image) };
      answers.set(id, (row.kind === "row" ? { kind: "row", ...name, row: row.row } : { ...row, ...name }) satisfies KeyedRow);
    });
    return answers;
  }

  #between({ after, upTo }: Between): readonly ToldRows[] {
    if (after.history !== upTo.history) throw new TailraceError("source.pruned", { what: "The source's past was replaced" });
    return this.#index.between({ history: after.history, after: after.order, upTo: upTo.order });
  }

  #changesOf({ parser }: ReadTable, line: ToldRows): readonly ToldChange[] {
    this.#parsed++;
    return parser.toldChanges(this.#index.json(line));
  }

  #namesOf(it: ReadTable, line: ToldRows): Uint32Array {
    return this.#hold(line, () => this.#changesOf(it, line).map((change) => it.names.ofSource(it.parser.keyOfChange(change))));
  }

  #hold(line: ToldRows, ids: () => readonly string[]): Uint32Array {
    const known = this.#names.get(line);
    if (known !== undefined) return known;
    const names = Uint32Array.from(ids(), hashOf);
    if (this.#namesHeld + names.length > namesMax) {
      // Those that are held are of older lines, which are asked about less and less.
      this.#names = new WeakMap();
      this.#namesHeld = 0;
    }
    this.#names.set(line, names);
    this.#namesHeld += names.length;
    return names;
  }
}

const isWithin = (order: number, { after, upTo }: Between): boolean => order > after.order && order <= upTo.order;

/** Names that are looked for, by their hashes. */
class OpenNames {
  readonly #ids: Set<string>;
  readonly #hashes = new Map<number, number>();

  constructor(ids: Iterable<string>) {
    this.#ids = new Set(ids);
    for (const id of this.#ids) this.#count(hashOf(id), 1);
  }

  get size(): number {
    return this.#ids.size;
  }

  hasAny(names: Uint32Array): boolean {
    return names.some((hash) => this.#hashes.has(hash));
  }

  take(id: string): boolean {
    if (!this.#ids.delete(id)) return false;
    this.#count(hashOf(id), -1);
    return true;
  }

  #count(hash: number, by: number): void {
    const count = (this.#hashes.get(hash) ?? 0) + by;
    if (count === 0) this.#hashes.delete(hash);
    else this.#hashes.set(hash, count);
  }
}

/** FNV-1a. Two names may share it: then a line is parsed in vain. */
function hashOf(text: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  return hash >>> 0;
}
