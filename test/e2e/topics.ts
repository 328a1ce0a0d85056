/** The topics of a pipeline as anybody sees them: a plain consumer, and Avro through the registry. Nothing here is Tailrace's own code. */
import avsc from "avsc";
import { Kafka, logLevel } from "kafkajs";
import type { RegistryServer } from "../support/registry.js";

export interface SeenRecord {
  readonly topic: string;
  readonly key: unknown;
  /** null: a tombstone. */
  readonly value: unknown;
}

/** 64-bit numbers as bigint, as any careful consumer reads them. */
const long = avsc.types.LongType.__with({
  fromBuffer: (buffer: Buffer) => buffer.readBigInt64LE(),
  toBuffer: (n: bigint) => {
    const buffer = Buffer.alloc(8);
    buffer.writeBigInt64LE(n);
    return buffer;
  },
  fromJSON: BigInt,
  toJSON: Number,
  isValid: (n: unknown) => typeof n === "bigint",
  compare: (a: bigint, b: bigint) => (a === b ? 0 : a < b ? -1 : 1),
});

export class Topics implements AsyncDisposable {
  readonly #kafka: Kafka;
  readonly #types = new Map<number, avsc.Type>();

  constructor(
    brokers: readonly string[],
    private readonly registry: RegistryServer | null,
  ) {
    this.#kafka = new Kafka({ brokers: [...brokers], logLevel: logLevel.NOTHING });
  }

  /** Settings that lose data or refuse records when they are wrong, by topic. */
  async settings(prefix: string): Promise<ReadonlyMap<string, Readonly<Record<string, string>>>> {
    const names = ["cleanup.policy", "retention.ms", "retention.bytes", "max.message.bytes"];
    const admin = this.#kafka.admin();
    await admin.connect();
    try {
      const topics = (await admin.listTopics()).filter((name) => name.startsWith(`${prefix}.`)).sort();
      if (topics.length === 0) return new Map();
      const { resources } = await admin.describeConfigs({ resources: topics.map((name) => ({ type: 2, name })), includeSynonyms: false });
      return new Map(
        resources.map(({ resourceName, configEntries }) => [
          resourceName,
          Object.fromEntries(
            configEntries.filter(({ configName }) => names.includes(configName)).map((e) => [e.configName, e.configValue]),
          ),
        ]),
      );
    } finally {
      await admin.disconnect();
    }
  }

  /** All records that the topics hold now, in their order. */
  async records(topics: readonly string[]): Promise<readonly SeenRecord[]> {
    const admin = this.#kafka.admin();
    await admin.connect();
    let left = 0;
    for (const topic of topics) for (const { high } of await admin.fetchTopicOffsets(topic)) left += Number(high);
    await admin.disconnect();
    const consumer = this.#kafka.consumer({ groupId: `e2e-${Math.random()}` });
    await consumer.connect();
    await consumer.subscribe({ topics: [...topics], fromBeginning: true });
    const seen: SeenRecord[] = [];
    await new Promise<void>((resolve, reject) => {
      const eachMessage = async ({ topic, message }: { topic: string; message: { key: Buffer | null; value: Buffer | null } }) => {
        try {
          seen.push({ topic, key: await this.#decode(message.key), value: await this.#decode(message.value) });
        } catch (error) {
          reject(error as Error);
        }
        if (--left === 0) resolve();
      };
      consumer.run({ eachMessage }).catch(reject);
    });
    await consumer.disconnect();
    return seen;
  }

  async [Symbol.asyncDispose](): Promise<void> {}

  async #decode(bytes: Buffer | null): Promise<unknown> {
    if (bytes === null) return null;
    if (bytes[0] !== 0) throw new Error("not the Confluent wire format");
    const id = bytes.readUInt32BE(1);
    let type = this.#types.get(id);
    if (type === undefined) {
      const response = await fetch(`${this.registry?.url ?? ""}/schemas/ids/${id}`);
      const { schema } = (await response.json()) as { schema: string };
      const typeHook = (part: avsc.Schema): avsc.Type | undefined =>
        part === "long" || (part as { type?: unknown }).type === "long" ? long : undefined;
      type = avsc.Type.forSchema(JSON.parse(schema) as avsc.Schema, { typeHook, wrapUnions: true });
      this.#types.set(id, type);
    }
    return unwrapped(type.fromBuffer(bytes.subarray(5)));
  }
}

/** Values of unions come with the name of their branch. */
function unwrapped(value: unknown): unknown {
  if (typeof value !== "object" || value === null || Buffer.isBuffer(value)) return value;
  if (Array.isArray(value)) return value.map(unwrapped);
  const entries = Object.entries(value).map(([name, inner]): [string, unknown] => [name, unwrapped(inner)]);
  return value.constructor.name === "Branch$" ? entries[0]?.[1] : Object.fromEntries(entries);
}
