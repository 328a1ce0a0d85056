/**
 * The registry without a server: the topic `<prefix>.schemas`, one record `{id, subject, schema}` for each text.
 *
 * A number is made of the text: 31 bits of its SHA-256, so that two writers who race give one text one number. Two texts that meet in a
 * number are told apart by order: the first record of a number holds it, and the writer of the later one takes the next 31 bits. Hence a
 * number is only used after the topic has been read back behind the append. The record's key holds number and digest, so that compaction never
 * drops a holder for the sake of another text.
 *
 * The topic may lose its tail like any other. `recheck` looks whether the newest record that was read still stands; if not, all is read again
 * and `idFor` appends what is missing: same text, same number. Who only reads keeps what it has read.
 */
import { createHash } from "node:crypto";
import type { LogStore, StoredRecord } from "../../core/contracts/log-store.js";
import { TailraceError } from "../../core/errors.js";
import { schemasTopic } from "../../core/topics.js";
import { type Offset, offset, type Topic } from "../../core/vocabulary/ids.js";
import { Coalesced } from "./coalesced.js";
import type { SchemaRegistry } from "./registry.js";

/** The topic must be there (`topicSpecs` of core/topics names it). */
export function embeddedRegistry(options: { readonly store: LogStore; readonly prefix: string }): SchemaRegistry {
  return new EmbeddedRegistry(options.store, schemasTopic(options.prefix));
}

interface Held {
  readonly schema: string;
  readonly at: Offset;
}

class EmbeddedRegistry implements SchemaRegistry {
  readonly #store: LogStore;
  readonly #topic: Topic;
  readonly #ids = new Coalesced<number>();
  readonly #texts = new Coalesced<string>();
  readonly #held = new Map<number, Held>();
  /** Everything below was read. */
  #readTo = offset(0);
  /** Scans and appends follow each other. */
  #turn: Promise<unknown> = Promise.resolve();

  constructor(store: LogStore, topic: Topic) {
    this.#store = store;
    this.#topic = topic;
  }

  idFor(subject: string, schemaText: string, signal: AbortSignal): Promise<number> {
    const work = (ended: AbortSignal): Promise<number> => this.#inTurn(() => this.#register(subject, schemaText, ended));
    return this.#ids.get(JSON.stringify([subject, schemaText]), work, signal);
  }

  schemaById(id: number, signal: AbortSignal): Promise<string> {
    return this.#texts.get(String(id), (ended) => this.#inTurn(() => this.#find(id, ended)), signal);
  }

  recheck(signal: AbortSignal): Promise<void> {
    return this.#inTurn(async () => {
      const newest = [...this.#held].reduce<[number, Held] | null>((a, b) => (a !== null && a[1].at > b[1].at ? a : b), null);
      if (newest === null || (await this.#stands(newest[0], newest[1], signal))) return;
      this.#ids.forget();
      this.#held.clear();
      this.#readTo = offset(0);
    });
  }

  async #find(id: number, signal: AbortSignal): Promise<string> {
    if (!this.#held.has(id)) await this.#readOn(signal);
    if (!this.#held.has(id)) {
      // The topic may have been cut and have grown again meanwhile: what stands below was then not read.
      this.#readTo = offset(0);
      await this.#readOn(signal);
    }
    const found = this.#held.get(id);
    if (found !== undefined) return found.schema;
    throw new TailraceError("registry.unknown-schema", {
      what: `the topic has no schema ${id}`,
      where: { topic: this.#topic, schema: id },
    });
  }

  async #register(subject: string, schema: string, signal: AbortSignal): Promise<number> {
    await this.#readOn(signal);
    for (const id of candidates(schema)) {
      if (!this.#held.has(id)) {
        await this.#append({ id, subject, schema }, signal);
        await this.#readOn(signal);
      }
      if (this.#held.get(id)?.schema === schema) return id;
    }
    throw new TailraceError("internal", { what: "eight schema numbers in a row are taken", where: { topic: this.#topic } });
  }

  async #stands(id: number, held: Held, signal: AbortSignal): Promise<boolean> {
    for await (const page of this.#store.scan(this.#topic, 0, { from: held.at, until: offset(held.at + 1) }, signal)) {
      const record = page.find((candidate) => candidate.offset === held.at);
      if (record !== undefined) {
        const entry = this.#entryOf(record);
        return entry !== null && entry.id === id && entry.schema === held.schema;
      }
    }
    return false;
  }

  async #readOn(signal: AbortSignal): Promise<void> {
    const bounds = (await this.#store.bounds([this.#topic], signal)).get(this.#topic)?.[0];
    if (bounds === undefined)
      throw new TailraceError("log.topic-missing", { what: "the topic of schemas is not there", where: { topic: this.#topic } });
    // Shorter than before: what stands there now was not read.
    if (bounds.end < this.#readTo) this.#readTo = offset(0);
    for await (const page of this.#store.scan(this.#topic, 0, { from: this.#readTo, until: bounds.end }, signal)) {
      for (const record of page) {
        this.#take(record);
        this.#readTo = offset(record.offset + 1);
      }
    }
  }

  #take(record: StoredRecord): void {
    const entry = this.#entryOf(record);
    if (entry !== null && !this.#held.has(entry.id)) this.#held.set(entry.id, { schema: entry.schema, at: record.offset });
  }

  async #append(entry: Entry, signal: AbortSignal): Promise<void> {
    await using appender = await this.#store.appender(signal);
    const key = Buffer.from(`${entry.id}:${digestOf(entry.schema).toString("hex")}`, "utf8");
    const value = Buffer.from(JSON.stringify(entry), "utf8");
    await appender.append([{ topic: this.#topic, partition: 0, key, value, headers: [] }], signal);
  }

  /** null: not ours, and passed over. A number is made of its text, so nothing that is not ours can stand for a schema of ours. */
  #entryOf(record: StoredRecord): Entry | null {
    const entry = record.value === null ? null : parseEntry(record.value);
    return entry !== null && candidates(entry.schema).includes(entry.id) ? entry : null;
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#turn.then(work);
    this.#turn = done.catch(() => {});
    return done;
  }
}

interface Entry {
  readonly id: number;
  readonly subject: string;
  readonly schema: string;
}

function parseEntry(value: Uint8Array): Entry | null {
  try {
    const parsed: unknown = JSON.parse(Buffer.from(value).toString("utf8"));
    if (typeof parsed !== "object" || parsed === null) return null;
    const { id, subject, schema }: { id?: unknown; subject?: unknown; schema?: unknown } = parsed;
    if (typeof id !== "number" || typeof subject !== "string" || typeof schema !== "string") return null;
    return { id, subject, schema };
  } catch {
    // Not JSON is as little ours as JSON of another form; the caller names the record.
    return null;
  }
}

const digestOf = (text: string): Buffer => createHash("sha256").update(text, "utf8").digest();

/** The numbers that a text may have, in the order they are tried. Zero is left to mean none. */
export function candidates(schemaText: string): readonly number[] {
  const digest = digestOf(schemaText);
  return [0, 4, 8, 12, 16, 20, 24, 28].map((at) => Math.max(1, digest.readUInt32BE(at) >>> 1));
}
