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

/** One by one only where something cannot be read. */
async function decodeReadable(decoder: ChangeDecoder, page: readonly StoredRecord[], signal: AbortSignal): Promise<readonly Readable[]> {
  try {
    return await decoder.decode(page, signal);
  } catch (thrown) {
    if (!isUnreadable(thrown)) throw thrown;
    if (page.length === 1) return ["unreadable"];
  }
  const decoded: Readable[] = [];
  for (const record of page) decoded.push(...(await decodeReadable(decoder, [record], signal)));
  return decoded;
}

const isUnreadable = (thrown: unknown): boolean =>
  thrown instanceof TailraceError && (thrown.code === "log.garbage" || thrown.code === "registry.unknown-schema");
