/**
 * Batches of records (magic 2) as Kafka has them on the wire, in one pass: a batch is written into one buffer of its exact size, and read without an
 * object per field. The library makes a zero-filled buffer per record and copies every batch several times; reading, it makes a decoder, two
 * big numbers and their texts for each record. Tests hold both directions to the library's own bytes.
 */
import type { Header } from "../../core/contracts/log-store.js";
import { crc32c } from "./crc32c.js";

export interface BatchedRecord {
  readonly offset: number;
  readonly key: Buffer | null;
  readonly value: Buffer | null;
  readonly headers: readonly Header[];
  /** Of the broker's own: transaction markers. */
  readonly isControlRecord: boolean;
}

export interface OutgoingBatchRecord {
  readonly offsetDelta: number;
  readonly timestampDelta: number;
  readonly key: Buffer | null;
  readonly value: Buffer | null;
  readonly headers: readonly Header[];
}

export interface BatchFields {
  readonly firstOffset: bigint;
  readonly partitionLeaderEpoch: number;
  readonly attributes: number;
  readonly lastOffsetDelta: number;
  readonly firstTimestamp: bigint;
  readonly maxTimestamp: bigint;
  readonly producerId: bigint;
  readonly producerEpoch: number;
  readonly firstSequence: number;
}

export const magic = 2;
/** Up to and with the number of records. */
const headBytes = 61;
/** Where the checksum begins to count. */
const attributesAt = 21;

// ── writing ──

export function encodeBatch(records: readonly OutgoingBatchRecord[], of: BatchFields): Buffer {
  let size = headBytes;
  for (const record of records) {
    const body = bodyBytes(record);
    size += varIntBytes(body) + body;
  }
  const out = Buffer.allocUnsafe(size);
  out.writeBigInt64BE(of.firstOffset, 0);
  out.writeInt32BE(size - 12, 8);
  out.writeInt32BE(of.partitionLeaderEpoch, 12);
  out.writeInt8(magic, 16);
  out.writeInt16BE(of.attributes, attributesAt);
  out.writeInt32BE(of.lastOffsetDelta, 23);
  out.writeBigInt64BE(of.firstTimestamp, 27);
  out.writeBigInt64BE(of.maxTimestamp, 35);
  out.writeBigInt64BE(of.producerId, 43);
  out.writeInt16BE(of.producerEpoch, 51);
  out.writeInt32BE(of.firstSequence, 53);
  out.writeInt32BE(records.length, 57);
  let at = headBytes;
  for (const record of records) at = writeRecord(out, at, record);
  out.writeUInt32BE(crc32c(out, attributesAt), 17);
  return out;
}

/** One byte of attributes before the fields, the number of headers behind them. */
function bodyBytes({ timestampDelta, offsetDelta, key, value, headers }: OutgoingBatchRecord): number {
  let bytes =
    1 + varIntBytes(timestampDelta) + varIntBytes(offsetDelta) + fieldBytes(key) + fieldBytes(value) + varIntBytes(headers.length);
  for (const [name, of] of headers) bytes += fieldBytes(Buffer.from(name, "utf8")) + fieldBytes(of);
  return bytes;
}

const fieldBytes = (bytes: Uint8Array | null): number => (bytes === null ? 1 : varIntBytes(bytes.length) + bytes.length);

function writeRecord(out: Buffer, begin: number, record: OutgoingBatchRecord): number {
  let at = writeVarInt(out, begin, bodyBytes(record));
  out[at++] = 0;
  at = writeVarInt(out, at, record.timestampDelta);
  at = writeVarInt(out, at, record.offsetDelta);
  at = writeField(out, at, record.key);
  at = writeField(out, at, record.value);
  at = writeVarInt(out, at, record.headers.length);
  for (const [name, of] of record.headers) at = writeField(out, writeField(out, at, Buffer.from(name, "utf8")), of);
  return at;
}

function writeField(out: Buffer, begin: number, bytes: Uint8Array | null): number {
  const at = writeVarInt(out, begin, bytes === null ? -1 : bytes.length);
  if (bytes === null) return at;
  out.set(bytes, at);
  return at + bytes.length;
}

