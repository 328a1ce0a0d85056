/**
 * Records into changes and chunks, by the schemas that their frames name and nothing else. Bytes are not trusted: whatever is not built as
 * a record of ours ends as `log.garbage` with topic, partition and offset, and the records behind it are not looked at. What stands at the places
 * where values belong is judged when it is asked for (`live-record.ts`), and named in the same way.
 *
 * op c, u, d, r are create, update, delete, state. A delete with header `__debezium.newkey` is the first half of a key change and only
 * counts; a create with `__debezium.oldkey` is the whole of it.
 */
import type { ChangeDecoder, DecodedRecord } from "../core/contracts/log.js";
import type { StoredRecord } from "../core/contracts/log-store.js";
import { TailraceError } from "../core/errors.js";
import { snapshotTopic, tableTopic } from "../core/topics.js";
import type { Topic } from "../core/vocabulary/ids.js";
import type { TableDescription } from "../core/vocabulary/table.js";
import { unreachable } from "../core/vocabulary/unreachable.js";
import type { Key, Row } from "../core/vocabulary/value.js";
import { parseSchema } from "./avro-types.js";
import { type ChunkReader, chunkReader } from "./chunk-reader.js";
import { type Envelope, type EnvelopeReader, envelopeReader } from "./envelope-reader.js";
import { newKeyHeader, oldKeyHeader } from "./key-headers.js";
import { ChunkRecord, DeleteRecord, type LateRows, RekeyRecord, RowRecord } from "./live-record.js";
import type { SchemaRegistry } from "./registry/registry.js";
import type { DescribedTable } from "./table-property.js";
import { rowReader } from "./value-reader.js";
import { BoundedReader } from "./wire/bounded-reader.js";
import { WireFault } from "./wire/fault.js";
import { framedId, openFrame } from "./wire/framing.js";

export function createDecoder(options: { readonly registry: SchemaRegistry }): ChangeDecoder {
  return new Decoder(options.registry);
}

type SchemaReader =
  | ({ readonly kind: "envelope"; readonly late: LateRows } & EnvelopeReader)
  | ({ readonly kind: "chunk" } & ChunkReader)
  | { readonly kind: "key"; readonly columns: number; readonly read: (bytes: BoundedReader) => Row };

class Decoder implements ChangeDecoder {
  readonly #registry: SchemaRegistry;
  readonly #readers = new Map<number, SchemaReader>();
  readonly #bytes = new BoundedReader();

  constructor(registry: SchemaRegistry) {
    this.#registry = registry;
  }

