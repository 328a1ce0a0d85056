/**
 * One live change as the records that Debezium would send for it. The order of bytes is the order of fields in `table-schema.ts`.
 *
 * create c · update u · delete d (then a tombstone) · state r, the one-row re-read that Debezium calls an incremental snapshot · rekey: delete
 * of the old key with header `__debezium.newkey`, tombstone, create of the new key with header `__debezium.oldkey`.
 *
 * The capture does not say when a change was made; all times are the time of encoding.
 */
import type { Change } from "../core/contracts/change.js";
import type { EncodedRecord } from "../core/contracts/log.js";
import type { Header } from "../core/contracts/log-store.js";
import { TailraceError } from "../core/errors.js";
import type { WriterEpoch } from "../core/vocabulary/ids.js";
import type { Position } from "../core/vocabulary/position.js";
import type { Key, Row } from "../core/vocabulary/value.js";
import { unreachable } from "../core/vocabulary/unreachable.js";
import { newKeyHeader, oldKeyHeader } from "./key-headers.js";
import { checkRecordSize } from "./record-size.js";
import type { RowWriter } from "./row-writer.js";
import type { ConnectorName, DescribedTable } from "./table-property.js";
import { GrowingBuffer } from "./wire/growing-buffer.js";
import { writeFrame } from "./wire/framing.js";

/** Of these records' form, not of the package: a release alone changes no byte. */
const formVersion = "1";

type Operation = "c" | "u" | "d" | "r";

/** What all records of one cut share. */
export interface CutStamp {
  readonly epoch: WriterEpoch;
  /** `<history>:<order of its cut>`. */
  readonly transaction: string;
  readonly wallMs: number;
  /** Records of the cut so far, in all topics: the next one's `total_order` less one. */
  total: number;
}

interface EnvelopeWriterOptions {
  readonly prefix: string;
  readonly connector: ConnectorName;
  readonly described: DescribedTable;
  readonly rows: RowWriter;
  readonly keyId: number;
  readonly valueId: number;
}

export class EnvelopeWriter {
  readonly #options: EnvelopeWriterOptions;
  readonly #out: GrowingBuffer;
  readonly #sourceBegin: Uint8Array;
  readonly #sourceTable: Uint8Array;
  #stamp: CutStamp | null = null;
  /** Records of the cut so far in this topic. */
  #ofTable = 0;
  #live: Uint8Array = new Uint8Array();
  #state: Uint8Array = new Uint8Array();
  #sourceEnd: Uint8Array = new Uint8Array();
  #transaction: Uint8Array = new Uint8Array();
  #times: Uint8Array = new Uint8Array();

