/**
 * Reads Avro's binary form out of one record and never past its end, whatever the bytes say: lengths are compared with what is left, text
 * must be UTF-8, numbers must fit. Everything wrong is a WireFault.
 */
import { isUtf8 } from "node:buffer";
import { WireFault } from "./fault.js";

const twoTo28 = 2 ** 28;

export class BoundedReader {
  #bytes: Buffer = Buffer.alloc(0);
  #at = 0;
  #end = 0;

  open(bytes: Uint8Array): void {
    this.#bytes = Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#at = 0;
    this.#end = bytes.length;
  }

  /** The record must have been read to its end. */
  close(): void {
    if (this.#at !== this.#end) throw new WireFault(`${this.#end - this.#at} bytes are left over`);
  }

  get at(): number {
    return this.#at;
  }

  /** Goes on at a place that it was at before, in the same bytes. */
  goTo(at: number): void {
    if (at > this.#end) throw truncated();
    this.#at = at;
  }

  get left(): number {
    return this.#end - this.#at;
  }

  byte(): number {
    if (this.#at >= this.#end) throw truncated();
    return this.#bytes[this.#at++] ?? 0;
  }

  uint32(): number {
    return this.#bytes.readUInt32BE(this.#skip(4));
  }

  long(): bigint {
    const low = this.#bits28();
    if (!this.#more) return BigInt((low >>> 1) ^ -(low & 1));
    const middle = this.#bits28();
    if (!this.#more && middle < 2 ** 24) {
      const zigzag = low + middle * twoTo28;
      const half = Math.floor(zigzag / 2);
      return BigInt(zigzag % 2 === 0 ? half : -half - 1);
    }
    const high = this.#more ? this.#topBits() : 0;
    const zigzag = BigInt(low) | (BigInt(middle) << 28n) | (BigInt(high) << 56n);
    return (zigzag >> 1n) ^ -(zigzag & 1n);
  }

  /** A long inside the exact range of JS numbers. */
  safeLong(): number {
    // One byte nearly always: lengths, branches of unions.
    const first = this.#bytes[this.#at] ?? 0xff;
    if (first < 0x80) {
      this.#at++;
      return (first >>> 1) ^ -(first & 1);
    }
    const low = this.#bits28();
    if (!this.#more) return (low >>> 1) ^ -(low & 1);
    const middle = this.#bits28();
    if (this.#more || middle >= 2 ** 24) throw new WireFault("a number is out of range");
    const zigzag = low + middle * twoTo28;
    const half = Math.floor(zigzag / 2);
    return zigzag % 2 === 0 ? half : -half - 1;
  }

  skipLong(): void {
    for (let i = 0; i < 10; i++) if (this.byte() < 0x80) return;
    throw new WireFault("an integer does not fit 64 bits");
  }

  boolean(): boolean {
    const byte = this.byte();
    if (byte > 1) throw new WireFault("a boolean is neither 0 nor 1");
    return byte === 1;
  }

  double(): number {
    return this.#bytes.readDoubleLE(this.#skip(8));
  }

  /** A copy: who keeps a value does not keep the whole fetch it came with. */
  bytes(): Uint8Array {
    const length = this.#length();
    const begin = this.#skip(length);
    return new Uint8Array(this.#bytes.subarray(begin, begin + length));
  }

  string(): string {
    const length = this.#length();
    const begin = this.#skip(length);
    const text = this.#bytes.toString("utf8", begin, begin + length);
    // What is not UTF-8 is read as U+FFFD, which may also stand there by right.
    if (text.includes("\ufffd") && !isUtf8(this.#bytes.subarray(begin, begin + length))) throw new WireFault("text is not UTF-8");
    return text;
  }

  /** The text that follows if it is one ASCII letter; null, and nothing is read, if it is not. */
  letter(): string | null {
    const code = this.#bytes[this.#at + 1] ?? 0xff;
    if (this.#bytes[this.#at] !== 2 || code > 0x7f) return null;
    this.#at += 2;
    return String.fromCharCode(code);
  }

  /** The length of a text whose bytes the caller reads by `byte`. */
  length(): number {
    return this.#length();
  }

  skipBytes(): void {
    this.#skip(this.#length());
  }

  skip(bytes: number): void {
    this.#skip(bytes);
  }

  #length(): number {
    const length = this.safeLong();
    if (length < 0) throw new WireFault("a length is negative");
    return length;
  }

  /** Where they began. */
  #skip(bytes: number): number {
    const begin = this.#at;
    if (bytes > this.#end - begin) throw truncated();
    this.#at = begin + bytes;
    return begin;
  }

  /** True when the varint goes on behind the bits that were read last. */
  #more = false;

  /** The next four bytes of a varint at most. */
  #bits28(): number {
    let bits = 0;
    for (let shift = 0; shift < 28; shift += 7) {
      const byte = this.byte();
      bits |= (byte & 0x7f) << shift;
      if (byte < 0x80) {
        this.#more = false;
        return bits;
      }
    }
    this.#more = true;
    return bits;
  }

  /** Bytes nine and ten; the tenth has room for one bit. */
  #topBits(): number {
    const ninth = this.byte();
    if (ninth < 0x80) return ninth;
    const tenth = this.byte();
    if (tenth > 1) throw new WireFault("an integer does not fit 64 bits");
    return (ninth & 0x7f) | (tenth << 7);
  }
}

const truncated = (): WireFault => new WireFault("the record ends too early");
