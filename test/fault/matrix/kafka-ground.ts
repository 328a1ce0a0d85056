/** A broker of its own, behind a proxy that knows produce requests, behind one that knows nothing but bytes. */
import { closeSync, openSync, readdirSync, ftruncateSync, fstatSync } from "node:fs";
import { join } from "node:path";
import { type Admin, Kafka, logLevel } from "kafkajs";
import type { ErrorCode } from "../../../core/errors.js";
import { type KafkaBroker, startKafka } from "../../support/kafka.js";
import { freePorts } from "../../support/ports.js";
import { type KafkaProxy, startKafkaProxy } from "../../support/kafka-proxy.js";
import { TcpProxy } from "../../support/tcp-proxy.js";
import type { FaultGround } from "./fault-case.js";
import { Ground } from "./ground.js";

/** What sessions say that end with a broker which got no time for some seconds, and are begun again. */
export const brokerPassing: readonly ErrorCode[] = ["log.unavailable", "session.stuck", "log.append-failed"];

export interface BrokerChain extends AsyncDisposable {
  readonly broker: KafkaBroker;
  readonly produce: KafkaProxy;
  readonly bytes: TcpProxy;
}

/** One for all areas of a file: starting a broker takes seconds. */
export async function startChain(): Promise<BrokerChain> {
  const [outer = 0, middle = 0, inner = 0] = await freePorts(3);
  const bytes = new TcpProxy({ host: "127.0.0.1", port: middle }, outer);
  await bytes.up();
  const produce = await startKafkaProxy(middle, inner);
  const broker = await startKafka({ port: inner, advertisedPort: outer });
  return {
    broker,
    produce,
    bytes,
    [Symbol.asyncDispose]: async () => {
      await bytes[Symbol.asyncDispose]();
      await produce[Symbol.asyncDispose]();
      await broker.stop();
    },
  };
}

export class KafkaGround implements FaultGround {
  readonly #kafka: Kafka;

  static async make(chain: BrokerChain, log: object = {}): Promise<KafkaGround> {
    const ground = await Ground.make({ log: { kind: "kafka", brokers: [`127.0.0.1:${chain.bytes.port}`], ...log } });
    const kafka = new Kafka({ brokers: [...chain.broker.brokers], logLevel: logLevel.NOTHING });
    return new KafkaGround(ground, chain, kafka);
  }

  private constructor(
    readonly ground: Ground,
    readonly chain: BrokerChain,
    kafka: Kafka,
  ) {
    this.#kafka = kafka;
  }

  topic(name: string): string {
    return `${this.ground.name}.${name}`;
  }

  async admin<T>(work: (admin: Admin) => Promise<T>): Promise<T> {
    const admin = this.#kafka.admin();
    await admin.connect();
    try {
      return await work(admin);
    } finally {
      await admin.disconnect();
    }
  }

  /** Deletes a topic, and makes it again as it was. */
  async recreate(name: string): Promise<void> {
    const topic = this.topic(name);
    await this.remove(name);
    await this.admin((admin) => admin.createTopics({ topics: [{ topic, numPartitions: 1, configEntries: settingsOf({}) }] }));
  }

  async remove(name: string): Promise<void> {
    const topic = this.topic(name);
    await this.admin(async (admin) => {
      await admin.deleteTopics({ topics: [topic] });
      while ((await admin.listTopics()).includes(topic));
    });
  }

  /** As it was made, but for this. */
  async configure(name: string, settings: Readonly<Record<string, string>>): Promise<void> {
    // 2: a topic.
    const resources = [{ type: 2, name: this.topic(name), configEntries: settingsOf(settings) }];
    await this.admin((admin) => admin.alterConfigs({ validateOnly: false, resources }));
  }

  /** Somebody who has no business there. */
  async produce(name: string, messages: readonly { readonly key: Buffer | null; readonly value: Buffer | null }[]): Promise<void> {
    const producer = this.#kafka.producer({ allowAutoTopicCreation: false });
    await producer.connect();
    try {
      await producer.send({ topic: this.topic(name), messages: messages.map(({ key, value }) => ({ key, value, partition: 0 })) });
    } finally {
      await producer.disconnect();
    }
  }

  /** The newest record of ours in a topic, as bytes. */
  async newest(name: string): Promise<{ readonly key: Buffer | null; readonly value: Buffer }> {
    const consumer = this.#kafka.consumer({ groupId: `matrix-${Math.random()}` });
    const found: { key: Buffer | null; value: Buffer }[] = [];
    const [end] = await this.admin((admin) => admin.fetchTopicOffsets(this.topic(name)));
    await consumer.connect();
    await consumer.subscribe({ topics: [this.topic(name)], fromBeginning: true });
    await new Promise<void>((resolve, reject) => {
      const eachMessage = ({
        message,
      }: {
        readonly message: { readonly key: Buffer | null; readonly value: Buffer | null; readonly offset: string };
      }) => {
        if (message.value !== null) found.push({ key: message.key, value: message.value });
        if (Number(message.offset) + 1 >= Number(end?.high)) resolve();
        return Promise.resolve();
      };
      consumer.run({ eachMessage }).catch(reject);
    });
    await consumer.disconnect();
    const newest = found.at(-1);
    if (newest === undefined) throw new Error(`${name} is empty`);
    return newest;
  }

  /** Cuts so many bytes off the segments of topics whose name says so. Legal while the broker is down. */
  loseTails(bytes: number, which: (name: string) => boolean): number {
    const data = join(this.chain.broker.directory, "data");
    let cut = 0;
    for (const folder of readdirSync(data)) {
      const name = new RegExp(`^${this.ground.name}\\.(.*)-0$`).exec(folder)?.[1];
      if (name === undefined || !which(name)) continue;
      const file = openSync(join(data, folder, "00000000000000000000.log"), "r+");
      const { size } = fstatSync(file);
      ftruncateSync(file, Math.max(0, size - bytes));
      closeSync(file);
      cut += Math.min(size, bytes);
    }
    return cut;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const { bytes, produce, broker } = this.chain;
    bytes.toxic = { kind: "clear" };
    produce.decide = () => "pass";
    broker.thaw();
    await this.ground[Symbol.asyncDispose]();
    await this.admin(async (admin) => {
      const topics = (await admin.listTopics()).filter((name) => name.startsWith(`${this.ground.name}.`));
      if (topics.length > 0) await admin.deleteTopics({ topics });
    });
  }
}

/** Of a topic of rows, as we make it. */
function settingsOf(other: Readonly<Record<string, string>>): { name: string; value: string }[] {
  const ours = { "cleanup.policy": "delete", "retention.ms": "-1", "retention.bytes": "-1", "max.message.bytes": String(8 * 1024 * 1024) };
  return Object.entries({ ...ours, ...other }).map(([name, value]) => ({ name, value }));
}
