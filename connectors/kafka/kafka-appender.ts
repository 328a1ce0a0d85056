/**
 * An idempotent producer, used as the only way that loses and doubles nothing: one request in flight, every record with its partition, and
 * whatever error leaves a send ends the producer. A producer that goes on after an error may be acknowledged for records that the broker
 * threw away as duplicates of older ones, without any sign; so may one that was acknowledged at an offset that it had been given before.
 */
import type { LogAppender, OutgoingRecord } from "../../core/contracts/log-store.js";
import { isAbort, TailraceError } from "../../core/errors.js";
import { recordBytes, recordBytesMax } from "../../core/record-size.js";
import { type Offset, offset, type Topic } from "../../core/vocabulary/ids.js";
import { Client, type ClientOptions } from "./client.js";
import { asLogError } from "./kafka-errors.js";
import type { Producer } from "./library.js";
import { settle } from "./settle.js";

type Written = { readonly topic: Topic; readonly partition: number; readonly base: Offset };
interface Message {
  readonly partition: number;
  readonly key: Buffer | null;
  readonly value: Buffer | null;
  readonly headers?: Record<string, Buffer | Buffer[]>;
}
interface Sent {
  readonly topic: Topic;
  readonly partition: number;
  count: number;
}

/** Rides over the restart of a broker (5 to 15 s), and over one answer that was lost (20 s); a longer outage ends the session, which says so. */
const sendRetry = { retries: 25, initialRetryTime: 50, maxRetryTime: 1_000 };
const connectPatienceMs = 20_000;
const sendPatienceMs = 25_000;
const storePatienceMs = 20_000;

export async function openAppender(options: ClientOptions, signal: AbortSignal): Promise<LogAppender> {
  const client = new Client(options, sendRetry);
  const producer = client.kafka.producer({
    idempotent: true,
    maxInFlightRequests: 1,
    allowAutoTopicCreation: false,
    retry: client.retry,
    createPartitioner: () => partitionOfMessage,
  });
  try {
    await settle(producer.connect(), { ms: connectPatienceMs, clock: options.clock, signal });
    return new KafkaAppender(options, client, producer);
  } catch (error) {
    await client.close(() => producer.disconnect());
    throw asLogError(options.settings.brokers, error);
  }
}

class KafkaAppender implements LogAppender {
  #state: "ready" | "appending" | "dead" = "ready";
  /** By partition, the offset behind what was acknowledged. */
  readonly #ends = new Map<string, number>();

  constructor(
    private readonly options: ClientOptions,
    private readonly client: Client,
    private readonly producer: Producer,
  ) {}

  async append(records: readonly OutgoingRecord[], signal: AbortSignal): Promise<readonly Written[]> {
    if (this.#state !== "ready") throw failed(`the appender is ${this.#state}: one append at a time, none after a failure`);
    this.#state = "appending";
    try {
      records.forEach(assertSize);
      const written = await this.#send(records, signal);
      this.#state = "ready";
      return written;
    } catch (error) {
      if (isAbort(error)) throw error;
      const known = asLogError(this.options.settings.brokers, error);
      if (!(known instanceof TailraceError) || known.verdict === "stop" || known.code === "log.append-failed") throw known;
      throw failed(known.message, known);
    } finally {
      if (this.#state === "appending") this.#state = "dead";
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#state = "dead";
    await this.client.close(() => this.producer.disconnect());
  }

  async #send(records: readonly OutgoingRecord[], signal: AbortSignal): Promise<readonly Written[]> {
    signal.throwIfAborted();
    if (records.length === 0) return [];
    const messages = new Map<Topic, Message[]>();
    const sent = new Map<string, Sent>();
    for (const record of records) {
      const { topic, partition } = record;
      const key = partitionKey(topic, partition);
      const known = sent.get(key);
      if (known === undefined) sent.set(key, { topic, partition, count: 1 });
      else known.count++;
      const ofTopic = messages.get(topic);
      if (ofTopic === undefined) messages.set(topic, [messageOf(record)]);
      else ofTopic.push(messageOf(record));
    }
    const sending = this.producer.sendBatch({
      acks: -1,
      timeout: storePatienceMs,
      topicMessages: [...messages].map(([topic, ofTopic]) => ({ topic, messages: ofTopic })),
    });
    const answers = await settle(sending, { ms: sendPatienceMs, clock: this.options.clock, signal });
    const bases = new Map(answers.map((each) => [partitionKey(each.topicName, each.partition), Number(each.baseOffset ?? -1)]));
    return [...sent].map(([key, { topic, partition, count }]) => this.#acknowledged(key, { topic, partition, count }, bases.get(key)));
  }

  #acknowledged(key: string, { topic, partition, count }: Sent, base: number | undefined): Written {
    const where = { topic, partition, acknowledged: base ?? -1 };
    // The library leaves out, without a word, records for a partition that the topic does not have.
    if (base === undefined || Number.isNaN(base) || base < 0)
      throw failed(`the broker acknowledged nothing for partition ${partition} of ${topic}`, undefined, where);
    if (base < (this.#ends.get(key) ?? 0))
      throw failed(`the broker acknowledged records of ${topic} at an offset it had acknowledged before`, undefined, where);
    this.#ends.set(key, base + count);
    return { topic, partition, base: offset(base) };
  }
}

const partitionKey = (topic: string, partition: number): string => `${partition} ${topic}`;
const partitionOfMessage = ({ message }: { readonly message: { readonly partition?: number } }): number => message.partition ?? 0;

function failed(what: string, cause?: unknown, where?: Readonly<Record<string, string | number>>): TailraceError {
  return new TailraceError("log.append-failed", { what, cause, ...(where === undefined ? {} : { where }) });
}

function assertSize(record: OutgoingRecord): void {
  const bytes = recordBytes(record);
  if (bytes > recordBytesMax)
    throw new TailraceError("log.record-too-large", {
      what: `a record of ${bytes} bytes is larger than the log takes (${recordBytesMax})`,
      where: { topic: record.topic, partition: record.partition },
    });
}

const asBuffer = (bytes: Uint8Array | null): Buffer | null =>
  bytes === null || Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);

function messageOf({ partition, key, value, headers }: OutgoingRecord): Message {
  const message = { partition, key: asBuffer(key), value: asBuffer(value) };
  if (headers.length === 0) return message;
  const byName: Record<string, Buffer | Buffer[]> = {};
  for (const [name, bytes] of headers) {
    const known = byName[name];
    const header = Buffer.from(bytes);
    byName[name] = known === undefined ? header : [...(Array.isArray(known) ? known : [known]), header];
  }
  return { ...message, headers: byName };
}
