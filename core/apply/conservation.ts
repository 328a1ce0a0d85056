/** What became of a window's changes, table by table; the sum is checked before the commit. */
import type { Conservation } from "../contracts/target.js";
import { TailraceError } from "../errors.js";
import type { TableId } from "../vocabulary/ids.js";

type Counts = { -readonly [Kind in keyof Conservation]: number };

export class Tally {
  readonly #tables = new Map<TableId, Counts>();

  add(table: TableId, counts: Partial<Conservation>): void {
    const known = this.#tables.get(table) ?? { taken: 0, folded: 0, applied: 0, filtered: 0, quarantined: 0, replayed: 0 };
    this.#tables.set(table, known);
    for (const [kind, n] of Object.entries(counts) as [keyof Conservation, number][]) known[kind] += n;
  }

  /** Throws `target.conservation` when a change is not accounted for. */
  checked(): ReadonlyMap<TableId, Conservation> {
    for (const [table, n] of this.#tables) {
      const accounted = n.folded + n.applied + n.filtered + n.quarantined + n.replayed;
      if (accounted === n.taken) continue;
      throw new TailraceError("target.conservation", { what: `${n.taken} changes taken, ${accounted} accounted for`, where: { table } });
    }
    return this.#tables;
  }
}
