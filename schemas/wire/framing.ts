/** Confluent's frame: a zero byte, the schema's number in four bytes big-endian, the body. */
import type { BoundedReader } from "./bounded-reader.js";
import { WireFault } from "./fault.js";
import type { GrowingBuffer } from "./growing-buffer.js";

const frameBytes = 5;

export function writeFrame(out: GrowingBuffer, schemaId: number): void {
  out.byte(0);
  out.uint32(schemaId);
}

/** Opens the reader behind the frame. */
export function openFrame(reader: BoundedReader, bytes: Uint8Array): number {
  reader.open(bytes);
  if (reader.byte() !== 0) throw new WireFault("the record does not begin with a schema number");
  return reader.uint32();
}

/** Without judging the rest; null when there is no frame. */
export function framedId(bytes: Uint8Array): number | null {
  if (bytes.length < frameBytes || bytes[0] !== 0) return null;
  // By hand: this runs for every key and value, and a DataView is an object.
  return (((bytes[1] ?? 0) << 24) | ((bytes[2] ?? 0) << 16) | ((bytes[3] ?? 0) << 8) | (bytes[4] ?? 0)) >>> 0;
}