  async decode(records: readonly StoredRecord[], signal: AbortSignal): Promise<readonly (DecodedRecord | null)[]> {
    const decoded: (DecodedRecord | null)[] = [];
    for (const record of records) {
      const { value } = record;
      // A promise is only made where a schema is missing: this runs once per record.
      decoded.push(value === null ? null : (this.#known(record, value) ?? (await this.#learned(record, value, signal))));
    }
    return decoded;
  }

  /** null: it names a schema that was not read yet. */
  #known(record: StoredRecord, value: Uint8Array): DecodedRecord | null {
    try {
      return this.#head(record, value);
    } catch (error) {
      if (error instanceof UnreadSchema) return null;
      throw garbage(record, error);
    }
  }

  async #learned(record: StoredRecord, value: Uint8Array, signal: AbortSignal): Promise<DecodedRecord> {
    for (const id of idsOf(record)) await this.#learn(id, record, signal);
    return judged(record, () => this.#head(record, value));
  }

  async #learn(id: number, record: StoredRecord, signal: AbortSignal): Promise<void> {
    if (this.#readers.has(id)) return;
    const text = await this.#registry.schemaById(id, signal).catch((error: unknown) => {
      if (!(error instanceof TailraceError) || error.code !== "registry.unknown-schema") throw error;
      throw new TailraceError(error.code, { what: error.message, where: { ...error.where, ...placeOf(record) }, cause: error });
    });
    try {
      this.#readers.set(id, this.#readerOf(text));
    } catch (error) {
      throw garbage(record, error);
    }
  }

  #readerOf(schemaText: string): SchemaReader {
    const type = parseSchema(schemaText);
    if (type.kind !== "record") throw new WireFault("the schema is no record");
    if (type.name.endsWith(".Envelope")) {
      const reader = envelopeReader(type);
      return { kind: "envelope", late: this.#lateRows(reader), ...reader };
    }
    if (type.name.endsWith(".Chunk")) return { kind: "chunk", ...chunkReader(type) };
    if (type.name.endsWith(".Key")) return { kind: "key", columns: type.fields.length, read: rowReader(type) };
    throw new WireFault(`the schema of ${type.name} is none of ours`);
  }

  #head(record: StoredRecord, value: Uint8Array): DecodedRecord {
    const reader = this.#open(value);
    switch (reader.kind) {
      case "envelope": {
        mustBe(reader.described.topic === record.topic, "the record is of another table than its topic");
        const envelope = reader.read(this.#bytes);
        this.#bytes.close();
        return this.#live(record, reader.late, { envelope, bytes: heldBytes(value) });
      }
      case "chunk":
        mustBe(holdsChunksOf(record.topic, reader.described), "a chunk stands outside of its topic");
        return new ChunkRecord((stored) => this.#chunk(stored), record, { ...reader.head(this.#bytes), bytes: heldBytes(value) });
      case "key":
        throw new WireFault("the value has the schema of a key");
      default:
        return unreachable(reader);
    }
  }

  #live(record: StoredRecord, rows: LateRows, { envelope, bytes }: { envelope: Readonly<Envelope>; bytes: number }): DecodedRecord {
    const { at, epoch, op, before, after, key } = envelope;
    const headed = record.headers.length > 0;
    if (op === "d") {
      mustBe(after === null, "a delete has a row after it");
      if (headed && headerOf(record, newKeyHeader) !== null) return { epoch, at, bytes, body: { kind: "counted" } };
      return new DeleteRecord(rows, record, { at, epoch, bytes, key: this.#key(rows.table, record.key), rowAt: before });
    }
    if (key === null) throw new WireFault("the row is missing");
    const old = headed && op === "c" ? headerOf(record, oldKeyHeader) : null;
    if (old === null) return new RowRecord(rows, record, { at, epoch, bytes, key, rowAt: after, kind: kindOf(op) });
    return new RekeyRecord(rows, record, { at, epoch, bytes, key, rowAt: after, from: this.#key(rows.table, old) });
  }

  /** Rows of one schema, read when somebody asks for them. */
  #lateRows(reader: EnvelopeReader): LateRows {
    // No `judged`: this runs once per row.
    const read = (stored: StoredRecord, at: number, row: (bytes: BoundedReader) => Row): Row => {
      try {
        this.#bytes.open(stored.value ?? new Uint8Array());
        this.#bytes.goTo(at);
        return row(this.#bytes);
      } catch (error) {
        throw garbage(stored, error);
      }
    };
    return {
      table: reader.described.table,
      before: (stored, at) => read(stored, at, reader.before),
      after: (stored, at) => read(stored, at, reader.after),
    };
  }

  #chunk(stored: StoredRecord): DecodedRecord["body"] {
    return judged(stored, () => {
      const reader = this.#open(stored.value ?? new Uint8Array());
      if (reader.kind !== "chunk") throw new WireFault("the record is not what it was");
      const chunk = reader.read(this.#bytes);
      this.#bytes.close();
      return { kind: "chunk", table: reader.described.table, chunk };
    });
  }

  #key(table: TableDescription, bytes: Uint8Array | null): Key {
    if (bytes === null) throw new WireFault("the record has no key");
    const reader = this.#open(bytes);
    if (reader.kind !== "key" || reader.columns !== table.key.length) throw new WireFault("the key has the schema of something else");
    const key = reader.read(this.#bytes);
    this.#bytes.close();
    return key;
  }

  #open(bytes: Uint8Array): SchemaReader {
    const id = openFrame(this.#bytes, bytes);
    const reader = this.#readers.get(id);
    if (reader === undefined) throw new UnreadSchema(`schema ${id} was not asked for`);
    return reader;
  }
}

class UnreadSchema extends WireFault {}

function judged<T>(record: StoredRecord, read: () => T): T {
  try {
    return read();
  } catch (error) {
    throw garbage(record, error);
  }
}

function kindOf(op: string): RowRecord["kind"] {
  switch (op) {
    case "c":
      return "create";
    case "u":
      return "update";
    case "r":
      return "state";
    default:
      throw new WireFault(`operation '${op}' is none of ours`);
  }
}

/** With the objects that stand for the record, roughly. */
const heldBytes = (value: Uint8Array): number => 300 + value.length;

/** RangeError: lengths and depths beyond what the runtime holds. Anything else is a fault of ours and stays what it is. */
function garbage(record: StoredRecord, cause: unknown): unknown {
  if (!(cause instanceof WireFault) && !(cause instanceof RangeError)) return cause;
  return new TailraceError("log.garbage", { what: cause.message, where: placeOf(record), cause });
}

/** Numbers of the schemas that decoding the record needs. */
function idsOf(record: StoredRecord): readonly number[] {
  if (record.value === null) return [];
  const frames = [record.value, record.key, ...record.headers.filter(isKeyHeader).map(([, value]) => value)];
  return frames.map((frame) => (frame === null ? null : framedId(frame))).filter((id) => id !== null);
}

/** The topic `<prefix>.snapshot` of the prefix that the table's own topic has. */
function holdsChunksOf(topic: Topic, described: DescribedTable): boolean {
  const prefix = topic.slice(0, -".snapshot".length);
  return topic === snapshotTopic(prefix) && described.topic === tableTopic(prefix, described.table.table);
}

const isKeyHeader = ([name]: readonly [string, Uint8Array]): boolean => name === newKeyHeader || name === oldKeyHeader;

const headerOf = (record: StoredRecord, name: string): Uint8Array | null =>
  record.headers.find((header) => header[0] === name)?.[1] ?? null;

const placeOf = ({ topic, partition, offset }: StoredRecord) => ({ topic, partition, offset });

function mustBe(holds: boolean, otherwise: string): void {
  if (!holds) throw new WireFault(otherwise);
}
