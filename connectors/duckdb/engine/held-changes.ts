/**
 * When the state is checkpointed. What changes in a DuckDB file stays in memory until then and cannot be spilled: up to a MiB for each row group in
 * which a row was deleted, however few they are. DuckDB itself looks at the size of its log only, and 16 MB of that hold changes all over any table.
 *
 * Measured (DuckDB 1.5): 90,000 rows scattered over a table of 30 million, 245 row groups, held 259 MB, also after a new start had replayed them; with a
 * limit of 300 MB no copy could be attached any more. A checkpoint of one second left 7 MB.
 */
import type { Database } from "./database.js";

const rowGroupRows = 122_880;
/** Part of the memory that may be held like that. */
const heldShare = 8;

export class HeldChanges {
  readonly #groups = new Map<number, number>();

  constructor(
    private readonly database: Pick<Database, "run">,
    private readonly memoryMb: number,
  ) {}

  /** So many rows of a table that has so many were deleted or replaced, wherever they stood. */
  note(table: number, changed: number, rows: number): void {
    if (changed > 0) this.#groups.set(table, Math.min(Math.ceil(rows / rowGroupRows), (this.#groups.get(table) ?? 0) + changed));
  }

  /** Outside of a transaction. */
  async settle(): Promise<void> {
    const heldMb = [...this.#groups.values()].reduce((sum, groups) => sum + groups, 0);
    if (heldMb > this.memoryMb / heldShare) await this.letGo();
  }

  async letGo(): Promise<void> {
    await this.database.run("CHECKPOINT state");
    this.#groups.clear();
  }
}
