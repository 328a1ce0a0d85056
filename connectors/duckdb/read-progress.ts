/** How far re-reads have come, by what was read in this process. */
import type { Rereads } from "../../core/capture/rereads.js";
import type { RereadProgress } from "../../core/contracts/source.js";
import type { InstalledTable } from "./capture-directory.js";

export class ReadProgress {
  readonly #rows = new Map<number, number>();

  constructor(private readonly tables: readonly InstalledTable[]) {}

  read(table: number, rows: number): void {
    this.#rows.set(table, (this.#rows.get(table) ?? 0) + rows);
  }

  /** `rereads` null: nothing is being told yet. */
  report(rereads: Rereads | null): readonly RereadProgress[] {
    return this.tables
      .filter(({ state }) => state === "captured")
      .map(({ number, description }): RereadProgress => {
        const reading = rereads?.reading?.table === number ? rereads.reading : null;
        const counted = this.#rows.get(number);
        const waits = rereads === null || rereads.waiting.some(({ table }) => table === number);
        return {
          table: description.table,
          state: reading !== null ? "reading" : waits ? "waiting" : "done",
          rowsRead: reading?.rows ?? counted ?? 0,
          rowsEstimated:
            reading === null && !waits && counted !== undefined
              ? { kind: "known", value: counted }
              : { kind: "unknown", why: "rows are counted as they are read" },
        };
      });
  }
}
