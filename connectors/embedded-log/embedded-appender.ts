/** Appends: one call is one transaction over all partitions, so here, unlike on a broker, a rejected append has stored nothing. */
import type { LogAppender, OutgoingRecord } from "../../core/contracts/log-store.js";
import { TailraceError } from "../../core/errors.js";
import { recordBytes, recordBytesMax } from "../../core/record-size.js";
import { type Offset, offset, type Topic } from "../../core/vocabulary/ids.js";
import type { Connection, LogFile } from "./log-file.js";
import { dropOlder, insertRecord } from "./records.js";
import { partitionsOf } from "./topics.js";

type Written = { readonly topic: Topic; readonly partition: number; readonly base: Offset };
interface Target {
  readonly topic: Topic;
  readonly number: number;
  readonly id: number;
  readonly base: number;
  readonly compacted: boolean;
  next: number;
}

export class EmbeddedAppender implements LogAppender {
  #state: "ready" | "appending" | "dead" = "ready";

  constructor(private readonly file: LogFile) {}

  async append(records: readonly OutgoingRecord[], signal: AbortSignal): Promise<readonly Written[]> {
    if (this.#state !== "ready")
      throw new TailraceError("log.append-failed", { what: `the appender is ${this.#state}: one append at a time, none after a failure` });
    this.#state = "appending";
    try {
      records.forEach(assertSize);
      const written = await this.file.write((connection) => appendAll(connection, records), signal);
      this.#state = "ready";
      return written;
    } finally {
      if (this.#state === "appending") this.#state = "dead";
    }
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#state = "dead";
    return Promise.resolve();
  }
}

function assertSize(record: OutgoingRecord): void {
  const bytes = recordBytes(record);
  if (bytes > recordBytesMax)
    throw new TailraceError("log.record-too-large", {
      what: `a record of ${bytes} bytes is larger than the log takes (${recordBytesMax})`,
      where: { topic: record.topic, partition: record.partition },
    });
}

function appendAll(connection: Connection, records: readonly OutgoingRecord[]): readonly Written[] {
  const topics = new Map<Topic, (Target | undefined)[]>();
  const touched = new Set<Target>();
  for (const record of records) {
    let targets = topics.get(record.topic);
    if (targets === undefined) topics.set(record.topic, (targets = targetsOf(connection, record.topic)));
    const target = targets[record.partition];
    if (target === undefined)
      throw new TailraceError("log.topic-missing", {
        what: `topic ${record.topic} has no partition ${record.partition}`,
        where: { topic: record.topic, partition: record.partition },
      });
    touched.add(target);
    insertRecord(connection, target.id, target.next, record);
    if (target.compacted && record.key !== null) dropOlder(connection, target.id, target.next, record.key);
    target.next++;
  }
  for (const target of touched) connection.sql("UPDATE partition SET next = ? WHERE id = ?").run(target.next, target.id);
  return [...touched].map(({ topic, number, base }) => ({ topic, partition: number, base: offset(base) }));
}

const targetsOf = (connection: Connection, topic: Topic): Target[] =>
  partitionsOf(connection, topic).map(({ id, number, next, compacted }) => ({ topic, number, id, compacted, base: next, next }));
