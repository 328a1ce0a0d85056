/**
 * DuckDB's checksum of blocks and WAL frames: 5381 xor the products of all 64-bit words with a constant, modulo 2^64, and a hash of what is left.
 * It finds torn writes. It does not see the order of words, nor pairs of equal words: never take it for "unchanged".
 */
const K = 0xbf58476d1ce4e5b9n;
const kLow = Number(K & 0xffff_ffffn);
const kHigh = Number(K >> 32n);
const kLow0 = kLow & 0xffff;
const kLow1 = kLow >>> 16;
const mask = 0xffff_ffff_ffff_ffffn;

/** In halves of 32 bits: BigInt would be ten times as slow, and a log of 16 MiB is checked at every turn. */
export function checksum(bytes: Buffer, from: number, length: number): bigint {
  const end = from + (length - (length % 8));
  let low = 5381;
  let high = 0;
  for (let at = from; at < end; at += 8) {
    const a = bytes.readUInt32LE(at);
    const a0 = a & 0xffff;
    const a1 = a >>> 16;
    const middle = a1 * kLow0 + a0 * kLow1 + Math.floor((a0 * kLow0) / 65_536);
    low ^= Math.imul(a, kLow);
    high ^= (a1 * kLow1 + Math.floor(middle / 65_536) + Math.imul(a, kHigh) + Math.imul(bytes.readUInt32LE(at + 4), kLow)) | 0;
  }
  const whole = (BigInt(high >>> 0) << 32n) | BigInt(low >>> 0);
  return length % 8 === 0 ? whole : whole ^ rest(bytes.subarray(end, from + length));
}

/** MurmurHash64A's tail, as DuckDB has it. */
function rest(bytes: Buffer): bigint {
  const m = 0xc6a4a7935bd1e995n;
  let h = 0xe17a1465n ^ ((BigInt(bytes.length) * m) & mask);
  bytes.forEach((byte, i) => {
    h ^= BigInt(byte) << BigInt(8 * i);
  });
  h = (h * m) & mask;
  h ^= h >> 47n;
  h = (h * m) & mask;
  return h ^ (h >> 47n);
}

export function isSound(bytes: Buffer, from: number, length: number, stored: bigint): boolean {
  return checksum(bytes, from, length) === stored;
}
