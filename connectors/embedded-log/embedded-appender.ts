/** Appends: one call is one transaction over all partitions, so here, unlike on a broker, a rejected append has stored nothing. */
import type { LogAppender, OutgoingRecord } from "../../core/contracts/log-store.js";
import { TailraceError } from "../../core/errors.js";
import { recordBytes, recordBytesMax } from "../../core/record-size.js";
import { type Offset, offset, type Topic } from "../../core/vocabulary/ids.js";
import type { Connection, LogFile } from "./log-file.js";
import { dropOlder, insertBatches } from "./records.js";
import { partitionsOf } from "./topics.js";

type Written = { readonly topic: Topic; readonly partition: number; readonly base: Offset };
interface Target {
  readonly topic: Topic;
  readonly number: number;
  readonly id: number;
  readonly base: number;
  readonly compacted: boolean;
  readonly records: OutgoingRecord[];
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
  const topics = new Map<Topic, readonly Target[]>();
  for (const record of records) {
    let targets = topics.get(record.topic);
    if (targets === undefined) topics.set(record.topic, (targets = targetsOf(connection, record.topic)));
    const target = targets[record.partition];
    if (target === undefined)
      throw new TailraceError("log.topic-missing", {
        what: `topic ${record.topic} has no partition ${record.partition}`,
        where: { topic: record.topic, partition: record.partition },
      });
    target.records.push(record);
  }
  const written = [...topics.values()].flat().filter(({ records: own }) => own.length > 0);
  for (const target of written) appendTo(connection, target);
  return written.map(({ topic, number, base }) => ({ topic, partition: number, base: offset(base) }));
}

function appendTo(connection: Connection, target: Target): void {
  const { id, base, records, compacted } = target;
  insertBatches(connection, target, base, records);
  if (compacted) records.forEach(({ key }, i) => void (key !== null && dropOlder(connection, id, base + i, key)));
  connection.sql("UPDATE partition SET next = ? WHERE id = ?").run(base + records.length, id);
}

const targetsOf = (connection: Connection, topic: Topic): readonly Target[] =>
  partitionsOf(connection, topic).map(({ id, number, next, compacted }) => ({ topic, number, id, compacted, base: next, records: [] }));
