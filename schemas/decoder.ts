/**
 * Records into changes and chunks, by the schemas that their frames name and nothing else. Bytes are not trusted: whatever is not exactly
 * a record of ours ends as `log.garbage` with topic, partition and offset, and the records behind it are not looked at.
 *
 * op c, u, d, r are create, update, delete, state. A delete with header `__debezium.newkey` is the first half of a key change and only
 * counts; a create with `__debezium.oldkey` is the whole of it.
 */
import type { Change } from "../core/contracts/change.js";
import type { ChangeDecoder, DecodedRecord } from "../core/contracts/log.js";
import type { StoredRecord } from "../core/contracts/log-store.js";
import { TailraceError } from "../core/errors.js";
import { snapshotTopic, tableTopic } from "../core/topics.js";
import type { Topic } from "../core/vocabulary/ids.js";
import { keyOf, type TableDescription } from "../core/vocabulary/table.js";
import { unreachable } from "../core/vocabulary/unreachable.js";
import type { Key, Row } from "../core/vocabulary/value.js";
import { parseSchema } from "./avro-types.js";
import { type ChunkReader, chunkReader } from "./chunk-reader.js";
import { type Envelope, type EnvelopeReader, envelopeReader } from "./envelope-reader.js";
import { newKeyHeader, oldKeyHeader } from "./key-headers.js";
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
  | ({ readonly kind: "envelope" } & EnvelopeReader)
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
    for (const record of records) {
      // A promise is only made where a schema is missing: this runs once per record.
      if (this.#lacksSchema(record)) for (const id of idsOf(record)) await this.#learn(id, record, signal);
    }
    return records.map((record) => (record.value === null ? null : this.#decoded(record)));
  }

  #lacksSchema({ key, value, headers }: StoredRecord): boolean {
    if (value === null) return false;
    if (this.#lacks(value) || (key !== null && this.#lacks(key))) return true;
    return headers.length > 0 && headers.some((header) => isKeyHeader(header) && this.#lacks(header[1]));
  }

  #lacks(frame: Uint8Array): boolean {
    const id = framedId(frame);
    return id !== null && !this.#readers.has(id);
  }

  async #learn(id: number, record: StoredRecord, signal: AbortSignal): Promise<void> {
    if (this.#readers.has(id)) return;
    const text = await this.#registry.schemaById(id, signal).catch((error: unknown) => {
      if (!(error instanceof TailraceError) || error.code !== "registry.unknown-schema") throw error;
      throw new TailraceError(error.code, { what: error.message, where: { ...error.where, ...placeOf(record) }, cause: error });
    });
    try {
      this.#readers.set(id, readerOf(text));
    } catch (error) {
      throw garbage(record, error);
    }
  }

  #decoded(record: StoredRecord): DecodedRecord {
    try {
      return this.#body(record, record.value ?? new Uint8Array());
    } catch (error) {
      throw garbage(record, error);
    }
  }

  #body(record: StoredRecord, value: Uint8Array): DecodedRecord {
    const reader = this.#open(value);
    switch (reader.kind) {
      case "envelope": {
        mustBe(reader.described.topic === record.topic, "the record is of another table than its topic");
        const envelope = reader.read(this.#bytes);
        this.#bytes.close();
        return this.#change(record, reader.described.table, envelope);
      }
      case "chunk": {
        mustBe(holdsChunksOf(record.topic, reader.described), "a chunk stands outside of its topic");
        const { chunk, epoch } = reader.read(this.#bytes);
        this.#bytes.close();
        return { epoch, at: chunk.at, body: { kind: "chunk", table: reader.described.table, chunk } };
      }
      case "key":
        throw new WireFault("the value has the schema of a key");
      default:
        return unreachable(reader);
    }
  }

  #change(record: StoredRecord, table: TableDescription, envelope: Readonly<Envelope>): DecodedRecord {
    const { at, epoch, op } = envelope;
    if (op === "d" && record.headers.length > 0 && headerOf(record, newKeyHeader) !== null) return { epoch, at, body: { kind: "counted" } };
    return { epoch, at, body: { kind: "change", table, change: this.#changeOf(record, table, envelope) } };
  }

  #changeOf(record: StoredRecord, table: TableDescription, { at, op, before, after }: Readonly<Envelope>): Change {
    if (op === "d") {
      mustBe(after === null, "a delete has a row after it");
      return { kind: "delete", at, key: this.#key(table, record.key), before };
    }
    if (after === null) throw new WireFault("the row is missing");
    const key = keyOf(table, after);
    switch (op) {
      case "c": {
        const old = record.headers.length === 0 ? null : headerOf(record, oldKeyHeader);
        return old === null ? { kind: "create", at, key, after } : { kind: "rekey", at, from: this.#key(table, old), key, after };
      }
      case "u":
        return { kind: "update", at, key, after };
      case "r":
        return { kind: "state", at, key, after };
      default:
        throw new WireFault(`operation '${op}' is none of ours`);
    }
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
    if (reader === undefined) throw new WireFault(`schema ${id} was not asked for`);
    return reader;
  }
}

/** RangeError: lengths and depths beyond what the runtime holds. Anything else is a fault of ours and stays what it is. */
function garbage(record: StoredRecord, cause: unknown): unknown {
  if (!(cause instanceof WireFault) && !(cause instanceof RangeError)) return cause;
  return new TailraceError("log.garbage", { what: cause.message, where: placeOf(record), cause });
}

function readerOf(schemaText: string): SchemaReader {
  const type = parseSchema(schemaText);
  if (type.kind !== "record") throw new WireFault("the schema is no record");
  if (type.name.endsWith(".Envelope")) return { kind: "envelope", ...envelopeReader(type) };
  if (type.name.endsWith(".Chunk")) return { kind: "chunk", ...chunkReader(type) };
  if (type.name.endsWith(".Key")) return { kind: "key", columns: type.fields.length, read: rowReader(type) };
  throw new WireFault(`the schema of ${type.name} is none of ours`);
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
