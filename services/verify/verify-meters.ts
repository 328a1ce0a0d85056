/** What the verify service counts. A table that was never read to its end has no age: it is left out, not invented. */
import type { Clock } from "../../core/clock.js";
import type { ChunkProof, TableResult } from "../../core/contracts/verification.js";
import type { Counter, Gauge, Metrics } from "../../core/metrics.js";
import type { TableId } from "../../core/vocabulary/ids.js";

export class VerifyMeters {
  readonly #rows: Counter;
  readonly #ranges: Counter;
  readonly #sweeps: Counter;
  readonly #oldest: Gauge;
  readonly #mismatches: Gauge;
  /** When each table's present pass began, and when the last whole one had begun. */
  readonly #passes = new Map<TableId, { readonly beganMs: number; readonly wholeMs: number | null }>();

  constructor(
    metrics: Metrics,
    private readonly clock: Clock,
  ) {
    this.#rows = metrics.counter("tailrace_verify_rows_total", "Rows of ranges that were compared, by table", ["table"]);
    this.#ranges = metrics.counter("tailrace_verify_ranges_total", "Ranges that were compared, by table and by what they were", [
      "table",
      "result",
    ]);
    this.#sweeps = metrics.counter("tailrace_verify_sweeps_total", "Times that every table was compared to its end");
    this.#oldest = metrics.gauge("tailrace_verify_oldest_range_seconds", "Age of the oldest reading that a table's proof rests on", [
      "table",
    ]);
    this.#mismatches = metrics.gauge("tailrace_verify_mismatches", "Rows on record as differing, by table and kind", ["table", "kind"]);
  }

  range({ table, number, rows, state }: ChunkProof): void {
    this.#rows.add(rows, { table });
    this.#ranges.add(1, { table, result: state });
    const pass = this.#passes.get(table);
    if (number === 0 || pass === undefined) this.#passes.set(table, { beganMs: this.clock.monotonicMs(), wholeMs: pass?.wholeMs ?? null });
  }

  progress(results: readonly TableResult[]): void {
    for (const result of results) {
      const { table } = result;
      for (const kind of ["missing", "extra", "changed", "unsettled"] as const) this.#mismatches.set(result[kind], { table, kind });
      const pass = this.#passes.get(table);
      if (pass === undefined) continue;
      if (result.state === "done") this.#passes.set(table, { ...pass, wholeMs: pass.beganMs });
      const wholeMs = this.#passes.get(table)?.wholeMs ?? null;
      this.#oldest.set(wholeMs === null ? null : (this.clock.monotonicMs() - wholeMs) / 1_000, { table });
    }
  }

  swept(results: readonly TableResult[]): void {
    this.#sweeps.add(1);
    this.progress(results);
  }
}
