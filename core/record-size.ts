/** How large a record of the log may be, and how its size is counted: the same for every log, so that a pipeline can move between them. */
import type { OutgoingRecord } from "./contracts/log-store.js";

/** Topics take batches of 8 MiB (`max.message.bytes`); what the batch adds around a single record stays below 1 KiB. */
export const topicBatchBytesMax = 8 * 1024 * 1024;
export const recordBytesMax = topicBatchBytesMax - 1024;

/** An upper bound of what the record takes in a request, framing included. */
export function recordBytes(record: Pick<OutgoingRecord, "key" | "value" | "headers">): number {
  let bytes = 32 + (record.key?.length ?? 0) + (record.value?.length ?? 0);
  for (const [name, value] of record.headers) bytes += 10 + Buffer.byteLength(name, "utf8") + value.length;
  return bytes;
}
