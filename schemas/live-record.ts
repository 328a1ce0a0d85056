/**
 * Records whose rows are still bytes. The reader holds records for as long as their cut is not whole, and the target asks for each row once, when it
 * writes it down: what a row is made of then lives no longer than that, and one that was superseded is never made at all. A record and the change
 * that it tells are one object, since as many of them are in memory as a window has changes.
 */
import type { DecodedRecord } from "../core/contracts/log.js";
import type { StoredRecord } from "../core/contracts/log-store.js";
import type { WriterEpoch } from "../core/vocabulary/ids.js";
import type { Position } from "../core/vocabulary/position.js";
import type { TableDescription } from "../core/vocabulary/table.js";
import type { Key, Row } from "../core/vocabulary/value.js";
import type { ChunkHead } from "./chunk-reader.js";

/** Of one schema. Reading throws `log.garbage` with the record's place. */
export interface LateRows {
  readonly table: TableDescription;
  before(stored: StoredRecord, at: number): Row;
  after(stored: StoredRecord, at: number): Row;
}

/** What is known of a record without its rows. */
export interface LiveHead {
  readonly at: Position;
  readonly epoch: WriterEpoch;
  readonly bytes: number;
  readonly key: Key;
  /** Where its row begins in the record's value; null: it has none. */
  readonly rowAt: number | null;
}

abstract class LiveRecord {
  readonly at: Position;
  readonly epoch: WriterEpoch;
  readonly bytes: number;
  readonly key: Key;
  protected readonly rowAt: number;

  constructor(
    protected readonly rows: LateRows,
    protected readonly stored: StoredRecord,
    { at, epoch, bytes, key, rowAt }: LiveHead,
  ) {
    this.at = at;
    this.epoch = epoch;
    this.bytes = bytes;
    this.key = key;
    this.rowAt = rowAt ?? noRow;
  }
}
const noRow = -1;

export class RowRecord extends LiveRecord implements DecodedRecord {
  readonly kind: "create" | "update" | "state";

  constructor(rows: LateRows, stored: StoredRecord, head: LiveHead & { readonly kind: RowRecord["kind"] }) {
    super(rows, stored, head);
    this.kind = head.kind;
  }

  get body(): DecodedRecord["body"] {
    return { kind: "change", table: this.rows.table, change: this };
  }

  get after(): Row {
    return this.rows.after(this.stored, this.rowAt);
  }
}

export class RekeyRecord extends LiveRecord implements DecodedRecord {
  readonly kind = "rekey";
  readonly from: Key;

  constructor(rows: LateRows, stored: StoredRecord, head: LiveHead & { readonly from: Key }) {
    super(rows, stored, head);
    this.from = head.from;
  }

  get body(): DecodedRecord["body"] {
    return { kind: "change", table: this.rows.table, change: this };
  }

  get after(): Row {
    return this.rows.after(this.stored, this.rowAt);
  }
}

export class DeleteRecord extends LiveRecord implements DecodedRecord {
  readonly kind = "delete";

  get body(): DecodedRecord["body"] {
    return { kind: "change", table: this.rows.table, change: this };
  }

  get before(): Row | null {
    return this.rowAt === noRow ? null : this.rows.before(this.stored, this.rowAt);
  }
}

/** Of `.snapshot`. */
export class ChunkRecord implements DecodedRecord {
  readonly at: Position;
  readonly epoch: WriterEpoch;
  readonly bytes: number;

  constructor(
    private readonly read: (stored: StoredRecord) => DecodedRecord["body"],
    private readonly stored: StoredRecord,
    { at, epoch, bytes }: ChunkHead & { readonly bytes: number },
  ) {
    this.at = at;
    this.epoch = epoch;
    this.bytes = bytes;
  }

  get body(): DecodedRecord["body"] {
    return this.read(this.stored);
  }
}
