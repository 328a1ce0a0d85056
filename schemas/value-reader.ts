/**
 * Values out of Avro, by the schema they were written with. One function per type, made once; fields come as a list in the schema's order,
 * never as an object. A long becomes a bigint, tailrace.RawText a RawText.
 */
import { unreachable } from "../core/vocabulary/unreachable.js";
import type { Key, Row, Value } from "../core/vocabulary/value.js";
import { type AvroRecord, type AvroType, leastBytes } from "./avro-types.js";
import { skipper } from "./skipper.js";
import { rawTextName } from "./table-schema.js";
import type { BoundedReader } from "./wire/bounded-reader.js";
import { WireFault } from "./wire/fault.js";

type Reader<T> = (bytes: BoundedReader) => T;

/** A record of columns: a row or a key. */
export function rowReader(type: AvroType): Reader<Row> {
  if (type.kind !== "record") throw new WireFault("a row or key is not a record");
  const readers = type.fields.map((field) => columnReader(field.type));
  return (bytes) => readers.map((read) => read(bytes));
}

/** Of a row, the columns with these numbers alone; the others are passed over. */
export function keyReader(type: AvroType, columns: readonly number[]): Reader<Key> {
  if (type.kind !== "record") throw new WireFault("a row or key is not a record");
  const steps = type.fields.map((field, i): ((bytes: BoundedReader, into: Value[]) => void) => {
    const place = columns.indexOf(i);
    if (place === -1) return skipper(field.type);
    const read = columnReader(field.type);
    return (bytes, into) => {
      into[place] = read(bytes);
    };
  });
  return (bytes) => {
    const key: Value[] = columns.length === 1 ? [null] : columns.map(() => null);
    for (const step of steps) step(bytes, key);
    return key;
  };
}

/** `["null", T]`. */
export function optionalReader<T>(type: AvroType, of: (inner: AvroType) => Reader<T>): Reader<T | null> {
  const [none, some] = type.kind === "union" ? type.branches : [];
  if (none?.kind !== "null" || some === undefined) throw new WireFault("an optional part is not a union with null in front");
  const read = of(some);
  return (bytes) => {
    const branch = bytes.safeLong();
    if (branch === 0) return null;
    if (branch !== 1) throw new WireFault(`branch ${branch} of a union of 2`);
    return read(bytes);
  };
}

/** Blocks of items; the counts are believed only as far as the bytes that are left can hold them. */
export function arrayReader<T>(type: AvroType, of: (items: AvroType) => Reader<T>): Reader<readonly T[]> {
  if (type.kind !== "array") throw new WireFault("a list is not an array");
  const read = of(type.items);
  const itemBytes = Math.max(1, leastBytes(type.items));
  return (bytes) => {
    const items: T[] = [];
    for (let count = blockCount(bytes, itemBytes); count > 0; count = blockCount(bytes, itemBytes))
      for (let i = 0; i < count; i++) items.push(read(bytes));
    return items;
  };
}

/** A negative count is followed by the block's length in bytes, which says nothing new. */
function blockCount(bytes: BoundedReader, itemBytes: number): number {
  const said = bytes.safeLong();
  if (said < 0) bytes.skipLong();
  const count = Math.abs(said);
  if (count * itemBytes > bytes.left) throw new WireFault(`a block claims ${count} items in ${bytes.left} bytes`);
  return count;
}

/** A text that is one letter nearly always. */
export function letterReader(type: AvroType): Reader<string> {
  const read = stringReader(type);
  return (bytes) => bytes.letter() ?? read(bytes);
}

export function stringReader(type: AvroType): Reader<string> {
  if (type.kind !== "string") throw new WireFault("a text is not a string");
  return (bytes) => bytes.string();
}

export function countReader(type: AvroType): Reader<number> {
  if (type.kind !== "long" && type.kind !== "int") throw new WireFault("a number is not a long");
  return (bytes) => bytes.safeLong();
}

export function booleanReader(type: AvroType): Reader<boolean> {
  if (type.kind !== "boolean") throw new WireFault("a yes or no is not a boolean");
  return (bytes) => bytes.boolean();
}

function columnReader(type: AvroType): Reader<Value> {
  switch (type.kind) {
    case "null":
      return () => null;
    case "boolean":
      return (bytes) => bytes.boolean();
    case "int":
    case "long":
      return (bytes) => bytes.long();
    case "double":
      return (bytes) => bytes.double();
    case "string":
      return (bytes) => bytes.string();
    case "bytes":
      return (bytes) => bytes.bytes();
    case "record":
      return rawTextReader(type);
    case "union":
      return unionReader(type.branches);
    case "array":
      throw new WireFault("a column is an array");
    default:
      return unreachable(type);
  }
}

function rawTextReader(type: AvroRecord): Reader<Value> {
  if (type.name !== rawTextName || type.fields.length !== 1 || type.fields[0]?.type.kind !== "bytes")
    throw new WireFault(`a column is of type ${type.name}`);
  return (bytes) => ({ rawText: bytes.bytes() });
}

function unionReader(branches: readonly AvroType[]): Reader<Value> {
  const readers = branches.map(columnReader);
  return (bytes) => {
    const branch = bytes.safeLong();
    const read = readers[branch];
    if (read === undefined) throw new WireFault(`branch ${branch} of a union of ${readers.length}`);
    return read(bytes);
  };
}
