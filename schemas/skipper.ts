import { unreachable } from "../core/vocabulary/unreachable.js";
import type { AvroType } from "./avro-types.js";
import type { BoundedReader } from "./wire/bounded-reader.js";
import { WireFault } from "./wire/fault.js";

export type Skipper = (bytes: BoundedReader) => void;

/** Passes over a value that nobody asked for. Made once per type: records that name each other twice would grow exponentially. */
export function skipper(type: AvroType, known = new Map<AvroType, Skipper>()): Skipper {
  const found = known.get(type);
  if (found !== undefined) return found;
  const made = makeSkipper(type, known);
  known.set(type, made);
  return made;
}

function makeSkipper(type: AvroType, known: Map<AvroType, Skipper>): Skipper {
  switch (type.kind) {
    case "null":
      return () => {};
    case "boolean":
      return (bytes) => void bytes.boolean();
    case "int":
    case "long":
      return (bytes) => bytes.skipLong();
    case "double":
      return (bytes) => bytes.skip(8);
    case "string":
    case "bytes":
      return (bytes) => bytes.skipBytes();
    case "record":
      return skipAll(type.fields.map((field) => skipper(field.type, known)));
    case "union":
      return skipBranch(type.branches.map((branch) => skipper(branch, known)));
    case "array":
      throw new WireFault("an array stands where our records have none");
    default:
      return unreachable(type);
  }
}

function skipAll(parts: readonly Skipper[]): Skipper {
  return (bytes) => {
    for (const skip of parts) skip(bytes);
  };
}

function skipBranch(branches: readonly Skipper[]): Skipper {
  return (bytes) => {
    const branch = bytes.safeLong();
    const skip = branches[branch];
    if (skip === undefined) throw new WireFault(`branch ${branch} of a union of ${branches.length}`);
    skip(bytes);
  };
}
