/** Reads a range of a partition and ends by itself: what the partition held when the scan began, or less. */
import type { StoredRecord } from "../../core/contracts/log-store.js";
import { TailraceError } from "../../core/errors.js";
import type { Offset, Topic } from "../../core/vocabulary/ids.js";
import { type BrokerLink, fetchBounds } from "./broker-link.js";
import { type Fetched, type FetchLimits, fetchFrom, leaderOf } from "./fetching.js";

const limits: FetchLimits = { waitMs: 100, partitionBytes: 1024 * 1024, bytes: 1024 * 1024 };
/** Empty answers below the end before we believe that nothing but control records and compacted batches is left. */
const emptyAnswersMax = 3;

export async function* scanPartition(
  link: BrokerLink,
  { topic, partition }: { readonly topic: Topic; readonly partition: number },
  range: { readonly from: Offset; readonly until: Offset },
  signal: AbortSignal,
): AsyncGenerator<readonly StoredRecord[]> {
  const bounds = (await link.ask([topic], (cluster) => fetchBounds(cluster, [topic]), signal)).get(topic)?.[partition];
  if (bounds === undefined)
    throw new TailraceError("log.topic-missing", { what: `topic ${topic} has no partition ${partition}`, where: { topic, partition } });
  const until = Math.min(range.until, bounds.end);
  let emptyAnswers = 0;
  for (let position: number = Math.max(range.from, bounds.first); position < until; ) {
    const got = await fetchOne(link, { topic, partition, position }, signal);
    const end = got.records.findIndex((record) => record.offset >= until);
    const page = end === -1 ? got.records : got.records.slice(0, end);
    emptyAnswers = got.next === position ? emptyAnswers + 1 : 0;
    position = emptyAnswers >= emptyAnswersMax ? until : got.next;
    if (page.length > 0) yield page;
  }
}

async function fetchOne(
  link: BrokerLink,
  wish: { readonly topic: Topic; readonly partition: number; readonly position: number },
  signal: AbortSignal,
): Promise<Fetched> {
  const { topic, partition, position } = wish;
  const result = await link.ask([topic], (cluster) => fetchFrom(cluster, leaderOf(cluster, topic, partition), [wish], limits), signal);
  if (result.kind === "fetched") return result.partitions[0] ?? { topic, partition, records: [], next: position, end: position };
  const bounds = (await link.ask([topic], (cluster) => fetchBounds(cluster, [topic]), signal)).get(topic)?.[partition];
  const where = { topic, partition, wanted: position, first: bounds?.first ?? -1, end: bounds?.end ?? -1 };
  if (bounds !== undefined && position < bounds.first)
    throw new TailraceError("log.gap", { what: `records of ${topic} were deleted while they were read`, where });
  throw new TailraceError("log.tail-lost", { what: `records of ${topic} were lost while they were read`, where });
}
