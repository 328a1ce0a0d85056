/** How far re-reads have come. Row counts are estimated when a table's turn comes: exactly while that is quick, else by sampling. */
import type { CapturedTable } from "../../core/capture/capture-log.js";
import type { Rereads } from "../../core/capture/rereads.js";
import type { Chunk } from "../../core/contracts/change.js";
import type { Known, RereadProgress } from "../../core/contracts/source.js";
import type { TableId } from "../../core/vocabulary/ids.js";
import type { Database } from "./database.js";
import { quoteName } from "./quote.js";

const countedMax = 200_000;
const probes = 16;
const probeSpan = 2_000;

export class ProgressBoard {
  readonly #estimates = new Map<TableId, Known<number>>();
  readonly #rows = new Map<TableId, number>();

  constructor(private readonly reader: Database) {}

  /** As chunks are handed over. */
  chunkRead(table: TableId, chunk: Chunk): void {
    const begins = chunk.scope.after === null;
    this.#rows.set(table, (begins ? 0 : (this.#rows.get(table) ?? 0)) + chunk.rows.length);
    if (begins) this.#estimates.delete(table);
  }

  report(tables: Iterable<CapturedTable>, rereads: Rereads | null): readonly RereadProgress[] {
    const waiting = new Set(rereads?.waiting.map((w) => w.table));
    const reports: RereadProgress[] = [];
    for (const table of tables) {
      if (table.state !== "captured") continue;
      const isReading = rereads?.reading?.table === table.number;
      const state = isReading ? "reading" : waiting.has(table.number) || rereads === null ? "waiting" : "done";
      const rowsRead = isReading ? (rereads?.reading?.rows ?? 0) : state === "done" ? (this.#rows.get(table.description.table) ?? 0) : 0;
      reports.push({ table: table.description.table, state, rowsRead, rowsEstimated: this.#estimate(table, state, rowsRead) });
    }
    return reports;
  }

  #estimate(table: CapturedTable, state: RereadProgress["state"], rowsRead: number): Known<number> {
    if (state === "done") {
      return this.#rows.has(table.description.table)
        ? { kind: "known", value: rowsRead }
        : { kind: "unknown", why: "it was read by an earlier process" };
    }
    const known = this.#estimates.get(table.description.table);
    if (known !== undefined) return known;
    const fresh = estimateRows(this.reader, table.description.table);
    this.#estimates.set(table.description.table, fresh);
    return fresh;
  }
}

/** Never scans more than it says above. */
export function estimateRows(reader: Database, table: string): Known<number> {
  const name = quoteName(table);
  const counted = Number(reader.prepare(`SELECT count(*) FROM (SELECT 1 FROM ${name} LIMIT ${countedMax})`).pluck().get());
  if (counted < countedMax) return { kind: "known", value: counted };
  const isRowidTable = reader.prepare("SELECT wr FROM pragma_table_list WHERE schema = 'main' AND name = ?").pluck().get(table) === 0;
  const sampled = isRowidTable ? sample(reader, name) : null;
  return sampled === null
    ? { kind: "unknown", why: "its rows cannot be counted quickly" }
    : { kind: "known", value: Math.max(counted, sampled) };
}

/** Density of rowids at evenly spaced places, times their span. null when they are too thin for that to mean anything. */
function sample(reader: Database, name: string): number | null {
  const min = Number(reader.prepare(`SELECT min(rowid) FROM ${name}`).pluck().get());
  const max = Number(reader.prepare(`SELECT max(rowid) FROM ${name}`).pluck().get());
  const span = max - min + 1;
  const count = reader.prepare(`SELECT count(*) FROM ${name} WHERE rowid >= ? AND rowid < ?`).pluck();
  let found = 0;
  for (let i = 0; i < probes; i++) {
    const from = BigInt(Math.floor(min + (span * i) / probes));
    found += Number(count.get(from, from + BigInt(probeSpan)));
  }
  return found < probes * 20 ? null : Math.round((found / (probes * probeSpan)) * span);
}
