/**
 * Counts, before day one, the values that would stop the pipeline. Exact for the rows it is given, because it runs the very mapping that the
 * sink runs.
 */
import type { ErrorCode } from "../error-catalogue.js";
import type { TableMapping } from "../mapping/mapped.js";
import { keyOf, type TableDescription } from "../vocabulary/table.js";
import type { Key, Row } from "../vocabulary/value.js";

export interface CensusEntry {
  /** Source column. */
  readonly column: string;
  readonly code: ErrorCode;
  readonly reason: string;
  readonly count: number;
  /** Of the first row where it was seen. */
  readonly exampleKey: Key;
}

export interface Census {
  readonly rows: number;
  /** Rows with at least one such value. */
  readonly rowsRefused: number;
  /** By column in the order of first sight. */
  readonly entries: readonly CensusEntry[];
}

export async function census(
  table: TableDescription,
  mapping: TableMapping,
  pages: Iterable<readonly Row[]> | AsyncIterable<readonly Row[]>,
): Promise<Census> {
  let rows = 0;
  let rowsRefused = 0;
  const entries = new Map<string, CensusEntry>();
  for await (const page of pages) {
    for (const row of page) {
      rows++;
      // `map` is the fast path, and nearly every row takes it.
      if (mapping.map(row).kind === "row") continue;
      rowsRefused++;
      for (const { column, code, reason } of mapping.refusals(row)) {
        const name = JSON.stringify([column, code, reason]);
        const seen = entries.get(name);
        entries.set(name, { column, code, reason, count: (seen?.count ?? 0) + 1, exampleKey: seen?.exampleKey ?? keyOf(table, row) });
      }
    }
  }
  return { rows, rowsRefused, entries: [...entries.values()] };
}
