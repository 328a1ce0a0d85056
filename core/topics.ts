/** Names of our topics. `<prefix>.<table>` as Debezium names them; the others are ours alone. */
import { createHash } from "node:crypto";
import type { TopicSpec } from "./contracts/log-store.js";
import { type GroupId, type TableId, theGroup, type Topic, topic } from "./vocabulary/ids.js";

const reserved = new Set(["cuts", "snapshot", "applied", "schemas", "back"]);

/** Of a group's way back: what PostgreSQL commits after the switch. One writer and one `.cuts` per group, as each is opened on its own. */
export const backPrefix = (prefix: string, group: GroupId): string => (group === theGroup ? `${prefix}.back` : `${prefix}.back-${group}`);

export const cutsTopic = (prefix: string): Topic => topic(`${prefix}.cuts`);
export const snapshotTopic = (prefix: string): Topic => topic(`${prefix}.snapshot`);
export const appliedTopic = (prefix: string): Topic => topic(`${prefix}.applied`);
/** Schemas by id, compacted; only without a registry. */
export const schemasTopic = (prefix: string): Topic => topic(`${prefix}.schemas`);

/**
 * Characters that Kafka does not allow become `_`; such a name, a reserved one and one that is too long gets a hash of the table's name behind
 * it, so that two tables never share a topic.
 */
export function tableTopic(prefix: string, table: TableId): Topic {
  const legal = table.replaceAll(/[^A-Za-z0-9._-]/g, "_");
  const room = 249 - prefix.length - 1;
  if (legal === table && legal !== "" && !reserved.has(legal) && !/^back(-\d+)?\./.test(legal) && legal.length <= room)
    return topic(`${prefix}.${legal}`);
  const hash = createHash("sha1").update(table, "utf8").digest("hex").slice(0, 8);
  return topic(`${prefix}.${legal.slice(0, room - 9)}-${hash}`);
}

/** Topics whose records count, in a fixed order: one per table, then `.snapshot`. */
export function countedTopics(prefix: string, tables: readonly TableId[]): readonly Topic[] {
  return [...tables.map((table) => tableTopic(prefix, table)), snapshotTopic(prefix)];
}

export function topicSpecs(prefix: string, tables: readonly TableId[]): readonly TopicSpec[] {
  const kept = [cutsTopic(prefix), ...countedTopics(prefix, tables)].map(
    (name): TopicSpec => ({ topic: name, partitions: 1, cleanup: "delete" }),
  );
  const compacted = [appliedTopic(prefix), schemasTopic(prefix)].map(
    (name): TopicSpec => ({ topic: name, partitions: 1, cleanup: "compact" }),
  );
  return [...kept, ...compacted];
}

/** A prefix is a pipeline's name: it must be legal in topics, file names, metric labels and lock names alike. */
export const isLegalPrefix = (text: string): boolean => /^[a-z][a-z0-9_-]{0,62}$/.test(text);
