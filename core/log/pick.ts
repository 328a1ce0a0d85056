/**
 * Where a new writer goes on: at the newest cut, reachable through whole cuts, whose rows are all there. Rows are counted by (epoch, position),
 * never trusted by offset. What the target has applied is whole by definition.
 */
import type { AppliedCut, ChangeDecoder } from "../contracts/log.js";
import type { Bounds, LogStore } from "../contracts/log-store.js";
import { type Offset, offset, type Topic } from "../vocabulary/ids.js";
import { comparePositions, isAbove, origin, type Position, samePosition } from "../vocabulary/position.js";
import { Claims } from "./claims.js";
import type { CutsEvent } from "./cut-queue.js";
import type { CutBody, CutRecord } from "./cut-records.js";
import { eachRecord } from "./each-record.js";
import type { ProtocolRules } from "./rules.js";

export interface PickInput {
  /** Of `.cuts`, up to our claim and without it, in order; from the applied cut on when it is at its offset. */
  readonly events: readonly CutsEvent[];
  readonly applied: AppliedCut | null;
  /** The applied cut's own record, when `.cuts` holds it at its offset. */
  readonly appliedRecord: CutRecord | null;
  readonly topics: readonly Topic[];
  readonly cutsTopic: Topic;
  readonly bounds: Bounds;
  readonly store: LogStore;
  readonly decoder: ChangeDecoder;
  readonly rules: ProtocolRules;
}

export type Picked = Omit<CutBody, "epoch" | "ends">;

/** One epoch that counts: where counting begins, and its cuts in order. */
interface Segment {
  readonly epoch: number;
  readonly base: Pick<CutBody, "position" | "counts" | "ends">;
  readonly start: CutBody;
  readonly cuts: readonly CutRecord[];
  /** Controls before each cut, and behind the last one. */
  readonly controls: readonly number[];
}

const nothing: Picked = { position: origin, counts: new Map(), resume: null, anchor: null, phases: new Map() };

export async function pick(input: PickInput, signal: AbortSignal): Promise<Picked> {
  const segments = split(input);
  const whole = input.rules.pickWhole ? await countWhole(segments, input, signal) : segments.map((segment) => segment.cuts.length);
  const { applied, appliedRecord } = input;
  const base: Picked = appliedRecord ?? nothing;
  let reached: Picked[] = [nothing, ...(appliedRecord === null ? [] : [appliedRecord])];
  segments.forEach((segment, i) => {
    const { start } = segment;
    const covered = applied !== null && comparePositions(start.position, applied.position) <= 0;
    // A reader that lacked a record of a cut above this start has passed over the cut, even if the record is there now.
    const least = covered ? (applied?.position ?? origin) : start.position;
    reached = reached.filter(({ position }) => !isAbove(position, least));
    if (!covered && !reached.some(({ position }) => samePosition(position, start.position))) return;
    reached.push(start);
    for (const cut of segment.cuts.slice(0, whole[i])) reached.push({ ...cut, counts: new Map([...start.counts, ...cut.counts]) });
  });
  return reached.at(-1) ?? base;
}

function split({ events, appliedRecord, applied, rules }: PickInput): readonly Segment[] {
  const claims = new Claims(appliedRecord?.epoch ?? null, rules);
  const segments: { epoch: number; base: Segment["base"]; start: CutBody; cuts: CutRecord[]; controls: number[] }[] = [];
  if (appliedRecord !== null && applied !== null) {
    // Counting begins at the applied cut; its own record lists only what changed since its start, the target's copy has all.
    const start = { ...appliedRecord, counts: applied.counts };
    segments.push({
      epoch: appliedRecord.epoch,
      base: { position: applied.position, counts: applied.counts, ends: applied.ends },
      start,
      cuts: [],
      controls: [0],
    });
  }
  for (const { record } of events) {
    if (!claims.counts(record)) continue;
    if (record.kind === "start") segments.push({ epoch: record.epoch, base: record, start: record, cuts: [], controls: [0] });
    if (record.kind !== "control" && record.kind !== "cut") continue;
    const segment = segments.at(-1);
    if (segment === undefined || segment.epoch !== record.epoch) continue;
    if (record.kind === "control") segment.controls.push((segment.controls.pop() ?? 0) + 1);
    if (record.kind === "cut" && isAbove(record.position, segment.base.position)) {
      segment.cuts.push(record);
      segment.controls.push(0);
    }
  }
  return segments;
}

/** For each segment, how many of its cuts, from the first on, have all their rows. */
async function countWhole(segments: readonly Segment[], input: PickInput, signal: AbortSignal): Promise<readonly number[]> {
  const whole = segments.map((segment) => segment.cuts.length);
  if (whole.every((n) => n === 0)) return whole;
  const byEpoch = new Map(segments.map((segment, i) => [segment.epoch, { segment, i }]));
  for (const topic of input.topics) {
    const found = segments.map((segment) => new Uint32Array(segment.cuts.length + 1));
    for (const [partition, bounds] of (input.bounds.get(topic) ?? []).entries()) {
      const begins = segments.map((segment) => segment.base.ends.get(topic)?.[partition] ?? 0);
      const from = offset(Math.max(bounds.first, Math.min(...begins)));
      let unreadableTo = 0;
      const unreadable = (at: Offset): void => {
        unreadableTo = at + 1;
      };
      const take = (epoch: number, at: Position, offsetOf: Offset): void => {
        const of = byEpoch.get(epoch);
        // Below its start's ends no reader looks for it: a partition that has lost its tail may hold records of an epoch there.
        if (of === undefined || offsetOf < (begins[of.i] ?? 0) || !isAbove(at, of.segment.base.position)) return;
        // A reader of this epoch stops in front of what cannot be read; only a start that lies behind it takes the reader further.
        if (unreadableTo > (begins[of.i] ?? 0)) return;
        const bucket = found[of.i];
        const cut = firstAtOrAbove(of.segment.cuts, at);
        if (bucket !== undefined) bucket[cut] = (bucket[cut] ?? 0) + 1;
      };
      await eachRecord(input, { topic, partition, from, until: bounds.end }, { take, unreadable }, signal);
    }
    segments.forEach((segment, i) => {
      whole[i] = Math.min(whole[i] ?? 0, wholePrefix(segment, topic, found[i] ?? new Uint32Array()));
    });
  }
  segments.forEach((segment, i) => {
    whole[i] = Math.min(whole[i] ?? 0, wholePrefix(segment, input.cutsTopic, segment.controls));
  });
  return whole;
}

function wholePrefix(segment: Segment, topic: Topic, found: ArrayLike<number>): number {
  const base = segment.base.counts.get(topic) ?? 0;
  let n = 0;
  let expected = 0;
  for (const [i, cut] of segment.cuts.entries()) {
    n += found[i] ?? 0;
    expected = (cut.counts.get(topic) ?? base + expected) - base;
    if (n !== expected) return i;
  }
  return segment.cuts.length;
}

function firstAtOrAbove(cuts: readonly CutRecord[], at: Position): number {
  let low = 0;
  let high = cuts.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    const cut = cuts[middle];
    if (cut !== undefined && comparePositions(cut.position, at) < 0) low = middle + 1;
    else high = middle;
  }
  return low;
}
