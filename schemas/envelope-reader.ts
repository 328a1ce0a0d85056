/**
 * Debezium's envelope, as far as we need it: the two rows, the operation, and the position in `source.sequence`. Fields are found by name,
 * so that generations of the envelope with more, fewer or moved fields are read too; what is not needed is passed over. So are the rows: where
 * they begin is noted, and they are read from there when somebody wants their values.
 */
import { type WriterEpoch, writerEpoch } from "../core/vocabulary/ids.js";
import { origin, type Position, position } from "../core/vocabulary/position.js";
import type { TableDescription } from "../core/vocabulary/table.js";
import type { Key, Row } from "../core/vocabulary/value.js";
import type { AvroRecord, AvroType } from "./avro-types.js";
import { skipper } from "./skipper.js";
import { type DescribedTable, readTableProperty, tableProperty } from "./table-property.js";
import { keyReader, letterReader, optionalReader, rowReader } from "./value-reader.js";
import type { BoundedReader } from "./wire/bounded-reader.js";
import { WireFault } from "./wire/fault.js";

export interface Envelope {
  /** Where the row begins; null: there is none. */
  before: number | null;
  after: number | null;
  /** Of the row after. */
  key: Key | null;
  op: string;
  /** `source.sequence`. */
  at: Position;
  epoch: WriterEpoch;
}

export interface EnvelopeReader {
  readonly described: DescribedTable;
  /** Holds until the next call. */
  read(bytes: BoundedReader): Readonly<Envelope>;
  /** The reader stands where a row begins. */
  readonly before: (bytes: BoundedReader) => Row;
  readonly after: (bytes: BoundedReader) => Row;
}

export function envelopeReader(type: AvroRecord): EnvelopeReader {
  const described = readTableProperty(valueRecordOf(type).properties[tableProperty]);
  const fieldStep = (name: string, field: AvroType): Step =>
    name === "after" ? afterStep(field, described.table) : otherStep(name, field);
  const steps = stepsOf(type, fieldStep, ["before", "after", "op", "source"]);
  const envelope: Envelope = { before: null, after: null, key: null, op: "", at: origin, epoch: writerEpoch(0) };
  return {
    described,
    before: rowReader(rowTypeOf(type, "before")),
    after: rowReader(rowTypeOf(type, "after")),
    read: (bytes) => {
      for (const step of steps) step(bytes, envelope);
      return envelope;
    },
  };
}

type Step = (bytes: BoundedReader, into: Envelope) => void;

/** One step per field of the schema; `needed` must be among them. */
function stepsOf(type: AvroRecord, stepFor: (name: string, type: AvroType) => Step, needed: readonly string[]): readonly Step[] {
  const missing = needed.find((name) => !type.fields.some((field) => field.name === name));
  if (missing !== undefined) throw new WireFault(`record ${type.name} has no field '${missing}'`);
  return type.fields.map((field) => stepFor(field.name, field.type));
}

function afterStep(type: AvroType, { key }: TableDescription): Step {
  const pass = optionalReader(type, (row) => keyReader(row, key));
  return (bytes, into) => {
    const behindBranch = bytes.at + 1;
    into.key = pass(bytes);
    into.after = into.key === null ? null : behindBranch;
  };
}

function otherStep(name: string, type: AvroType): Step {
  switch (name) {
    case "before": {
      const pass = optionalReader(type, passer);
      return (bytes, into) => {
        into.before = pass(bytes);
      };
    }
    case "op": {
      const read = letterReader(type);
      return (bytes, into) => {
        into.op = read(bytes);
      };
    }
    case "source":
      return sourceStep(type);
    default:
      return skipper(type);
  }
}

/** Passes over a row; says where it begins. */
function passer(type: AvroType): (bytes: BoundedReader) => number {
  const skip = skipper(type);
  return (bytes) => {
    const { at } = bytes;
    skip(bytes);
    return at;
  };
}

function rowTypeOf(type: AvroRecord, name: string): AvroType {
  const field = type.fields.find((candidate) => candidate.name === name);
  const [, row] = field?.type.kind === "union" ? field.type.branches : [];
  if (row === undefined) throw new WireFault(`'${name}' of record ${type.name} is no optional row`);
  return row;
}

function sourceStep(type: AvroType): Step {
  if (type.kind !== "record") throw new WireFault("'source' is not a record");
  const steps = stepsOf(type, sourceFieldStep, ["sequence"]);
  return (bytes, into) => {
    for (const step of steps) step(bytes, into);
  };
}

function sourceFieldStep(name: string, type: AvroType): Step {
  if (name !== "sequence") return skipper(type);
  const read = optionalReader(type, sequenceReader);
  return (bytes, into) => {
    const sequence = read(bytes);
    if (sequence === null) throw noPosition();
    into.at = sequence.at;
    into.epoch = sequence.epoch;
  };
}

function valueRecordOf(type: AvroRecord): AvroRecord {
  for (const name of ["before", "after"]) {
    const field = type.fields.find((candidate) => candidate.name === name);
    const record = field?.type.kind === "union" ? field.type.branches.find((branch) => branch.kind === "record") : undefined;
    if (record?.kind === "record" && tableProperty in record.properties) return record;
  }
  throw new WireFault(`record ${type.name} does not describe its table`);
}

/** `["history","order","index","epoch"]`, from its bytes: a text and its pieces for every record would cost more than the row. */
function sequenceReader(type: AvroType): (bytes: BoundedReader) => { readonly at: Position; readonly epoch: WriterEpoch } {
  if (type.kind !== "string") throw new WireFault("a text is not a string");
  return (bytes) => {
    const length = bytes.length();
    const behind = bytes.left - length;
    const at = position(numberAfter(bytes, openBracket), numberAfter(bytes, comma), numberAfter(bytes, comma));
    const epoch = writerEpoch(numberAfter(bytes, comma));
    if (bytes.byte() !== closeBracket || bytes.left !== behind) throw noPosition();
    return { at, epoch };
  };
}

const [openBracket, closeBracket, comma, quote, zero] = [0x5b, 0x5d, 0x2c, 0x22, 0x30] as const;
const digitsMax = 15;

/** The separator, then 1 to 15 digits in quotes. */
function numberAfter(bytes: BoundedReader, separator: number): number {
  if (bytes.byte() !== separator || bytes.byte() !== quote) throw noPosition();
  let value = 0;
  for (let digits = 0; ; digits++) {
    const byte = bytes.byte();
    if (byte === quote && digits > 0) return value;
    const digit = byte - zero;
    if (digit < 0 || digit > 9 || digits === digitsMax) throw noPosition();
    value = value * 10 + digit;
  }
}

const noPosition = (): WireFault => new WireFault("source.sequence is not a position of ours");
