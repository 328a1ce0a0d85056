/**
 * Row hash v1: MD5 of a row's canonical text, and the sum of many: count and two independent sums mod 2^64 of the halves of each hash. It does not
 * depend on the order of rows; the key is in each row, so no two are alike, and unlike XOR a row that is there twice does not cancel out.
 *
 * MD5 because every database has it; nobody is to be kept from making collisions on purpose, only chance.
 */
import { hash } from "node:crypto";
import type { ScopeDigest } from "../contracts/row-reader.js";

/** 32 lower hex digits. */
export const rowHash = (canonical: string): string => hash("md5", canonical, "hex");

const bytesOfWord = [0, 4, 8, 12] as const;
/** Below it the sums of 32-bit words are exact as numbers. */
const rowsMax = 2 ** 20;

export class DigestSum {
  #rows = 0;
  #words = [0, 0, 0, 0];
  #high = 0n;
  #low = 0n;

  add(canonical: string): void {
    // One character a byte: half the time of hex digits, a quarter of a Buffer.
    const digest = hash("md5", canonical, "binary");
    for (let i = 0; i < 4; i++) this.#words[i] = (this.#words[i] ?? 0) + wordAt(digest, bytesOfWord[i] ?? 0);
    this.#rows += 1;
    if (this.#rows % rowsMax === 0) this.#carry();
  }

  value(): ScopeDigest {
    this.#carry();
    return { rows: this.#rows, high: this.#high, low: this.#low };
  }

  #carry(): void {
    const [a = 0, b = 0, c = 0, d = 0] = this.#words;
    this.#high = BigInt.asUintN(64, this.#high + (BigInt(a) << 32n) + BigInt(b));
    this.#low = BigInt.asUintN(64, this.#low + (BigInt(c) << 32n) + BigInt(d));
    this.#words = [0, 0, 0, 0];
  }
}

function wordAt(digest: string, at: number): number {
  const high = (digest.charCodeAt(at) << 8) | digest.charCodeAt(at + 1);
  const low = (digest.charCodeAt(at + 2) << 8) | digest.charCodeAt(at + 3);
  return high * 65_536 + low;
}

/** Digests of the parts as that of the whole. */
export function joinDigests(digests: Iterable<ScopeDigest>): ScopeDigest {
  let all: ScopeDigest = { rows: 0, high: 0n, low: 0n };
  for (const { rows, high, low } of digests) {
    all = { rows: all.rows + rows, high: BigInt.asUintN(64, all.high + high), low: BigInt.asUintN(64, all.low + low) };
  }
  return all;
}

export const sameDigest = (a: ScopeDigest, b: ScopeDigest): boolean => a.rows === b.rows && a.high === b.high && a.low === b.low;