const zigZag = (value: number): number => (value << 1) ^ (value >> 31);

function varIntBytes(value: number): number {
  let size = 1;
  for (let rest = zigZag(value) >>> 7; rest !== 0; rest >>>= 7) size++;
  return size;
}

function writeVarInt(out: Buffer, begin: number, value: number): number {
  let rest = zigZag(value) >>> 0;
  let at = begin;
  while (rest > 0x7f) {
    out[at++] = (rest & 0x7f) | 0x80;
    rest >>>= 7;
  }
  out[at++] = rest;
  return at;
}

// ── reading ──

/** `decompress`: of a batch's records, by the three low bits of its attributes. A batch that is cut off at the end is left out, as a fetch may cut it. */
export async function decodeBatches(
  bytes: Buffer,
  decompress: (attributes: number, bytes: Buffer) => Promise<Buffer>,
): Promise<readonly BatchedRecord[]> {
  const records: BatchedRecord[] = [];
  for (let at = 0; at + headBytes <= bytes.length; ) {
    const end = at + 12 + bytes.readInt32BE(at + 8);
    if (end > bytes.length) break;
    if (end < at + headBytes || bytes[at + 16] !== magic) throw damaged();
    const attributes = bytes.readInt16BE(at + attributesAt);
    const batch = {
      firstOffset: Number(bytes.readBigInt64BE(at)),
      count: bytes.readInt32BE(at + 57),
      isControlRecord: (attributes & 0x20) !== 0,
    };
    if ((attributes & 7) === 0) readRecords(bytes, { begin: at + headBytes, end }, batch, records);
    else {
      const plain = await decompress(attributes, bytes.subarray(at + headBytes, end));
      readRecords(plain, { begin: 0, end: plain.length }, batch, records);
    }
    at = end;
  }
  return records;
}

interface OpenBatch {
  readonly firstOffset: number;
  readonly count: number;
  readonly isControlRecord: boolean;
}

function readRecords(
  bytes: Buffer,
  { begin, end }: { readonly begin: number; readonly end: number },
  batch: OpenBatch,
  into: BatchedRecord[],
): void {
  const reader = new VarIntReader(bytes, begin, end);
  for (let i = 0; i < batch.count; i++) {
    const behind = reader.number() + reader.at;
    reader.at++;
    reader.passNumber();
    const offset = batch.firstOffset + reader.number();
    const key = reader.field();
    const value = reader.field();
    const headers = headersOf(reader);
    if (reader.at !== behind || behind > end) throw damaged();
    into.push({ offset, key, value, headers, isControlRecord: batch.isControlRecord });
  }
}

const noHeaders: readonly Header[] = [];
const nothing = Buffer.alloc(0);

function headersOf(reader: VarIntReader): readonly Header[] {
  const count = reader.number();
  if (count <= 0) return noHeaders;
  return Array.from({ length: count }, (): Header => {
    const name = reader.field() ?? nothing;
    return [name.toString("utf8"), reader.field() ?? nothing];
  });
}

class VarIntReader {
  constructor(
    private readonly bytes: Buffer,
    public at: number,
    private readonly end: number,
  ) {}

  number(): number {
    const first = this.bytes[this.at] ?? 0xff;
    if (first < 0x80) {
      this.at++;
      return (first >>> 1) ^ -(first & 1);
    }
    let value = 0;
    for (let shift = 0; shift < 35; shift += 7) {
      const byte = this.bytes[this.at++] ?? 0;
      value |= (byte & 0x7f) << shift;
      if (byte < 0x80) return (value >>> 1) ^ -(value & 1);
    }
    throw damaged();
  }

  /** Of up to 64 bits. */
  passNumber(): void {
    for (let i = 0; i < 10; i++) if ((this.bytes[this.at++] ?? 0) < 0x80) return;
    throw damaged();
  }

  field(): Buffer | null {
    const length = this.number();
    if (length < 0) return null;
    const begin = this.at;
    this.at += length;
    if (this.at > this.end) throw damaged();
    return this.bytes.subarray(begin, this.at);
  }
}

const damaged = (): Error => new Error("a batch of records is not as Kafka writes it");
