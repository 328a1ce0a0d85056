/**
 * Records in the file: writing, reading a page, forgetting a few. All functions run inside a transaction of their caller.
 *
 * What one append brings for a partition lies in one row, a batch: SQLite's work per row, and ours per value, are then paid per batch. A compacted
 * topic has a batch for each record, since any of them may have to go alone.
 */
import type { OutgoingRecord, StoredRecord } from "../../core/contracts/log-store.js";
import type { Topic } from "../../core/vocabulary/ids.js";
import { type BatchRow, packBatch, unpackBatch } from "./batch.js";
import type { Connection } from "./log-file.js";

export interface PageLimits {
  readonly records: number;
  readonly bytes: number;
}
/** from ≤ offset < until. */
export interface OffsetRange {
  readonly from: number;
  readonly until: number;
}
export const pageLimits: PageLimits = { records: 1_000, bytes: 1024 * 1024 };
const forgetLimits: PageLimits = { records: 2_000, bytes: 4 * 1024 * 1024 };

const offsetMask = 2 ** 40 - 1;
const insert = "INSERT INTO batch (id, count, bytes) VALUES ((? << 40) | ?, ?, ?)";
/** From the batch that holds the first offset on: it may begin below it. */
const select = `
  SELECT id & ${offsetMask}, count, bytes FROM batch
  WHERE id >= coalesce((SELECT max(id) FROM batch WHERE id BETWEEN (? << 40) AND ((? << 40) | ?)), (? << 40)) AND id < ((? << 40) | ?)
  ORDER BY id`;
/** Only batches that lie in the range as a whole. The length comes from the row's header: no bytes are read. */
const measure = `
  SELECT id & ${offsetMask}, count, length(bytes) FROM batch
  WHERE id >= ((? << 40) | ?) AND id + count <= ((? << 40) | ?) AND id < ((? << 40) | ?) ORDER BY id`;
const forget = "DELETE FROM batch WHERE id >= ((? << 40) | ?) AND id <= ((? << 40) | ?)";

/** `records` follow each other from `at` on. */
export function insertBatches(
  connection: Connection,
  partition: { readonly id: number; readonly compacted: boolean },
  at: number,
  records: readonly OutgoingRecord[],
): void {
  const recordsMax = partition.compacted ? 1 : pageLimits.records;
  for (let begin = 0; begin < records.length; ) {
    const { count, bytes } = packBatch(records, begin, { records: recordsMax, bytes: pageLimits.bytes });
    connection.sql(insert).run(partition.id, at + begin, count, bytes);
    begin += count;
  }
}

/** Keeps only the newest record of a key; called for each record of a compacted topic as it is written. */
export function dropOlder(connection: Connection, partitionId: number, at: number, key: Uint8Array): void {
  const older = connection.rows('SELECT "offset" FROM latest WHERE partition = ? AND key = ?').get(partitionId, key) as
    | readonly [number]
    | undefined;
  if (older !== undefined) connection.sql("DELETE FROM batch WHERE id = ((? << 40) | ?)").run(partitionId, older[0]);
  connection
    .sql(
      'INSERT INTO latest (partition, key, "offset") VALUES (?, ?, ?) ON CONFLICT (partition, key) DO UPDATE SET "offset" = excluded."offset"',
    )
    .run(partitionId, key, at);
}

/** The next records of a partition, as many as fit the limits and at least one if there is one. */
export function readPage(
  connection: Connection,
  { topic, partition, id }: { readonly topic: Topic; readonly partition: number; readonly id: number },
  { from, until }: OffsetRange,
): readonly StoredRecord[] {
  const page: StoredRecord[] = [];
  let bytes = 0;
  for (const row of connection.rows(select).iterate(id, id, from, id, id, until)) {
    const [first, count, packed] = row as BatchRow;
    if (first + count <= from) continue;
    for (const record of unpackBatch({ topic, partition, first, bytes: packed }, count)) {
      if (record.offset >= from && record.offset < until) page.push(record);
    }
    bytes += packed.length;
    if (bytes >= pageLimits.bytes || page.length >= pageLimits.records) break;
  }
  return page;
}

/** Deletes the oldest batches of the range, only so many that no other writer waits long. True: there are more. */
export function forgetSome(connection: Connection, partitionId: number, { from, until }: OffsetRange): boolean {
  let records = 0;
  let bytes = 0;
  let last = -1;
  for (const row of connection.rows(measure).iterate(partitionId, from, partitionId, until, partitionId, until)) {
    const [first, count, length] = row as readonly [number, number, number];
    last = first;
    records += count;
    bytes += length;
    if (bytes >= forgetLimits.bytes || records >= forgetLimits.records) break;
  }
  if (records === 0) return false;
  connection.sql(forget).run(partitionId, from, partitionId, last);
  return records >= forgetLimits.records || bytes >= forgetLimits.bytes;
}
