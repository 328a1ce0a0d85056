/**
 * The private copy's log with small transactions joined into larger ones. Replaying a commit costs DuckDB a tenth to a quarter of a millisecond
 * whatever is in it, so that a log of 16 MiB of them takes it half a minute; all of them are committed, and where each of them ended is of no
 * account for the state at the end.
 *
 * Joined are only transactions that come to the same in one: rows are changed and deleted by row ids, which new rows get when their transaction
 * ends, and an index may refuse a key that its own transaction has deleted. So none that changes or deletes rows of a table follows one that
 * inserts into it, and none that inserts into a table one that deletes from it.
 */
import { entry, readTableName } from "./wal-scan.js";

/** Rows of one transaction that DuckDB would write to disk (a row group of them) never come together here. */
const joinedBytesMost = 64 << 10;

interface Rows {
  readonly inserted: Set<string>;
  readonly changed: Set<string>;
  readonly deleted: Set<string>;
}
interface Transaction extends Rows {
  readonly from: number;
  /** Where its flush frame begins, and ends. */
  readonly flush: number;
  readonly end: number;
  /** It holds rows and nothing else. */
  readonly isPlain: boolean;
}

/** `bytes` up to `end`: the log's first entry and whole transactions whose frames have been checked. */
export function joinTransactions(bytes: Buffer, headerBytes: number, end: number): Buffer {
  const kept: Buffer[] = [bytes.subarray(0, headerBytes)];
  let open: Transaction | null = null;
  let joined: Rows = emptyRows();
  let joinedBytes = 0;
  for (const next of transactionsOf(bytes, headerBytes, end)) {
    const size = next.end - next.from;
    const joins = open !== null && open.isPlain && next.isPlain && joinedBytes + size <= joinedBytesMost && canJoin(joined, next);
    if (open !== null && !joins) kept.push(bytes.subarray(open.flush, open.end));
    if (!joins) {
      joined = emptyRows();
      joinedBytes = 0;
    }
    kept.push(bytes.subarray(next.from, next.flush));
    add(joined, next);
    joinedBytes += size;
    open = next;
  }
  if (open !== null) kept.push(bytes.subarray(open.flush, open.end));
  return Buffer.concat(kept);
}

const emptyRows = (): Rows => ({ inserted: new Set(), changed: new Set(), deleted: new Set() });

function canJoin(before: Rows, next: Rows): boolean {
  return areApart(next.changed, before.inserted) && areApart(next.deleted, before.inserted) && areApart(next.inserted, before.deleted);
}

function areApart(some: ReadonlySet<string>, others: ReadonlySet<string>): boolean {
  for (const one of some) if (others.has(one)) return false;
  return true;
}

function add(to: Rows, from: Rows): void {
  for (const table of from.inserted) to.inserted.add(table);
  for (const table of from.changed) to.changed.add(table);
  for (const table of from.deleted) to.deleted.add(table);
}

function* transactionsOf(bytes: Buffer, from: number, end: number): Generator<Transaction> {
  let rows = emptyRows();
  let table = "";
  let isPlain = true;
  let begin = from;
  for (let at = from; at < end; ) {
    const payload = at + 16;
    const next = payload + Number(bytes.readBigUInt64LE(at));
    const type = bytes.readUInt8(payload + 2);
    if (type === entry.flush) {
      yield { ...rows, from: begin, flush: at, end: next, isPlain };
      rows = emptyRows();
      isPlain = true;
      begin = next;
    } else if (type === entry.useTable) table = readTableName(bytes.subarray(payload, next));
    else if (type === entry.insert) rows.inserted.add(table);
    else if (type === entry.delete) rows.deleted.add(table);
    else if (type === entry.update) rows.changed.add(table);
    else if (type !== entry.sequenceValue) isPlain = false;
    at = next;
  }
}
