/** The newest cut that stands in `.cuts` by its claims, whole or not: for status and comparisons, never for a decision. */
import type { LogStore } from "../contracts/log-store.js";
import { cutsTopic } from "../topics.js";
import { type Offset, offset } from "../vocabulary/ids.js";
import { type CutBody, type CutsRecord, decodeCutsRecord } from "./cut-records.js";

type End = Pick<CutBody, "position" | "epoch" | "counts">;

/** A start names every topic; cuts behind it only those that changed. */
const lookedAt = 5_000;

export async function readLogEnd(store: LogStore, prefix: string, signal: AbortSignal): Promise<End | null> {
  const topic = cutsTopic(prefix);
  const [bounds] = (await store.bounds([topic], signal)).get(topic) ?? [];
  if (bounds === undefined) return null;
  const from: Offset = offset(Math.max(bounds.first, bounds.end - lookedAt));
  const seen: { newest: End | null } = { newest: null };
  for await (const page of store.scan(topic, 0, { from, until: bounds.end }, signal)) {
    for (const stored of page) seen.newest = after(seen.newest, decodeCutsRecord(stored));
  }
  return seen.newest;
}

/** Records of an epoch that a newer claim has ended are passed over. */
function after(newest: End | null, record: CutsRecord): End | null {
  if ((record.kind !== "cut" && record.kind !== "start") || (newest !== null && record.epoch < newest.epoch)) return newest;
  const { position, epoch } = record;
  return { position, epoch, counts: newest?.epoch === epoch ? new Map([...newest.counts, ...record.counts]) : record.counts };
}
