/**
 * Walks the frames of a write-ahead log: where the last whole transaction ends, whether a checkpoint has begun, and which tables the frames are
 * about. A frame is `u64 size, u64 checksum, payload`; a payload begins with field 100, the entry's type. Values are never decoded.
 */
import { TailraceError } from "../../../core/errors.js";
import { isSound } from "./checksum.js";
import { NotNow } from "./not-now.js";

export interface WalScan {
  /** Length of the unframed first entry. */
  readonly headerBytes: number;
  /** Null where the storage version does not write it. */
  readonly iteration: bigint | null;
  /** End of the last committed transaction; equals `headerBytes` when there is none. */
  readonly end: number;
  readonly checkpointBegun: boolean;
  readonly touched: Touched;
}

/** What the committed frames behind the scan's beginning are about. */
export interface Touched {
  /** `schema.table`, each part in JSON quotes. */
  readonly tables: ReadonlySet<string>;
  /** Something else than rows changed, or a frame is of a kind that we do not know: look at everything. */
  readonly other: boolean;
  /** Row groups that lie in the main file: a copy of it that is older than the frame lacks them. */
  readonly rowGroups: boolean;
}

const field = { type: 100, first: 101, second: 102, third: 103, end: 0xffff } as const;
export const entry = { sequenceValue: 10, useTable: 25, insert: 26, delete: 27, update: 28, rowGroups: 29, checkpoint: 99, flush: 100 };
const versionPlain = 2;

export const nothingTouched: Touched = { tables: new Set(), other: false, rowGroups: false };

export const emptyScan: WalScan = { headerBytes: 0, iteration: null, end: 0, checkpointBegun: false, touched: nothingTouched };

/** `from`: end of an earlier scan of the same file, whose frames are not looked at again; 0: from the beginning. */
export function scanWal(bytes: Buffer, from: number, path: string): WalScan {
  if (bytes.length === 0) return emptyScan;
  const header = readWalHeader(bytes, path);
  let at = Math.max(from, header.size);
  let end = at;
  let checkpointBegun = false;
  const pending = new FrameNotes();
  const touched = new FrameNotes();
  while (at + 16 <= bytes.length) {
    const size = Number(bytes.readBigUInt64LE(at));
    const payload = at + 16;
    // A frame that is not all there, or torn, was never committed.
    if (size < 3 || payload + size > bytes.length || !isSound(bytes, payload, size, bytes.readBigUInt64LE(at + 8))) break;
    const type = bytes.readUInt8(payload + 2);
    at = payload + size;
    if (type === entry.checkpoint) checkpointBegun = true;
    else if (type === entry.flush) {
      end = at;
      touched.join(pending);
    } else pending.note(type, bytes.subarray(payload, at));
  }
  return { headerBytes: header.size, iteration: header.iteration, end, checkpointBegun, touched: touched.taken() };
}

class FrameNotes {
  #tables = new Set<string>();
  #other = false;
  #rowGroups = false;

  note(type: number, payload: Buffer): void {
    if (type === entry.useTable) this.#tables.add(readTableName(payload));
    else if (type === entry.rowGroups) this.#rowGroups = true;
    else if (type !== entry.sequenceValue && (type < entry.insert || type > entry.update)) this.#other = true;
  }

  join(other: FrameNotes): void {
    for (const table of other.#tables) this.#tables.add(table);
    this.#other ||= other.#other;
    this.#rowGroups ||= other.#rowGroups;
    other.#tables = new Set();
    other.#other = false;
    other.#rowGroups = false;
  }

  taken(): Touched {
    return { tables: this.#tables, other: this.#other, rowGroups: this.#rowGroups };
  }
}

export const touchedName = (schema: string, table: string): string => `${JSON.stringify(schema)}.${JSON.stringify(table)}`;

export function readTableName(payload: Buffer): string {
  const bytes = new Cursor(payload, 3);
  bytes.expect(field.first);
  const schema = bytes.text();
  bytes.expect(field.second);
  return touchedName(schema, bytes.text());
}

/** The first entry stands alone: no frame, no checksum. */
function readWalHeader(bytes: Buffer, path: string): { readonly size: number; readonly iteration: bigint | null } {
  const cursor = new Cursor(bytes, 0);
  let iteration: bigint | null = null;
  let version: bigint | null = null;
  for (let id = cursor.field(); id !== field.end; id = cursor.field()) {
    if (id === field.type) cursor.number();
    else if (id === field.first) version = cursor.number();
    else if (id === field.second) for (let n = cursor.number(); n > 0n; n--) cursor.number();
    else if (id === field.third) iteration = cursor.number();
    else throw unknownWal(path, `its first entry has a field ${id}`);
  }
  if (version !== BigInt(versionPlain)) throw unknownWal(path, `it has version ${version ?? "none"}`);
  return { size: cursor.at, iteration };
}

const unknownWal = (path: string, why: string): TailraceError =>
  new TailraceError("source.storage-version", { what: `The write-ahead log is of a kind that we cannot read: ${why}`, where: { path } });

class Cursor {
  constructor(
    private readonly bytes: Buffer,
    public at: number,
  ) {}

  field(): number {
    this.#need(2);
    const id = this.bytes.readUInt16LE(this.at);
    this.at += 2;
    return id;
  }

  expect(id: number): void {
    const found = this.field();
    if (found !== id) throw new NotNow(`field ${found} of a frame where ${id} should be`);
  }

  /** LEB128. */
  number(): bigint {
    let value = 0n;
    for (let shift = 0n; ; shift += 7n) {
      this.#need(1);
      const byte = this.bytes.readUInt8(this.at++);
      value |= BigInt(byte & 127) << shift;
      if (byte < 128) return value;
    }
  }

  text(): string {
    const length = Number(this.number());
    this.#need(length);
    this.at += length;
    return this.bytes.toString("utf8", this.at - length, this.at);
  }

  #need(length: number): void {
    if (this.at + length > this.bytes.length) throw new NotNow("the log's beginning is being written");
  }
}
