/** Waits until a marker stands in the log: whatever was committed before it was asked for has come as far as that. Reads only. */
import type { Clock } from "../clock.js";
import type { LogStore } from "../contracts/log-store.js";
import { cutsTopic } from "../topics.js";
import { type MarkerId, type Offset, offset } from "../vocabulary/ids.js";
import { decodeCutsRecord } from "./cut-records.js";

export interface CutsPlace {
  readonly store: LogStore;
  readonly prefix: string;
  readonly clock: Clock;
  /** Looked at from here on. */
  readonly from: Offset;
}

const lookEveryMs = 20;

export async function endOfCuts(store: LogStore, prefix: string, signal: AbortSignal): Promise<Offset> {
  const cuts = cutsTopic(prefix);
  return (await store.bounds([cuts], signal)).get(cuts)?.[0]?.end ?? offset(0);
}

export async function markerInLog({ store, prefix, clock, from }: CutsPlace, marker: MarkerId, signal: AbortSignal): Promise<void> {
  let next = from;
  for (;;) {
    const until = await endOfCuts(store, prefix, signal);
    for await (const page of store.scan(cutsTopic(prefix), 0, { from: next, until }, signal)) {
      for (const stored of page) {
        const record = decodeCutsRecord(stored);
        if (record.kind === "control" && record.control.kind === "marker" && record.control.marker === marker) return;
      }
    }
    next = until;
    await clock.delay(lookEveryMs, signal);
  }
}
