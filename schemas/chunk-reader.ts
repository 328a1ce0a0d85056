import type { Chunk } from "../core/contracts/change.js";
import { rereadId, type WriterEpoch, writerEpoch } from "../core/vocabulary/ids.js";
import { type Position, position } from "../core/vocabulary/position.js";
import type { AvroRecord, AvroType } from "./avro-types.js";
import { type DescribedTable, readTableProperty, tableProperty } from "./table-property.js";
import { arrayReader, booleanReader, countReader, optionalReader, rowReader, stringReader } from "./value-reader.js";
import type { BoundedReader } from "./wire/bounded-reader.js";
import { WireFault } from "./wire/fault.js";

export interface ChunkHead {
  readonly at: Position;
  readonly epoch: WriterEpoch;
}
export interface ChunkReader {
  readonly described: DescribedTable;
  /** What stands in front of the rows. */
  head(bytes: BoundedReader): ChunkHead;
  /** All of it, from the beginning. */
  read(bytes: BoundedReader): Chunk;
}

const fieldNames = ["reread", "history", "order", "index", "epoch", "after", "upTo", "last", "rows"];

/** Nobody but us writes chunks: the fields are exactly ours. */
export function chunkReader(type: AvroRecord): ChunkReader {
  if (type.fields.map((field) => field.name).join() !== fieldNames.join()) throw new WireFault(`record ${type.name} is no chunk of ours`);
  const fieldOf = (name: string): AvroType => type.fields[fieldNames.indexOf(name)]?.type ?? { kind: "null" };
  const reread = stringReader(fieldOf("reread"));
  const [history, order, index, epoch] = [fieldOf("history"), fieldOf("order"), fieldOf("index"), fieldOf("epoch")].map(countReader);
  const after = optionalReader(fieldOf("after"), rowReader);
  const upTo = optionalReader(fieldOf("upTo"), rowReader);
  const last = booleanReader(fieldOf("last"));
  const rows = arrayReader(fieldOf("rows"), rowReader);
  const described = describedBy(fieldOf("rows"));
  const count = (bytes: BoundedReader, read: ((bytes: BoundedReader) => number) | undefined): number => {
    const n = read?.(bytes) ?? -1;
    if (n < 0) throw new WireFault("a chunk's position is negative");
    return n;
  };
  const head = (bytes: BoundedReader): ChunkHead & Pick<Chunk, "reread"> => ({
    reread: rereadId(reread(bytes)),
    at: position(count(bytes, history), count(bytes, order), count(bytes, index)),
    epoch: writerEpoch(count(bytes, epoch)),
  });
  return {
    described,
    head,
    read: (bytes) => {
      const { reread: id, at } = head(bytes);
      const scope = { kind: "range", after: after(bytes), upTo: upTo(bytes) } as const;
      const isLast = last(bytes);
      return { reread: id, scope, at, rows: rows(bytes), last: isLast };
    },
  };
}

function describedBy(rows: AvroType): DescribedTable {
  if (rows.kind !== "array" || rows.items.kind !== "record") throw new WireFault("a chunk's rows are no list of records");
  return readTableProperty(rows.items.properties[tableProperty]);
}
