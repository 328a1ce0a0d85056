/** Which partitions may go on fetching. Memory is bounded by pausing, never by dropping. */
import type { LogTail } from "../contracts/log-store.js";
import type { Topic } from "../vocabulary/ids.js";
import type { Lane } from "./lane.js";

export interface FlowLimits {
  /** Above this a partition that is not needed is paused. */
  readonly laneBytes: number;
  /** Above this every partition that holds something and is not needed is paused. */
  readonly totalBytes: number;
}

/** `obeyed` false: nothing that comes could be kept. */
export function direct(
  tail: LogTail,
  lanes: Lanes,
  { limits, obeyed, needs }: { readonly limits: FlowLimits; readonly obeyed: boolean; readonly needs: ((lane: Lane) => boolean) | null },
): void {
  const full = lanes.heldBytes() > limits.totalBytes;
  for (const lane of lanes.all()) {
    const held = lane.bytes > limits.laneBytes || (full && lane.size > 0);
    // While a cut lacks records, late ones of its epoch may still stand behind those of a newer one.
    const inVain = !obeyed || (lane.isPastEpoch && needs === null);
    const pause = inVain || (held && needs?.(lane) !== true);
    if (pause === lane.paused) continue;
    lane.paused = pause;
    if (pause) tail.pause(lane.topic, lane.partition);
    else tail.resume(lane.topic, lane.partition);
  }
}

/** All partitions that a reader follows, by topic. */
export class Lanes {
  readonly byTopic = new Map<Topic, readonly Lane[]>();

  *all(): Generator<Lane> {
    for (const lanes of this.byTopic.values()) yield* lanes;
  }

  at(topic: Topic, partition: number): Lane | undefined {
    return this.byTopic.get(topic)?.[partition];
  }

  heldBytes(): number {
    let bytes = 0;
    for (const lane of this.all()) bytes += lane.bytes;
    return bytes;
  }
}
