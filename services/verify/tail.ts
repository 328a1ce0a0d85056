/**
 * Follows the capture log and compares every row that changed: what was proven equal once stays proven, change by change. Together with ranges that
 * were read above `proven`'s beginning it makes one statement of many reads: all that was found equal is equal as of `proven`.
 *
 * The target is read at Pt, and the log says what each of these rows was then: nothing has to be waited for. Only where the log does not say are both
 * sides asked.
 */
import { type ChangedKeys, type RowName, rowsByKeyMax } from "../../core/contracts/row-reader.js";
import type { TableId } from "../../core/vocabulary/ids.js";
import { isAbove, type Position, position } from "../../core/vocabulary/position.js";
import { settle, settledAs, type Settled } from "./settle.js";
import { compareOf, type Sides } from "./sides.js";

export interface TailOptions {
  readonly sides: Sides;
  readonly changes: ChangedKeys;
  readonly tables: ReadonlySet<TableId>;
  readonly from: Position;
  readonly onSettled: (table: TableId, answers: readonly Settled[]) => void;
}

/** Rows of the log that one step takes on. PostgreSQL counts bytes, and its keys are told once however often they change. */
const stepMax = { forward: 20_000, reverse: Number.POSITIVE_INFINITY } as const;

export class Tail {
  #proven: Position;
  #rows = 0;

  constructor(private readonly options: TailOptions) {
    this.#proven = options.from;
  }

  get proven(): Position {
    return this.#proven;
  }

  /** Rows that were read so far. */
  get rows(): number {
    return this.#rows;
  }

  /** Up to what the target has applied now, or `until`; at most one step of it. True: there is more. Rejects with `source.pruned` when the log is gone. */
  async advance(signal: AbortSignal, until?: Position): Promise<boolean> {
    const { sides, changes } = this.options;
    const goal = until ?? (await sides.target.position(signal));
    if (!isAbove(goal, this.#proven) || (goal.order <= this.#proven.order && goal.history === this.#proven.history)) return false;
    const upTo = position(goal.history, Math.min(goal.order, this.#proven.order + stepMax[sides.direction]));
    const from = this.#proven;
    const waiting = new Map<TableId, Map<string, RowName>>();
    for await (const page of changes.changedKeys({ after: this.#proven, upTo }, signal)) {
      for (const { table, key, id } of page) {
        if (!this.options.tables.has(table)) continue;
        const rows = waiting.get(table) ?? new Map<string, RowName>();
        waiting.set(table, rows.set(id, { id, key }));
        if (rows.size >= rowsByKeyMax) await this.#compare(waiting, table, from, signal);
      }
    }
    for (const table of [...waiting.keys()]) await this.#compare(waiting, table, from, signal);
    this.#proven = upTo;
    return upTo.order < goal.order;
  }

  async #compare(waiting: Map<TableId, Map<string, RowName>>, table: TableId, from: Position, signal: AbortSignal): Promise<void> {
    const { sides, changes, onSettled } = this.options;
    const rows = [...(waiting.get(table)?.values() ?? [])];
    waiting.delete(table);
    this.#rows += rows.length;
    const compare = compareOf(sides, table);
    const target = await sides.target.rowsByKey(
      table,
      rows.map(({ key }) => key),
      signal,
    );
    const theirs = new Map(target.value.map((row) => [row.id, row]));
    const then = await changes.changedRows(table, rows, { after: from, upTo: target.at }, signal);
    const unknown: RowName[] = [];
    const answers = rows.flatMap((row): readonly Settled[] => {
      const image = then.get(row.id);
      if (image !== undefined && image.kind !== "unknown") return [settledAs(row, compare(image, theirs.get(row.id)), target.at)];
      unknown.push(row);
      return [];
    });
    onSettled(table, answers);
    if (unknown.length > 0) onSettled(table, await settle(sides, table, unknown, signal));
  }
}
