/** Reads a range of a partition for its epochs and positions. What is not ours is told apart: it counts for nothing, and keeps nobody from starting. */
import type { ChangeDecoder, DecodedRecord } from "../contracts/log.js";
import type { LogStore, StoredRecord } from "../contracts/log-store.js";
import { TailraceError } from "../errors.js";
import type { Offset, Topic } from "../vocabulary/ids.js";
import type { Position } from "../vocabulary/position.js";

interface Range {
  readonly topic: Topic;
  readonly partition: number;
  readonly from: Offset;
  readonly until: Offset;
}

export interface RecordVisitor {
  readonly take: (epoch: number, at: Position, offset: Offset) => void;
  /** Somebody else's record, or one whose schema nobody has. It belongs to no epoch. */
  readonly unreadable: (offset: Offset) => void;
}

export async function eachRecord(
  { store, decoder }: { readonly store: LogStore; readonly decoder: ChangeDecoder },
  { topic, partition, from, until }: Range,
  { take, unreadable }: RecordVisitor,
  signal: AbortSignal,
): Promise<void> {
  if (from >= until) return;
  for await (const page of store.scan(topic, partition, { from, until }, signal)) {
    const decoded = await decodeReadable(decoder, page, signal);
    page.forEach((stored, i) => {
      const record = decoded[i] ?? null;
      if (record === "unreadable") unreadable(stored.offset);
      else if (record !== null) take(record.epoch, record.at, stored.offset);
    });
  }
}

type Readable = DecodedRecord | "unreadable" | null;

async function decodeReadable(decoder: ChangeDecoder, page: readonly StoredRecord[], signal: AbortSignal): Promise<readonly Readable[]> {
  const found: Readable[] = [];
  while (found.length < page.length) {
    const { decoded, failure } = await decodeUpToFailure(decoder, page.slice(found.length), signal);
    found.push(...decoded);
    if (failure === null) break;
    if (!isUnreadable(failure)) throw failure;
    found.push("unreadable");
  }
  return found;
}

const isUnreadable = (thrown: unknown): boolean =>
  thrown instanceof TailraceError && (thrown.code === "log.garbage" || thrown.code === "registry.unknown-schema");

/** What stands before the first record that cannot be read, and why it cannot. */
export async function decodeUpToFailure(
  decoder: ChangeDecoder,
  records: readonly StoredRecord[],
  signal: AbortSignal,
): Promise<{ readonly decoded: readonly (DecodedRecord | null)[]; readonly failure: Error | null }> {
  try {
    return { decoded: await decoder.decode(records, signal), failure: null };
  } catch (thrown) {
    const failure = thrown instanceof Error ? thrown : new Error(String(thrown));
    // Halves, so that a page costs little more than its logarithm; one that fails for another reason fails as a whole.
    if (!isUnreadable(thrown) || records.length === 1) return { decoded: [], failure };
  }
  const half = records.length >> 1;
  const first = await decodeUpToFailure(decoder, records.slice(0, half), signal);
  if (first.failure !== null) return first;
  const second = await decodeUpToFailure(decoder, records.slice(half), signal);
  return { decoded: [...first.decoded, ...second.decoded], failure: second.failure };
}
