/**
 * The log in one SQLite file: the same topics, partitions and offsets as on a broker, shared by the processes of one machine. Each
 * operation is one transaction; trimming and deleting take many small ones, so that nobody waits long for them.
 */
import { breathe, type Clock, systemClock } from "../../core/clock.js";
import type { Bounds, LogAppender, LogStore, LogTail, StoredRecord, TopicSpec } from "../../core/contracts/log-store.js";
import { TailraceError } from "../../core/errors.js";
import type { Offset, Topic } from "../../core/vocabulary/ids.js";
import { EmbeddedAppender } from "./embedded-appender.js";
import { openTail } from "./embedded-tail.js";
import { type Connection, LogFile } from "./log-file.js";
import { forgetSome, type OffsetRange, readPage } from "./records.js";
import { boundsOf, ensureTopic, forgetTopic, isThere, partitionOf, partitionsOf, type StoredPartition } from "./topics.js";

export interface EmbeddedLogOptions {
  /** Absolute path of the SQLite file; created, with its folder, when it is not there. */
  readonly path: string;
  readonly clock?: Clock;
}

export async function openEmbeddedLog({ path, clock = systemClock }: EmbeddedLogOptions): Promise<LogStore> {
  const file = new LogFile(path, clock);
  try {
    await file.connect(AbortSignal.timeout(30_000));
    return new EmbeddedLog(file);
  } catch (error) {
    file[Symbol.dispose]();
    throw error;
  }
}

class EmbeddedLog implements LogStore {
  readonly #closing = new AbortController();

  constructor(private readonly file: LogFile) {}

  async ensure(topics: readonly TopicSpec[], signal: AbortSignal): Promise<void> {
    await this.file.write((connection) => {
      for (const spec of topics) ensureTopic(connection, spec);
    }, signal);
    await this.#forgetDeleted(signal);
  }

  existing(topics: readonly Topic[], signal: AbortSignal): Promise<ReadonlySet<Topic>> {
    return this.file.read((connection) => new Set(topics.filter((topic) => isThere(connection, topic))), signal);
  }

  bounds(topics: readonly Topic[], signal: AbortSignal): Promise<Bounds> {
    return this.file.read((connection) => new Map(topics.map((topic) => [topic, partitionsOf(connection, topic).map(boundsOf)])), signal);
  }

  async appender(signal: AbortSignal): Promise<LogAppender> {
    await this.file.connect(signal);
    return new EmbeddedAppender(this.file);
  }

  async *scan(
    topic: Topic,
    partition: number,
    range: { readonly from: Offset; readonly until: Offset },
    signal: AbortSignal,
  ): AsyncGenerator<readonly StoredRecord[]> {
    const start = await this.file.read((connection) => partitionOf(connection, topic, partition), signal);
    const until = Math.min(range.until, start.next);
    for (let from = Math.max(range.from, start.first); from < until; ) {
      const page = await this.file.read((connection) => {
        const now = partitionOf(connection, topic, partition);
        if (now.id !== start.id || from < now.first)
          throw new TailraceError("log.gap", {
            what: `records of ${topic} were deleted while they were read`,
            where: { topic, partition, from },
          });
        return readPage(connection, { topic, partition, id: start.id }, { from, until });
      }, signal);
      const last = page.at(-1);
      if (last === undefined) return;
      from = last.offset + 1;
      yield page;
      await breathe();
    }
  }

  async tail(from: ReadonlyMap<Topic, readonly Offset[]>, signal: AbortSignal): Promise<LogTail> {
    const own = new LogFile(this.file.path, this.file.clock);
    try {
      return await openTail(own, from, signal);
    } catch (error) {
      own[Symbol.dispose]();
      throw error;
    }
  }

  async destroy(topics: readonly Topic[], signal: AbortSignal): Promise<void> {
    await this.file.write((connection) => {
      for (const topic of topics) forgetTopic(connection, topic);
    }, signal);
    await this.#forgetDeleted(signal);
  }

  /** Compacted topics are left alone: they forget by key. */
  async trim(below: ReadonlyMap<Topic, readonly Offset[]>, keep: ReadonlyMap<Topic, readonly Offset[]>): Promise<void> {
    const { signal } = this.#closing;
    const ranges = await this.file.write((connection) => {
      return [...below].flatMap(([topic, offsets]) => {
        const kept = (keep.get(topic) ?? []).toSorted((a, b) => a - b);
        return partitionsOf(connection, topic).flatMap((partition) =>
          trimPartition(connection, partition, offsets[partition.number] ?? 0, kept),
        );
      });
    }, signal);
    for (const { id, range } of ranges) await this.#forget(id, range, signal);
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#closing.abort();
    this.file[Symbol.dispose]();
    return Promise.resolve();
  }

  async #forgetDeleted(signal: AbortSignal): Promise<void> {
    const find = "SELECT id, next FROM partition WHERE topic IS NULL";
    const deleted = await this.file.read((connection) => connection.rows(find).all() as readonly (readonly [number, number])[], signal);
    for (const [id, next] of deleted) {
      await this.#forget(id, { from: 0, until: next }, signal);
      await this.file.write((connection) => {
        connection.sql("DELETE FROM latest WHERE partition = ?").run(id);
        connection.sql("DELETE FROM partition WHERE id = ?").run(id);
      }, signal);
    }
  }

  async #forget(id: number, range: OffsetRange, signal: AbortSignal): Promise<void> {
    while (await this.file.write((connection) => forgetSome(connection, id, range), signal)) await breathe();
  }
}

/** Moves `first` at once, so that nobody begins to read what is on its way out; says what is to be deleted. */
function trimPartition(
  connection: Connection,
  { id, first, next, compacted }: StoredPartition,
  below: number,
  keep: readonly number[],
): readonly { readonly id: number; readonly range: OffsetRange }[] {
  if (compacted) return [];
  const end = Math.max(first, Math.min(next, below));
  const kept = keep.filter((at) => at >= first && at < end);
  const begin = kept[0] ?? end;
  if (begin > first) connection.sql("UPDATE partition SET first = ? WHERE id = ?").run(begin, id);
  return [...kept, end].map((until, index) => ({ id, range: { from: index === 0 ? 0 : (kept[index - 1] ?? 0) + 1, until } }));
}
