/**
 * Mends rows that differ through the log, never around it: each key is touched at the side that applications write to, so that the relay tells it as it is now (or its delete)
 * and the sink writes it like any change. Then the rows are compared again.
 */
import { randomUUID } from "node:crypto";
import type { SourceRequests } from "../../core/contracts/source.js";
import type { StoredMismatch, VerificationStore } from "../../core/contracts/verification.js";
import { rowsByKeyMax } from "../../core/contracts/row-reader.js";
import { markerId, type TableId } from "../../core/vocabulary/ids.js";
import { Ledger } from "./ledger.js";
import { settle } from "./settle.js";
import { reached, type Sides } from "./sides.js";

export type RepairRequests = Pick<SourceRequests, "touch" | "marker">;

export interface RepairOptions {
  readonly sides: Sides;
  readonly store: VerificationStore;
  readonly repairs: RepairRequests;
  /** null: every table. */
  readonly table: TableId | null;
  /** From here on something was asked for. */
  readonly onAsking?: () => void;
}
export interface TableRepair {
  readonly table: TableId;
  readonly asked: number;
  readonly equal: number;
  readonly different: number;
  /** Not looked at again: the target has not come so far. */
  readonly waiting: number;
}
export interface RepairResult {
  readonly tables: readonly TableRepair[];
  /** Why rows were not looked at again; null when all were. */
  readonly why: string | null;
}

const batchMax = 5_000;

/** Rejects with `verify.differs-in-kind` before anything is asked for when tables or mapping differ: then no row is to blame. */
export async function repair(options: RepairOptions, signal: AbortSignal): Promise<RepairResult> {
  const { sides, store, repairs: requests, table } = options;
  const open = await store.mismatches({ table, limit: 1_000_000 }, signal);
  const byTable = new Map<TableId, StoredMismatch[]>();
  for (const row of open) {
    const known = byTable.get(row.table);
    if (known === undefined) byTable.set(row.table, [row]);
    else known.push(row);
  }
  for (const one of byTable.keys()) await assertComparable(sides, one, signal);
  if (open.length > 0) options.onAsking?.();
  for (const [one, rows] of byTable) {
    for (const batch of batches(rows)) {
      // Recorded first: what was asked for and is on no record would be a repair that nobody knows of.
      await store.asked(
        batch.map(({ number }) => number),
        signal,
      );
      await requests.touch(
        one,
        batch.map(({ key }) => key),
      );
    }
  }
  if (open.length === 0) return { tables: [], why: null };
  const at = await requests.marker(markerId(`repair-${randomUUID()}`));
  const why = await reached(sides, at, signal);
  if (why !== null) {
    const tables = [...byTable].map(([one, rows]) => ({ table: one, asked: rows.length, equal: 0, different: 0, waiting: rows.length }));
    return { tables, why };
  }
  return { tables: await lookAgain(options, byTable, signal), why: null };
}

async function assertComparable(sides: Sides, table: TableId, signal: AbortSignal): Promise<void> {
  await sides.source.rowsByKey(table, [], signal);
  await sides.target.rowsByKey(table, [], signal);
}

async function lookAgain(
  { sides, store }: RepairOptions,
  byTable: ReadonlyMap<TableId, readonly StoredMismatch[]>,
  signal: AbortSignal,
): Promise<readonly TableRepair[]> {
  const [newest] = await store.runs(1, signal);
  const out: TableRepair[] = [];
  const none = { state: "done", rows: 0, chunks: 0, equalChunks: 0, missing: 0, extra: 0, changed: 0, unsettled: 0, ms: 0 } as const;
  const ledger = await Ledger.of(
    store,
    [...byTable.keys()].map((table) => ({ table, ...none })),
    signal,
  );
  for (const [table, rows] of byTable) {
    let equal = 0;
    for (const batch of batches(rows)) {
      const keys = batch.map(({ key }) => key);
      const names = await sides.source.identify(table, keys, signal);
      const answers = await settle(sides, table, names, signal);
      equal += answers.filter(({ kind }) => kind === "equal").length;
      ledger.settled(table, answers);
    }
    out.push({ table, asked: rows.length, equal, different: rows.length - equal, waiting: 0 });
  }
  if (newest !== undefined) await ledger.flush(newest.run, null, signal);
  return out;
}

function* batches<T>(rows: readonly T[]): Generator<readonly T[]> {
  const size = Math.min(batchMax, rowsByKeyMax);
  for (let i = 0; i < rows.length; i += size) yield rows.slice(i, i + size);
}
