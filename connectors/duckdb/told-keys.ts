/** Which rows changed between two positions, and how they were then, by what was told. */
import type { Between, ChangedKey, KeyedRow, RowName, RowThen } from "../../core/contracts/row-reader.js";
import { breathe } from "../../core/clock.js";
import { TailraceError } from "../../core/errors.js";
import type { TargetText } from "../../core/mapping/hashed-row.js";
import type { TableId } from "../../core/vocabulary/ids.js";
import { keyText, type Row } from "../../core/vocabulary/value.js";
import type { ReadableTables, ReadTable } from "./readable-tables.js";
import { toldBetween, type ToldRows } from "./told-changes.js";

const keysPerPage = 4_000;

export class ToldKeys {
  constructor(
    private readonly directory: string,
    private readonly tables: ReadableTables,
    private readonly ask: TargetText,
  ) {}

  async *changedKeys(between: Between, signal: AbortSignal): AsyncGenerator<readonly ChangedKey[]> {
    let keys = new Map<string, ChangedKey>();
    for (const told of this.#told(between)) {
      signal.throwIfAborted();
      const it = this.tables.byNumber(told.table);
      if (it === null) continue;
      const { table } = it.installed.description;
      for (const { key, at } of changesOf(it, told, between)) {
        keys.set(`${table} ${keyText(key)}`, { table, key, id: it.names.ofSource(key), order: at.order });
      }
      if (keys.size < keysPerPage) continue;
      yield [...keys.values()];
      keys = new Map();
      await breathe();
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
    const last = new Map<string, Row | null>();
    for (const told of this.#told(between)) {
      signal.throwIfAborted();
      if (told.table !== it.installed.number) continue;
      for (const change of changesOf(it, told, between)) {
        const id = it.names.ofSource(change.key);
        if (wanted.has(id)) last.set(id, change.kind === "delete" ? null : change.after);
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

  #told({ after, upTo }: Between): Iterable<ToldRows> {
    if (after.history !== upTo.history) throw new TailraceError("source.pruned", { what: "The source's past was replaced" });
    return toldBetween(this.directory, { history: after.history, after: after.order, upTo: upTo.order });
  }
}

function changesOf({ parser }: ReadTable, { json }: ToldRows, { after, upTo }: Between): ReturnType<ReadTable["parser"]["changes"]> {
  return parser.changes(json, after.history).filter(({ at }) => at.order > after.order && at.order <= upTo.order);
}
