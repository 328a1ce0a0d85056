/** CRC-32C, which ends every batch of records: eight bytes a step, where the library takes one. */

/** What byte b does to the checksum k bytes later, at [k * 256 + b]. */
const table = makeTable();

function makeTable(): Int32Array {
  const made = new Int32Array(8 * 256);
  for (let b = 0; b < 256; b++) {
    let crc = b;
    for (let bit = 0; bit < 8; bit++) crc = (crc & 1) === 1 ? (crc >>> 1) ^ 0x82f63b78 : crc >>> 1;
    made[b] = crc;
  }
  for (let i = 256; i < made.length; i++) {
    const before = made[i - 256] ?? 0;
    made[i] = (made[before & 0xff] ?? 0) ^ (before >>> 8);
  }
  return made;
}

/** Of everything from `begin` on. */
export function crc32c(bytes: Uint8Array, begin = 0): number {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const at = (k: number, b: number): number => table[k * 256 + b] ?? 0;
  let crc = -1;
  let i = begin;
  for (; i + 8 <= bytes.length; i += 8) {
    const low = view.getInt32(i, true) ^ crc;
    const high = view.getInt32(i + 4, true);
    const first = at(7, low & 0xff) ^ at(6, (low >>> 8) & 0xff) ^ at(5, (low >>> 16) & 0xff) ^ at(4, low >>> 24);
    crc = first ^ at(3, high & 0xff) ^ at(2, (high >>> 8) & 0xff) ^ at(1, (high >>> 16) & 0xff) ^ at(0, high >>> 24);
  }
  for (; i < bytes.length; i++) crc = at(0, (crc ^ (bytes[i] ?? 0)) & 0xff) ^ (crc >>> 8);
  return (crc ^ -1) >>> 0;
}
