/**
 * Records of one batch as bytes. Each: lengths of key, value and headers (int32, -1: none), then the three. Headers, which few records have: uint16
 * length and name, uint32 length and value.
 */
import type { Header, OutgoingRecord, StoredRecord } from "../../core/contracts/log-store.js";
import { TailraceError } from "../../core/errors.js";
import { offset, type Offset, type Topic } from "../../core/vocabulary/ids.js";

export type BatchRow = readonly [first: number, count: number, bytes: Buffer];
export interface PackedBatch {
  readonly count: number;
  readonly bytes: Buffer;
}

const prefixBytes = 12;

/** As many records from `begin` on as fit the limits, and at least one. */
export function packBatch(
  records: readonly OutgoingRecord[],
  begin: number,
  limits: { readonly records: number; readonly bytes: number },
): PackedBatch {
  const headers: (Buffer | null)[] = [];
  let size = 0;
  for (let i = begin; i < records.length && i - begin < limits.records; i++) {
    const record = records[i];
    if (record === undefined) break;
    const packed = record.headers.length === 0 ? null : packHeaders(record.headers);
    const grown = size + prefixBytes + (record.key?.length ?? 0) + (record.value?.length ?? 0) + (packed?.length ?? 0);
    if (grown > limits.bytes && size > 0) break;
    size = grown;
    headers.push(packed);
  }
  const bytes = Buffer.allocUnsafe(size);
  let at = 0;
  headers.forEach((packed, i) => {
    const { key = null, value = null } = records[begin + i] ?? {};
    at = bytes.writeInt32LE(key === null ? -1 : key.length, at);
    at = bytes.writeInt32LE(value === null ? -1 : value.length, at);
    at = bytes.writeInt32LE(packed === null ? -1 : packed.length, at);
    for (const part of [key, value, packed]) {
      if (part === null) continue;
      bytes.set(part, at);
      at += part.length;
    }
  });
  return { count: headers.length, bytes };
}

/** Where a batch's records lie. */
export interface OpenBatch {
  readonly topic: Topic;
  readonly partition: number;
  readonly first: number;
  readonly bytes: Buffer;
}

/** All of them are looked at, so that a damaged batch gives none. */
export function unpackBatch(batch: OpenBatch, count: number): readonly PackedRecord[] {
  const { bytes } = batch;
  const records: PackedRecord[] = [];
  let at = 0;
  for (let i = 0; i < count; i++) {
    if (at + prefixBytes > bytes.length) throw damaged();
    records.push(new PackedRecord(batch, i, at));
    at += prefixBytes + lengthAt(bytes, at) + lengthAt(bytes, at + 4) + lengthAt(bytes, at + 8);
  }
  if (at !== bytes.length) throw damaged();
  return records;
}

/** -1 stands for none, which takes no bytes. */
const lengthAt = (bytes: Buffer, at: number): number => Math.max(0, bytes.readInt32LE(at));

/** A record where it lies in its batch: a window holds thousands, and a view of each key and value would take as much as the bytes themselves. */
export class PackedRecord implements StoredRecord {
  constructor(
    private readonly batch: OpenBatch,
    private readonly place: number,
    private readonly at: number,
  ) {}

  get topic(): Topic {
    return this.batch.topic;
  }

  get partition(): number {
    return this.batch.partition;
  }

  get offset(): Offset {
    return offset(this.batch.first + this.place);
  }

  get key(): Buffer | null {
    return this.#part(this.at, 0);
  }

  get value(): Buffer | null {
    return this.#part(this.at + 4, lengthAt(this.batch.bytes, this.at));
  }

  get headers(): readonly Header[] {
    const { bytes } = this.batch;
    const packed = this.#part(this.at + 8, lengthAt(bytes, this.at) + lengthAt(bytes, this.at + 4));
    return packed === null ? noHeaders : unpackHeaders(packed);
  }

  #part(said: number, behind: number): Buffer | null {
    const { bytes } = this.batch;
    const length = bytes.readInt32LE(said);
    const begin = this.at + prefixBytes + behind;
    return length < 0 ? null : bytes.subarray(begin, begin + length);
  }
}

const noHeaders: readonly Header[] = [];
const damaged = (): TailraceError => new TailraceError("log.damaged", { what: "a batch of records is not as it was written" });

function packHeaders(headers: readonly Header[]): Buffer {
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

function unpackHeaders(bytes: Buffer): readonly Header[] {
  const headers: Header[] = [];
  for (let at = 0; at < bytes.length; ) {
    const nameEnd = at + 6 + bytes.readUInt16BE(at);
    const valueEnd = nameEnd + bytes.readUInt32BE(at + 2);
    headers.push([bytes.toString("utf8", at + 6, nameEnd), bytes.subarray(nameEnd, valueEnd)]);
    at = valueEnd;
  }
  return headers;
}
