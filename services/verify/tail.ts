/**
 * Follows the capture log and settles every row that changed: what was proven equal once stays proven, change by change. Together with ranges that
 * were read above `proven`'s beginning it makes one statement of many reads: all that was found equal is equal as of `proven`.
 */
import { type ChangedKeys, type RowName, rowsByKeyMax } from "../../core/contracts/row-reader.js";
import type { TableId } from "../../core/vocabulary/ids.js";
import { isAbove, type Position, position } from "../../core/vocabulary/position.js";
import { settle, type Settled } from "./settle.js";
import type { Sides } from "./sides.js";

export interface TailOptions {
  readonly sides: Sides;
  readonly changes: ChangedKeys;
  readonly tables: ReadonlySet<TableId>;
  readonly from: Position;
  readonly onSettled: (table: TableId, answers: readonly Settled[]) => void;
}

/** Rows of the log that one step takes on. */
const stepMax = 20_000;

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
    const upTo =
      goal.order > this.#proven.order + stepMax ? position(goal.history, this.#proven.order + stepMax) : position(goal.history, goal.order);
    const waiting = new Map<TableId, Map<string, RowName>>();
    for await (const page of changes.changedKeys({ after: this.#proven, upTo }, signal)) {
      for (const { table, key, id } of page) {
        if (!this.options.tables.has(table)) continue;
        const rows = waiting.get(table) ?? new Map<string, RowName>();
        waiting.set(table, rows.set(id, { id, key }));
        if (rows.size >= rowsByKeyMax) await this.#settle(waiting, table, signal);
      }
    }
    for (const table of [...waiting.keys()]) await this.#settle(waiting, table, signal);
    this.#proven = upTo;
    return upTo.order < goal.order;
  }

  async #settle(waiting: Map<TableId, Map<string, RowName>>, table: TableId, signal: AbortSignal): Promise<void> {
    const rows = [...(waiting.get(table)?.values() ?? [])];
    waiting.delete(table);
    this.#rows += rows.length;
    this.options.onSettled(table, await settle(this.options.sides, table, rows, signal));
  }
}