  constructor(out: GrowingBuffer, options: EnvelopeWriterOptions) {
    this.#out = out;
    this.#options = options;
    this.#sourceBegin = written((bytes) => {
      bytes.string(formVersion);
      bytes.string(options.connector);
      bytes.string(options.prefix);
    });
    this.#sourceTable = written((bytes) => bytes.string(options.described.table.table));
  }

  write(changes: readonly Change[], stamp: CutStamp): readonly EncodedRecord[] {
    if (this.#stamp !== stamp) this.#begin(stamp);
    const records: EncodedRecord[] = [];
    for (const change of changes) this.#change(change, stamp, records);
    return records;
  }

  #change(change: Change, stamp: CutStamp, records: EncodedRecord[]): void {
    const { at } = change;
    switch (change.kind) {
      case "create":
      case "update":
      case "state": {
        const op = change.kind === "create" ? "c" : change.kind === "update" ? "u" : "r";
        records.push(this.#record(this.#key(change.key), this.#envelope({ op, at, before: null, after: change.after }, stamp), []));
        return;
      }
      case "delete": {
        const key = this.#key(change.key);
        records.push(this.#record(key, this.#envelope({ op: "d", at, before: change.before, after: null }, stamp), []));
        records.push(this.#tombstone(key));
        return;
      }
      case "rekey": {
        const from = this.#key(change.from);
        const to = this.#key(change.key);
        records.push(this.#record(from, this.#envelope({ op: "d", at, before: null, after: null }, stamp), [[newKeyHeader, to]]));
        records.push(this.#tombstone(from));
        records.push(this.#record(to, this.#envelope({ op: "c", at, before: null, after: change.after }, stamp), [[oldKeyHeader, from]]));
        return;
      }
      default:
        unreachable(change);
    }
  }

  #record(key: Uint8Array, value: Uint8Array, headers: readonly Header[]): EncodedRecord {
    const { topic, table } = this.#options.described;
    return checkRecordSize(table.table, { topic, partition: 0, key, value, headers, counts: 1 });
  }

  #tombstone(key: Uint8Array): EncodedRecord {
    return { topic: this.#options.described.topic, partition: 0, key, value: null, headers: [], counts: 0 };
  }

  #key(key: Key): Uint8Array {
    const out = this.#out;
    out.begin();
    writeFrame(out, this.#options.keyId);
    this.#options.rows.key(out, key);
    return out.end();
  }

  #envelope(
    change: { readonly op: Operation; readonly at: Position; readonly before: Row | null; readonly after: Row | null },
    stamp: CutStamp,
  ): Uint8Array {
    const out = this.#out;
    const { op, at } = change;
    out.begin();
    writeFrame(out, this.#options.valueId);
    this.#optionalRow(change.before);
    this.#optionalRow(change.after);
    out.raw(op === "r" ? this.#state : this.#live);
    out.string(`["${at.history}","${at.order}","${at.index}","${stamp.epoch}"]`);
    out.raw(this.#sourceEnd);
    out.safeLong(exact(at.order));
    out.raw(this.#transaction);
    out.safeLong(++stamp.total);
    out.safeLong(++this.#ofTable);
    out.string(op);
    out.raw(this.#times);
    return out.end();
  }

  #optionalRow(row: Row | null): void {
    if (row === null) {
      this.#out.byte(0);
      return;
    }
    this.#out.byte(2);
    this.#options.rows.row(this.#out, row);
  }

  /** Bytes that are the same for every record of the cut are made once. */
  #begin(stamp: CutStamp): void {
    this.#stamp = stamp;
    this.#ofTable = 0;
    this.#live = this.#sourceHead(stamp, "false");
    this.#state = this.#sourceHead(stamp, "incremental");
    this.#sourceEnd = this.#slice((bytes) => {
      writeOptionalTime(bytes, stamp.wallMs, 1_000n);
      writeOptionalTime(bytes, stamp.wallMs, 1_000_000n);
      bytes.raw(this.#sourceTable);
    });
    this.#transaction = this.#slice((bytes) => {
      bytes.byte(2);
      bytes.string(stamp.transaction);
    });
    this.#times = this.#slice((bytes) => {
      for (const unit of [1n, 1_000n, 1_000_000n]) writeOptionalTime(bytes, stamp.wallMs, unit);
    });
  }

  /** Legal between two records. Beside them: a buffer of its own for each of these would cost a small cut more than its records. */
  #slice(write: (bytes: GrowingBuffer) => void): Uint8Array {
    this.#out.begin();
    write(this.#out);
    return this.#out.end();
  }

  /** From `version` to `db`, and the branch of `sequence`. */
  #sourceHead(stamp: CutStamp, snapshot: string): Uint8Array {
    return this.#slice((bytes) => {
      bytes.raw(this.#sourceBegin);
      bytes.safeLong(Math.trunc(stamp.wallMs));
      bytes.byte(0);
      bytes.string(snapshot);
      bytes.string(this.#options.prefix);
      bytes.byte(2);
    });
  }
}

/** Of what is kept as long as the table is: it must not hold a slab. */
function written(write: (bytes: GrowingBuffer) => void): Uint8Array {
  const bytes = new GrowingBuffer(256);
  write(bytes);
  return bytes.end();
}

function writeOptionalTime(bytes: GrowingBuffer, wallMs: number, unitsInMs: bigint): void {
  bytes.byte(2);
  bytes.long(BigInt(Math.trunc(wallMs)) * unitsInMs);
}

/** Orders beyond 2^52 would be written wrongly; no SQLite file reaches them. */
function exact(order: number): number {
  if (order > 2 ** 52) throw new TailraceError("schema.value", { what: "a position's order is beyond 2^52", where: { order } });
  return order;
}
