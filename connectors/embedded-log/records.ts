/** Records in the file: writing, reading a page, forgetting a few. All functions run inside a transaction of their caller. */
import type { Header, OutgoingRecord, StoredRecord } from "../../core/contracts/log-store.js";
import { TailraceError } from "../../core/errors.js";
import { offset, type Topic } from "../../core/vocabulary/ids.js";
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
const insert = "INSERT INTO record (id, key, value, headers) VALUES ((? << 40) | ?, ?, ?, ?)";
const select = `
  SELECT id & ${offsetMask}, key, value, headers FROM record
  WHERE id >= ((? << 40) | ?) AND id < ((? << 40) | ?) ORDER BY id LIMIT ?`;
const within = "FROM record WHERE id >= ((? << 40) | ?) AND id < ((? << 40) | ?) ORDER BY id LIMIT ?";
/** Lengths come from the row's header: no value is read. */
const size = `
  SELECT coalesce(sum(bytes), 0), coalesce(sum(headers), 0)
  FROM (SELECT coalesce(length(key), 0) + coalesce(length(value), 0) AS bytes, headers IS NOT NULL AS headers ${within})`;
/** Bytes pass through TEXT as they are: the file is UTF-8, and SQLite neither checks nor converts. */
const packed = `
  SELECT group_concat(lengths, ','), CAST(group_concat(bytes, '') AS BLOB)
  FROM (SELECT (id & ${offsetMask}) || ' ' || coalesce(length(key), -1) || ' ' || coalesce(length(value), -1) AS lengths,
               coalesce(CAST(key AS TEXT), '') || coalesce(CAST(value AS TEXT), '') AS bytes ${within})`;
const measure = `
  SELECT id & ${offsetMask}, length(key), length(value) FROM record
  WHERE id >= ((? << 40) | ?) AND id < ((? << 40) | ?) ORDER BY id LIMIT ?`;
const forget = "DELETE FROM record WHERE id >= ((? << 40) | ?) AND id <= ((? << 40) | ?)";

type RecordRow = readonly [at: number, key: Buffer | null, value: Buffer | null, headers: Buffer | null];

export function insertRecord(connection: Connection, partitionId: number, at: number, record: OutgoingRecord): void {
  connection.sql(insert).run(partitionId, at, record.key, record.value, encodeHeaders(record.headers));
}

/** Keeps only the newest record of a key; called for each record of a compacted topic as it is written. */
export function dropOlder(connection: Connection, partitionId: number, at: number, key: Uint8Array): void {
  const older = connection.rows('SELECT "offset" FROM latest WHERE partition = ? AND key = ?').get(partitionId, key) as
    | readonly [number]
    | undefined;
  if (older !== undefined) connection.sql("DELETE FROM record WHERE id = ((? << 40) | ?)").run(partitionId, older[0]);
  connection
    .sql(
      'INSERT INTO latest (partition, key, "offset") VALUES (?, ?, ?) ON CONFLICT (partition, key) DO UPDATE SET "offset" = excluded."offset"',
    )
    .run(partitionId, key, at);
}

/** The next records of a partition, as many as fit the limits and at least one if there is one. */
export function readPage(connection: Connection, of: PagePlace, range: OffsetRange): readonly StoredRecord[] {
  const bounds = [of.id, range.from, of.id, range.until, pageLimits.records];
  const [bytes, withHeaders] = connection.rows(size).get(...bounds) as readonly [number, number];
  return bytes <= pageLimits.bytes && withHeaders === 0 ? readPacked(connection, of, bounds) : readOneByOne(connection, of, bounds);
}

interface PagePlace {
  readonly topic: Topic;
  readonly partition: number;
  readonly id: number;
}

function readOneByOne(connection: Connection, { topic, partition }: PagePlace, bounds: readonly number[]): readonly StoredRecord[] {
  const page: StoredRecord[] = [];
  let bytes = 0;
  for (const row of connection.rows(select).iterate(...bounds)) {
    const [at, key, value, headers] = row as RecordRow;
    page.push({ topic, partition, offset: offset(at), key, value, headers: decodeHeaders(headers) });
    bytes += (key?.length ?? 0) + (value?.length ?? 0);
    if (bytes >= pageLimits.bytes) break;
  }
  return page;
}

/** All bytes of the page in one blob, and who has which of them in one text: a buffer per key and value costs five times as much. */
function readPacked(connection: Connection, { topic, partition }: PagePlace, bounds: readonly number[]): readonly StoredRecord[] {
  const [lengths, bytes] = connection.rows(packed).get(...bounds) as readonly [string | null, Buffer | null];
  if (lengths === null || bytes === null) return [];
  let begin = 0;
  const take = (length: number): Buffer | null => (length < 0 ? null : bytes.subarray(begin, (begin += length)));
  const page = lengths.split(",").map((record): StoredRecord => {
    const [at = 0, keyBytes = 0, valueBytes = 0] = record.split(" ").map(Number);
    return { topic, partition, offset: offset(at), key: take(keyBytes), value: take(valueBytes), headers: noHeaders };
  });
  // What a subquery's order is worth to group_concat is SQLite's habit, not its promise.
  if (begin !== bytes.length || page.some((record, i) => record.offset <= (page[i - 1]?.offset ?? -1))) {
    throw new TailraceError("internal", { what: "records of a page did not come in their order", where: { topic, partition } });
  }
  return page;
}

/** Deletes the oldest records of the range, only so many that no other writer waits long. True: there are more. */
export function forgetSome(connection: Connection, partitionId: number, { from, until }: OffsetRange): boolean {
  let records = 0;
  let bytes = 0;
  let last = -1;
  for (const row of connection.rows(measure).iterate(partitionId, from, partitionId, until, forgetLimits.records)) {
    const [at, keyBytes, valueBytes] = row as readonly [number, number | null, number | null];
    last = at;
    records++;
    bytes += (keyBytes ?? 0) + (valueBytes ?? 0);
    if (bytes >= forgetLimits.bytes) break;
  }
  if (records === 0) return false;
  connection.sql(forget).run(partitionId, from, partitionId, last);
  return records === forgetLimits.records || bytes >= forgetLimits.bytes;
}

const noHeaders: readonly Header[] = [];

/** Each header: uint16 length and name, uint32 length and value. Null: none, which is nearly always. */
export function encodeHeaders(headers: readonly Header[]): Buffer | null {
  if (headers.length === 0) return null;
  const parts: Uint8Array[] = [];
  for (const [name, value] of headers) {
    const text = Buffer.from(name, "utf8");
    const lengths = Buffer.alloc(6);
    lengths.writeUInt16BE(text.length, 0);
    lengths.writeUInt32BE(value.length, 2);
    parts.push(lengths, text, value);
  }
  return Buffer.concat(parts);
}

export function decodeHeaders(bytes: Buffer | null): readonly Header[] {
  if (bytes === null) return noHeaders;
  const headers: Header[] = [];
  for (let at = 0; at < bytes.length; ) {
    const nameEnd = at + 6 + bytes.readUInt16BE(at);
    const valueEnd = nameEnd + bytes.readUInt32BE(at + 2);
    headers.push([bytes.toString("utf8", at + 6, nameEnd), bytes.subarray(nameEnd, valueEnd)]);
    at = valueEnd;
  }
  return headers;
}
