/**
 * Debezium's envelope, as far as we need it: the two rows, the operation, and the position in `source.sequence`. Fields are found by name,
 * so that generations of the envelope with more, fewer or moved fields are read too; what is not needed is passed over.
 */
import { type WriterEpoch, writerEpoch } from "../core/vocabulary/ids.js";
import { type Position, position } from "../core/vocabulary/position.js";
import type { Row } from "../core/vocabulary/value.js";
import type { AvroRecord, AvroType } from "./avro-types.js";
import { skipper } from "./skipper.js";
import { type DescribedTable, readTableProperty, tableProperty } from "./table-property.js";
import { optionalReader, rowReader, stringReader } from "./value-reader.js";
import type { BoundedReader } from "./wire/bounded-reader.js";
import { WireFault } from "./wire/fault.js";

export interface Envelope {
  before: Row | null;
  after: Row | null;
  op: string;
  /** `source.sequence`. */
  sequence: string | null;
}

export interface EnvelopeReader {
  readonly described: DescribedTable;
  read(bytes: BoundedReader): Envelope;
}

export function envelopeReader(type: AvroRecord): EnvelopeReader {
  const described = readTableProperty(valueRecordOf(type).properties[tableProperty]);
  const steps = stepsOf(type, fieldStep, ["before", "after", "op", "source"]);
  return {
    described,
    read: (bytes) => {
      const envelope: Envelope = { before: null, after: null, op: "", sequence: null };
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

function fieldStep(name: string, type: AvroType): Step {
  switch (name) {
    case "before": {
      const read = optionalReader(type, rowReader);
      return (bytes, into) => {
        into.before = read(bytes);
      };
    }
    case "after": {
      const read = optionalReader(type, rowReader);
      return (bytes, into) => {
        into.after = read(bytes);
      };
    }
    case "op": {
      const read = stringReader(type);
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

function sourceStep(type: AvroType): Step {
  if (type.kind !== "record") throw new WireFault("'source' is not a record");
  const steps = stepsOf(type, sourceFieldStep, ["sequence"]);
  return (bytes, into) => {
    for (const step of steps) step(bytes, into);
  };
}

function sourceFieldStep(name: string, type: AvroType): Step {
  if (name !== "sequence") return skipper(type);
  const read = optionalReader(type, stringReader);
  return (bytes, into) => {
    into.sequence = read(bytes);
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

const sequencePattern = /^\["(\d{1,15})","(\d{1,15})","(\d{1,15})","(\d{1,15})"\]$/;

/** `["history","order","index","epoch"]`. */
export function readSequence(sequence: string | null): { readonly at: Position; readonly epoch: WriterEpoch } {
  const [, history, order, index, epoch] = sequencePattern.exec(sequence ?? "") ?? [];
  if (epoch === undefined) throw new WireFault("source.sequence is not a position of ours");
  return { at: position(Number(history), Number(order), Number(index)), epoch: writerEpoch(Number(epoch)) };
}
