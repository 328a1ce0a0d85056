/**
 * A place in PostgreSQL's write-ahead log, as a number: exact up to 2^53, nine million GiB of log. It never goes back while a cluster lives, and
 * records begin at multiples of eight, which is what makes room for positions between them.
 */
import { TailraceError } from "../../../core/errors.js";
import { type Position, position } from "../../../core/vocabulary/position.js";

declare const brand: unique symbol;
export type Lsn = number & { readonly [brand]: "Lsn" };

export const lsn = (n: number): Lsn => n as Lsn;

const half = 2 ** 32;

/** `16/B374D848`, as PostgreSQL prints it. */
export function parseLsn(text: string): Lsn {
  const [, high, low] = /^([0-9A-F]{1,8})\/([0-9A-F]{1,8})$/i.exec(text) ?? [];
  if (high === undefined || low === undefined)
    throw new TailraceError("internal", { what: `'${text}' is not a place in PostgreSQL's log` });
  return checked(Number.parseInt(high, 16) * half + Number.parseInt(low, 16));
}

export const formatLsn = (at: Lsn): string => `${Math.floor(at / half).toString(16)}/${(at % half).toString(16)}`.toUpperCase();

export const readLsn = (bytes: Buffer, at: number): Lsn => checked(bytes.readUInt32BE(at) * half + bytes.readUInt32BE(at + 4));

export function writeLsn(bytes: Buffer, value: Lsn, at: number): void {
  bytes.writeUInt32BE(Math.floor(value / half), at);
  bytes.writeUInt32BE(value % half, at + 4);
}

/**
 * Changes of a transaction stand at its commit record's beginning, numbered from 1; the transaction ends one byte further, where no record begins. A
 * transaction that is read again has the same positions, whatever it is packed with.
 */
export const changePosition = (history: number, commit: Lsn, number: number): Position => position(history, commit, number);
export const endPosition = (history: number, commit: Lsn): Position => position(history, commit + 1);

/** Of an end of a transaction: its commit record. Of a beginning: itself. */
export const recordAt = ({ order }: Position): Lsn => lsn(order - (order % 8));

function checked(n: number): Lsn {
  if (!Number.isSafeInteger(n)) throw new TailraceError("internal", { what: "PostgreSQL's log is longer than 2^53 bytes" });
  return lsn(n);
}
