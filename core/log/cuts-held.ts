/** Looks into `.cuts` beside the tail: is the log the one, and does it still hold what was read from it? */
import type { AppliedCut } from "../contracts/log.js";
import type { LogStore, StoredRecord } from "../contracts/log-store.js";
import { TailraceError } from "../errors.js";
import { cutsTopic } from "../topics.js";
import { type LogId, type Offset, offset, type Topic } from "../vocabulary/ids.js";
import { samePosition } from "../vocabulary/position.js";
import { decodeCutsRecord } from "./cut-records.js";

/** null while no writer has opened the log. */
export async function readLogId(store: LogStore, prefix: string, signal: AbortSignal): Promise<LogId | null> {
  const cuts = cutsTopic(prefix);
  const bounds = (await store.bounds([cuts], signal)).get(cuts)?.[0];
  if (bounds === undefined || bounds.end === bounds.first) return null;
  const stored = await recordAt(store, cuts, bounds.first, signal);
  const record = stored === null ? null : decodeCutsRecord(stored);
  if (record?.kind === "log") return record.id;
  throw new TailraceError("log.garbage", { what: "the first record of .cuts does not name the log", where: { topic: cuts } });
}

/** A record that was trimmed by now counts as held: what the log forgets on purpose it has not lost. */
export async function isHeld(store: LogStore, cuts: Topic, last: StoredRecord, signal: AbortSignal): Promise<boolean> {
  const bounds = (await store.bounds([cuts], signal)).get(cuts)?.[0];
  if (bounds === undefined || last.offset >= bounds.end) return false;
  if (last.offset < bounds.first) return true;
  const found = await recordAt(store, cuts, last.offset, signal);
  return found !== null && Buffer.compare(found.value ?? Buffer.alloc(0), last.value ?? Buffer.alloc(0)) === 0;
}

export const gap = (topic: Topic, partition: number, needed: number, first: number): TailraceError =>
  new TailraceError("log.gap", {
    what: "records that were never applied are gone from a topic",
    where: { topic, partition, needed, first },
  });

/** null: there is none at this offset. */
export async function recordAt(store: LogStore, cuts: Topic, at: Offset, signal: AbortSignal): Promise<StoredRecord | null> {
  for await (const page of store.scan(cuts, 0, { from: at, until: offset(at + 1) }, signal)) {
    const [found] = page;
    if (found?.offset === at) return found;
  }
  return null;
}

/** The record of an applied cut at its offset; null when another record, or none, stands there now. */
export async function cutHeld(store: LogStore, cuts: Topic, applied: AppliedCut, signal: AbortSignal): Promise<StoredRecord | null> {
  const stored = await recordAt(store, cuts, applied.offset, signal);
  const record = stored === null ? null : decodeCutsRecord(stored);
  const isIt = record?.kind === "cut" && record.epoch === applied.epoch && samePosition(record.position, applied.position);
  return isIt ? stored : null;
}
