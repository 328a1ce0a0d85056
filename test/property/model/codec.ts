/** The model's wire format: a number for each record, looked up in a table that outlives every process. */
import type { ChangeDecoder, ChangeEncoder, DecodedRecord, EncodedPart, EncodedRecord } from "../../../core/contracts/log.js";
import { snapshotTopic, tableTopic } from "../../../core/topics.js";
import { tableId, type Topic } from "../../../core/vocabulary/ids.js";
import type { TableDescription } from "../../../core/vocabulary/table.js";
import type { Key } from "../../../core/vocabulary/value.js";
import { type Kinds, type TableName, tableNames } from "./database.js";
import { numberOfKey } from "./keys.js";
import { columnsOf } from "./tables.js";

export const prefix = "model";
export const topicOf = (table: TableName): Topic => tableTopic(prefix, tableId(table));
export const chunkTopic = snapshotTopic(prefix);
export const counted: readonly Topic[] = [...tableNames.map(topicOf), chunkTopic];

/** Large enough that two of them do not fit one request; a name, because names are shared and not copied. */
const ballast = "x".repeat(500_000);

export class Codec implements ChangeEncoder, ChangeDecoder {
  readonly tables: Readonly<Record<TableName, TableDescription>>;
  readonly #records: DecodedRecord[] = [];

  constructor(
    kinds: Kinds,
    private readonly options: { readonly partitionsOfA: number; readonly severalRequests: boolean; readonly narrow?: boolean },
  ) {
    const narrow = options.narrow === true;
    this.tables = { A: columnsOf("A", kinds, narrow), B: columnsOf("B", kinds, narrow) };
  }

  async encode(
    part: Parameters<ChangeEncoder["encode"]>[0],
    { epoch }: Parameters<ChangeEncoder["encode"]>[1],
  ): Promise<readonly EncodedPart[]> {
    if (part.kind === "control") return [part];
    const { table } = part;
    const topic = topicOf(table.table === "A" ? "A" : "B");
    if (part.kind === "chunk") {
      const record = this.#record({ epoch, at: part.chunk.at, body: { kind: "chunk", table, chunk: part.chunk } });
      return [{ kind: "records", records: [{ ...record, topic: chunkTopic, partition: 0 }] }];
    }
    const records = part.changes.flatMap((change): EncodedRecord[] => {
      const { at } = change;
      const create = {
        ...this.#record({ epoch, at, body: { kind: "change", table, change } }),
        topic,
        partition: this.#partition(table, change.key),
      };
      if (change.kind !== "rekey") return [create];
      return [{ ...this.#record({ epoch, at, body: { kind: "counted" } }), topic, partition: this.#partition(table, change.from) }, create];
    });
    return [{ kind: "records", records }];
  }

  async decode(records: Parameters<ChangeDecoder["decode"]>[0]): Promise<readonly (DecodedRecord | null)[]> {
    return records.map(({ value }) => this.#records[Buffer.from(value ?? []).readUInt32BE()] ?? null);
  }

  #record(decoded: Omit<DecodedRecord, "bytes">): Omit<EncodedRecord, "topic" | "partition"> {
    const value = Buffer.alloc(4);
    value.writeUInt32BE(this.#records.push({ ...decoded, bytes: 212 }) - 1);
    const heavy = this.options.severalRequests && this.#records.length % 2 === 0;
    return { key: null, value, headers: heavy ? [[ballast, new Uint8Array()]] : [], counts: 1 };
  }

  #partition(table: TableDescription, key: Key): number {
    return table.table === "A" ? numberOfKey(key) % this.options.partitionsOfA : 0;
  }
}
