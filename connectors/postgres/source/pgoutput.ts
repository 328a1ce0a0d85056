/**
 * Messages of pgoutput, protocol version 1, taken apart. Values stay the text that the server wrote: nothing is looked up by type, so nothing can be
 * converted on the way. The library's own parser makes JavaScript dates, which lose microseconds, and numbers, which lose digits.
 */
import { TailraceError } from "../../../core/errors.js";
import { type Lsn, readLsn } from "./lsn.js";

/** Neither NULL nor known: a large value beside others that were changed, which PostgreSQL did not write to its log again. */
export const unchanged: unique symbol = Symbol("unchanged");
export type Cell = string | null | typeof unchanged;
export type Tuple = readonly Cell[];

export interface RelationColumn {
  readonly name: string;
  readonly type: number;
  readonly modifier: number;
}
export interface Relation {
  readonly id: number;
  readonly schema: string;
  readonly name: string;
  readonly columns: readonly RelationColumn[];
}
/** `key`: only the columns of the key are there, the others are NULL; `row`: all are. */
export type OldTuple = { readonly kind: "none" } | { readonly kind: "key" | "row"; readonly tuple: Tuple };

export type Message =
  | { readonly kind: "begin"; readonly commit: Lsn; readonly committedUs: bigint; readonly xid: number }
  /** `end`: behind the commit record. */
  | { readonly kind: "commit"; readonly commit: Lsn; readonly end: Lsn }
  | { readonly kind: "relation"; readonly relation: Relation }
  | { readonly kind: "insert"; readonly relation: number; readonly after: Tuple }
  | { readonly kind: "update"; readonly relation: number; readonly before: OldTuple; readonly after: Tuple }
  | { readonly kind: "delete"; readonly relation: number; readonly before: OldTuple }
  | { readonly kind: "truncate"; readonly relations: readonly number[] }
  /** Types and origins: nothing that rows need. */
  | { readonly kind: "aside" };

/** Microseconds between 1970 and 2000, where PostgreSQL's clock begins. */
export const postgresEpochUs = 946_684_800_000_000n;

export function parseMessage(bytes: Buffer): Message {
  const read = new Reader(bytes);
  const tag = String.fromCharCode(read.byte());
  switch (tag) {
    case "B":
      return { kind: "begin", commit: read.lsn(), committedUs: read.int64() + postgresEpochUs, xid: read.uint32() };
    case "C":
      read.byte();
      return { kind: "commit", commit: read.lsn(), end: read.lsn() };
    case "R":
      return { kind: "relation", relation: relationOf(read) };
    case "I": {
      const relation = read.uint32();
      read.expect("N");
      return { kind: "insert", relation, after: read.tuple() };
    }
    case "U": {
      const relation = read.uint32();
      const before = oldTuple(read);
      if (before.kind !== "none") read.expect("N");
      return { kind: "update", relation, before, after: read.tuple() };
    }
    case "D": {
      const relation = read.uint32();
      return { kind: "delete", relation, before: oldTuple(read) };
    }
    case "T": {
      const count = read.uint32();
      read.byte();
      return { kind: "truncate", relations: Array.from({ length: count }, () => read.uint32()) };
    }
    case "Y":
    case "O":
    case "M":
      return { kind: "aside" };
    default:
      throw unknown(`a message of kind '${tag}'`);
  }
}

function relationOf(read: Reader): Relation {
  const id = read.uint32();
  const schema = read.name();
  const name = read.name();
  read.byte();
  const columns = Array.from({ length: read.uint16() }, () => {
    read.byte();
    return { name: read.name(), type: read.uint32(), modifier: read.int32() };
  });
  // An empty schema stands for pg_catalog.
  return { id, schema: schema === "" ? "pg_catalog" : schema, name, columns };
}

/** For an update without an old row, what follows is the new one's letter, which is taken as well. */
function oldTuple(read: Reader): OldTuple {
  const letter = String.fromCharCode(read.byte());
  if (letter === "N") return { kind: "none" };
  if (letter === "K" || letter === "O") return { kind: letter === "K" ? "key" : "row", tuple: read.tuple() };
  throw unknown(`a row of kind '${letter}'`);
}

class Reader {
  #at = 0;

  constructor(private readonly bytes: Buffer) {}

  byte(): number {
    return this.bytes.readUInt8(this.#at++);
  }

  uint16(): number {
    return this.bytes.readUInt16BE((this.#at += 2) - 2);
  }

  uint32(): number {
    return this.bytes.readUInt32BE((this.#at += 4) - 4);
  }

  int32(): number {
    return this.bytes.readInt32BE((this.#at += 4) - 4);
  }

  int64(): bigint {
    return this.bytes.readBigInt64BE((this.#at += 8) - 8);
  }

  lsn(): Lsn {
    return readLsn(this.bytes, (this.#at += 8) - 8);
  }

  name(): string {
    const end = this.bytes.indexOf(0, this.#at);
    if (end < 0) throw unknown("a name without an end");
    const text = this.bytes.toString("utf8", this.#at, end);
    this.#at = end + 1;
    return text;
  }

  expect(letter: string): void {
    const found = String.fromCharCode(this.byte());
    if (found !== letter) throw unknown(`'${found}' where '${letter}' is due`);
  }

  tuple(): Tuple {
    const count = this.uint16();
    const cells: Cell[] = [];
    for (let i = 0; i < count; i++) cells.push(this.cell());
    return cells;
  }

  private cell(): Cell {
    const kind = this.byte();
    switch (kind) {
      case 0x6e:
        return null;
      case 0x75:
        return unchanged;
      case 0x74: {
        const length = this.uint32();
        const text = this.bytes.toString("utf8", this.#at, this.#at + length);
        this.#at += length;
        return text;
      }
      default:
        throw unknown(`a value of kind '${String.fromCharCode(kind)}'`);
    }
  }
}

const unknown = (what: string): TailraceError =>
  new TailraceError("internal", { what: `PostgreSQL's replication stream holds ${what}, which this Tailrace does not know` });
