/**
 * Where records are encoded: one slab after the other, each record a slice. A slab is never written again where a slice lies, so slices
 * stay valid for as long as somebody holds them. Everything written is Avro's binary form.
 */
import { WireFault } from "./fault.js";

/** Beyond it, a doubled and incremented negative number is no longer exact as a JS number. */
const exactMax = 2 ** 52;
/** Longer text is measured before it is written, so that a slab is not made three times too large. */
const measuredLength = 16 * 1024;
/** Shorter text is tried as ASCII, by hand: a call into the runtime costs more. */
const handLength = 24;
const loneSurrogate = /\p{Surrogate}/u;

export class GrowingBuffer {
  #bytes: Buffer;
  #at = 0;
  #start = 0;

  constructor(private readonly slabBytes = 256 * 1024) {
    this.#bytes = Buffer.allocUnsafeSlow(slabBytes);
  }

  /** A new record begins. What was written since the last `end` is given up. */
  begin(): void {
    this.#at = this.#start;
  }

  /** The record that began. */
  end(): Uint8Array {
    const slice = this.#bytes.subarray(this.#start, this.#at);
    this.#start = this.#at;
    return slice;
  }

  byte(value: number): void {
    if (this.#at === this.#bytes.length) this.#grow(1);
    this.#bytes[this.#at++] = value;
  }

  /** Four bytes, big-endian. */
  uint32(value: number): void {
    this.#reserve(4);
    this.#at = this.#bytes.writeUInt32BE(value, this.#at);
  }

  /** As it is, without a length. */
  raw(bytes: Uint8Array): void {
    this.#reserve(bytes.length);
    this.#bytes.set(bytes, this.#at);
    this.#at += bytes.length;
  }

  long(value: bigint): void {
    const n = Number(value);
    if (n >= -exactMax && n <= exactMax) this.safeLong(n);
    else this.#wideLong(value);
  }

  /** |value| ≤ 2^52. */
  safeLong(value: number): void {
    let zigzag = value >= 0 ? value * 2 : -value * 2 - 1;
    this.#reserve(10);
    const bytes = this.#bytes;
    let at = this.#at;
    while (zigzag > 0x0fffffff) {
      bytes[at++] = (zigzag % 128) | 0x80;
      zigzag = Math.floor(zigzag / 128);
    }
    while (zigzag > 0x7f) {
      bytes[at++] = (zigzag & 0x7f) | 0x80;
      zigzag >>>= 7;
    }
    bytes[at++] = zigzag;
    this.#at = at;
  }

  double(value: number): void {
    this.#reserve(8);
    this.#at = this.#bytes.writeDoubleLE(value, this.#at);
  }

  bytes(value: Uint8Array): void {
    this.safeLong(value.length);
    this.raw(value);
  }

  string(text: string): void {
    const length = text.length;
    if (length <= handLength) {
      if (!this.#ascii(text)) this.#utf8(text, length * 3);
    } else this.#utf8(text, length <= measuredLength ? length * 3 : Buffer.byteLength(text));
  }

  /** False, with nothing written, when a character is not ASCII. */
  #ascii(text: string): boolean {
    this.#reserve(text.length + 1);
    const bytes = this.#bytes;
    let at = this.#at;
    bytes[at++] = text.length * 2;
    for (let i = 0; i < text.length; i++) {
      const code = text.charCodeAt(i);
      if (code > 0x7f) return false;
      bytes[at++] = code;
    }
    this.#at = at;
    return true;
  }

  /** Room is left for a length of as many bytes as that of the character count; a wider one moves the text. */
  #utf8(text: string, bytesMax: number): void {
    this.#reserve(bytesMax + 10);
    const begin = this.#at;
    const room = lengthBytes(text.length);
    const written = this.#bytes.write(text, begin + room, "utf8");
    // Lone surrogates are written as U+FFFD; text of as many bytes as characters is ASCII and has none.
    if (written !== text.length && loneSurrogate.test(text))
      throw new WireFault("text holds half a surrogate pair, which UTF-8 cannot say");
    const needed = lengthBytes(written);
    if (needed !== room) this.#bytes.copyWithin(begin + needed, begin + room, begin + room + written);
    this.safeLong(written);
    this.#at = begin + needed + written;
  }

  #wideLong(value: bigint): void {
    if (BigInt.asIntN(64, value) !== value) throw new WireFault("an integer does not fit 64 bits");
    let zigzag = BigInt.asUintN(64, (value << 1n) ^ (value >> 63n));
    this.#reserve(10);
    while (zigzag > 0x7fn) {
      this.#bytes[this.#at++] = Number(zigzag & 0x7fn) | 0x80;
      zigzag >>= 7n;
    }
    this.#bytes[this.#at++] = Number(zigzag);
  }

  #reserve(bytes: number): void {
    if (this.#at + bytes > this.#bytes.length) this.#grow(bytes);
  }

  /** The record in hand moves to a new slab. */
  #grow(bytes: number): void {
    const written = this.#at - this.#start;
    const slab = Buffer.allocUnsafeSlow(Math.max(this.slabBytes, (written + bytes) * 2));
    this.#bytes.copy(slab, 0, this.#start, this.#at);
    this.#bytes = slab;
    this.#start = 0;
    this.#at = written;
  }
}

/** Of a length as zig-zag varint. */
function lengthBytes(length: number): number {
  if (length < 64) return 1;
  if (length < 8192) return 2;
  if (length < 1_048_576) return 3;
  return length < 134_217_728 ? 4 : 5;
}
