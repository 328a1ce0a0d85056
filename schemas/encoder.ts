/**
 * Changes and chunks into records, ready to be appended: Debezium's envelope in Avro, framed as Confluent's clients do. Live changes go to
 * their table's topic, chunks to `<prefix>.snapshot`, controls pass through.
 *
 * Schemas are registered before the first record that needs them is handed out. Each new epoch asks for all of them again: a session ends
 * when the log turns out to have lost its tail, and the topic of schemas may have lost its own with it.
 */
import type { Clock } from "../core/clock.js";
import type { BatchPart } from "../core/contracts/change.js";
import type { ChangeEncoder, EncodedPart } from "../core/contracts/log.js";
import { passing } from "../core/crash-points.js";
import { snapshotTopic, tableTopic } from "../core/topics.js";
import type { TableId, WriterEpoch } from "../core/vocabulary/ids.js";
import type { Position } from "../core/vocabulary/position.js";
import type { TableDescription } from "../core/vocabulary/table.js";
import { unreachable } from "../core/vocabulary/unreachable.js";
import { writeChunk } from "./chunk-writer.js";
import { type CutStamp, EnvelopeWriter } from "./envelope-writer.js";
import type { SchemaRegistry } from "./registry/registry.js";
import { rowWriter, type RowWriter } from "./row-writer.js";
import type { ConnectorName, DescribedTable } from "./table-property.js";
import { type TableSchemas, tableSchemas } from "./table-schema.js";
import { GrowingBuffer } from "./wire/growing-buffer.js";

export interface EncoderOptions {
  readonly prefix: string;
  readonly registry: SchemaRegistry;
  readonly clock: Clock;
  /** Default: sqlite. */
  readonly connector?: ConnectorName;
}

export function createEncoder(options: EncoderOptions): ChangeEncoder {
  return new Encoder(options);
}

interface CutOf {
  readonly cut: Position;
  readonly epoch: WriterEpoch;
}

/** What is made once per description of a table. */
interface PreparedTable {
  description: TableDescription;
  readonly text: string;
  readonly described: DescribedTable;
  readonly schemas: TableSchemas;
  readonly rows: RowWriter;
  envelopes: EnvelopeWriter | null;
  chunkId: number | null;
}

class Encoder implements ChangeEncoder {
  readonly #options: EncoderOptions;
  readonly #out = new GrowingBuffer();
  readonly #tables = new Map<TableId, PreparedTable>();
  #stamp: CutStamp | null = null;

  constructor(options: EncoderOptions) {
    this.#options = options;
  }

  async encode(part: BatchPart, at: CutOf, signal: AbortSignal): Promise<readonly EncodedPart[]> {
    if (this.#stamp !== null && this.#stamp.epoch !== at.epoch) await this.#registerAgain(signal);
    const stamp = this.#stampOf(at);
    switch (part.kind) {
      case "control":
        return [{ kind: "control", control: part.control }];
      case "changes": {
        const envelopes = await this.#envelopes(this.#prepared(part.table), signal);
        return [{ kind: "records", records: envelopes.write(part.changes, stamp) }];
      }
      case "chunk": {
        const prepared = this.#prepared(part.table);
        const schemaId = await this.#chunkId(prepared, signal);
        const chunkOptions = { topic: snapshotTopic(this.#options.prefix), table: part.table, rows: prepared.rows, schemaId };
        return [{ kind: "records", records: [writeChunk(this.#out, chunkOptions, { chunk: part.chunk, epoch: at.epoch })] }];
      }
      default:
        return unreachable(part);
    }
  }

  /** One stamp, and so one time and one count of records, for all parts of a cut. */
  #stampOf({ cut, epoch }: CutOf): CutStamp {
    const transaction = `${cut.history}:${cut.order}`;
    const stamp = this.#stamp;
    if (stamp !== null && stamp.epoch === epoch && stamp.transaction === transaction) return stamp;
    this.#stamp = { epoch, transaction, wallMs: this.#options.clock.wallMs(), total: 0 };
    return this.#stamp;
  }

  /** By the description itself, not by its version: whoever gives two tables one version gets two schemas all the same. */
  #prepared(table: TableDescription): PreparedTable {
    const found = this.#tables.get(table.table);
    if (found?.description === table) return found;
    const text = JSON.stringify(table);
    if (found?.text === text) {
      found.description = table;
      return found;
    }
    const described = { topic: tableTopic(this.#options.prefix, table.table), table };
    const schemas = tableSchemas(described, this.#options.connector);
    const made: PreparedTable = { description: table, text, described, schemas, rows: rowWriter(table), envelopes: null, chunkId: null };
    this.#tables.set(table.table, made);
    return made;
  }

  async #envelopes(prepared: PreparedTable, signal: AbortSignal): Promise<EnvelopeWriter> {
    prepared.envelopes ??= await this.#registerEnvelope(prepared, signal);
    return prepared.envelopes;
  }

  async #registerEnvelope({ described, schemas, rows }: PreparedTable, signal: AbortSignal): Promise<EnvelopeWriter> {
    const { registry, prefix, connector = "sqlite" } = this.#options;
    passing("source.schema-seen");
    const keyId = await registry.idFor(`${described.topic}-key`, schemas.key, signal);
    const valueId = await registry.idFor(`${described.topic}-value`, schemas.envelope, signal);
    passing("source.schema-registered");
    return new EnvelopeWriter(this.#out, { prefix, connector, described, rows, keyId, valueId });
  }

  async #chunkId(prepared: PreparedTable, signal: AbortSignal): Promise<number> {
    prepared.chunkId ??= await this.#registerChunk(prepared, signal);
    return prepared.chunkId;
  }

  /** All tables share the topic: their schemas are told apart by topic and record name, else each would have to be compatible with the others. */
  #registerChunk({ schemas }: PreparedTable, signal: AbortSignal): Promise<number> {
    return this.#options.registry.idFor(`${snapshotTopic(this.#options.prefix)}-${schemas.chunkName}`, schemas.chunk, signal);
  }

  async #registerAgain(signal: AbortSignal): Promise<void> {
    await this.#options.registry.recheck(signal);
    for (const prepared of this.#tables.values()) {
      if (prepared.envelopes !== null) prepared.envelopes = await this.#registerEnvelope(prepared, signal);
      if (prepared.chunkId !== null) prepared.chunkId = await this.#registerChunk(prepared, signal);
    }
  }
}
