/** Topics and partitions in the file. All functions run inside a transaction of their caller. */
import type { PartitionBounds, TopicSpec } from "../../core/contracts/log-store.js";
import { TailraceError } from "../../core/errors.js";
import { offset, type Topic } from "../../core/vocabulary/ids.js";
import type { Connection } from "./log-file.js";

export interface StoredPartition {
  readonly id: number;
  readonly number: number;
  readonly first: number;
  readonly next: number;
  readonly compacted: boolean;
}
interface PartitionRow {
  readonly id: number;
  readonly number: number;
  readonly first: number;
  readonly next: number;
  readonly cleanup: string;
}

const findPartitions = `
  SELECT partition.id, partition.number, partition.first, partition.next, topic.cleanup
  FROM topic JOIN partition ON partition.topic = topic.id WHERE topic.name = ? ORDER BY partition.number`;

export const isThere = (connection: Connection, topic: Topic): boolean => connection.sql(findPartitions).all(topic).length > 0;

export function partitionsOf(connection: Connection, topic: Topic): readonly StoredPartition[] {
  const rows = connection.sql(findPartitions).all(topic) as readonly PartitionRow[];
  if (rows.length === 0) throw new TailraceError("log.topic-missing", { what: `topic ${topic} is not there`, where: { topic } });
  return rows.map(({ cleanup, ...partition }) => ({ ...partition, compacted: cleanup === "compact" }));
}

export function partitionOf(connection: Connection, topic: Topic, number: number): StoredPartition {
  const found = partitionsOf(connection, topic)[number];
  if (found === undefined)
    throw new TailraceError("log.topic-missing", {
      what: `topic ${topic} has no partition ${number}`,
      where: { topic, partition: number },
    });
  return found;
}

export const boundsOf = (partition: StoredPartition): PartitionBounds => ({ first: offset(partition.first), end: offset(partition.next) });

export function ensureTopic(connection: Connection, spec: TopicSpec): void {
  const rows = connection.sql(findPartitions).all(spec.topic) as readonly PartitionRow[];
  const [found] = rows;
  if (found !== undefined) return assertSettings(spec, found.cleanup, rows.length);
  const { lastInsertRowid } = connection.sql("INSERT INTO topic (name, cleanup) VALUES (?, ?)").run(spec.topic, spec.cleanup);
  for (let number = 0; number < spec.partitions; number++)
    connection.sql("INSERT INTO partition (topic, number) VALUES (?, ?)").run(lastInsertRowid, number);
}

function assertSettings(spec: TopicSpec, cleanup: string, partitions: number): void {
  const where = { topic: spec.topic };
  if (cleanup !== spec.cleanup)
    throw new TailraceError("log.topic-settings", {
      what: `topic ${spec.topic} has cleanup.policy=${cleanup}, not ${spec.cleanup}`,
      where,
    });
  if (partitions !== spec.partitions)
    throw new TailraceError("log.topic-settings", {
      what: `topic ${spec.topic} has ${partitions} partitions, not ${spec.partitions}`,
      where,
    });
}

/** The topic is gone at once; its records follow in small transactions (`nextToForget`), also after a crash in between. */
export function forgetTopic(connection: Connection, topic: Topic): void {
  connection.sql("UPDATE partition SET topic = NULL, first = next WHERE topic = (SELECT id FROM topic WHERE name = ?)").run(topic);
  connection.sql("DELETE FROM topic WHERE name = ?").run(topic);
}
