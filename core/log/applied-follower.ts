/**
 * The source's side of `<prefix>.applied`: the newest applied cut of every group. A group counts from its first record on, and until a record without a
 * value says that it is gone; one that is captured and was never heard of keeps the whole from being known.
 */
import { Backoff, type Clock } from "../clock.js";
import { disposeQuietly } from "../dispose.js";
import type { AppliedCut, AppliedFollower, AppliedView } from "../contracts/log.js";
import type { LogStore, LogTail, PartitionBounds, StoredRecord } from "../contracts/log-store.js";
import { appliedTopic } from "../topics.js";
import { type GroupId, groupId, offset, type Topic } from "../vocabulary/ids.js";
import { comparePositions } from "../vocabulary/position.js";
import { appliedCutFromJson } from "./applied-cut-json.js";
import { appliedView } from "./applied-view.js";

/** The sink tells five times a second at most, and nobody waits for this. */
const lookEveryMs = 250;
/** Enough to find the newest record even if a compaction is overdue. A group that stands still may lie further back. */
const lastRecords = 50;
/** After so much silence it is asked whether the topic still reaches as far as was read. */
const quietMs = 2_000;

export interface FollowerOptions {
  readonly store: LogStore;
  readonly clock: Clock;
  readonly prefix: string;
  /** Those that are captured now; asked at each beginning. */
  readonly groups: () => readonly GroupId[];
}

export class LogAppliedFollower implements AppliedFollower {
  readonly #topic: Topic;
  readonly #stop = new AbortController();
  readonly #newest = new Map<GroupId, AppliedCut>();
  #expected: readonly GroupId[] = [];
  #following: Promise<void> | null = null;

  constructor(private readonly options: FollowerOptions) {
    this.#topic = appliedTopic(options.prefix);
  }

  current(): AppliedView {
    return appliedView(
      [...this.#newest.values()],
      this.#expected.some((group) => !this.#newest.has(group)),
      new Map(this.#newest),
    );
  }

  async latest(signal: AbortSignal): Promise<AppliedView> {
    this.#expected = this.options.groups();
    const bounds = (await this.options.store.bounds([this.#topic], signal)).get(this.#topic)?.[0];
    if (bounds === undefined) return this.current();
    const recent = offset(Math.max(bounds.first, bounds.end - lastRecords));
    for (const [group, applied] of await this.#read({ ...bounds, first: recent }, signal)) this.#hear(group, applied);
    if (this.current().least === null && recent > bounds.first) {
      const older = await this.#read({ ...bounds, end: recent }, signal);
      for (const [group, applied] of older) if (!this.#newest.has(group)) this.#hear(group, applied);
    }
    // Nothing yet: the first record is still to come, and must be heard when it does.
    this.#following ??= this.#follow(bounds.end);
    return this.current();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await this.#following;
  }

  async #read({ first, end }: PartitionBounds, signal: AbortSignal): Promise<Heard> {
    const found = new Map<GroupId, AppliedCut | null>();
    for await (const page of this.options.store.scan(this.#topic, 0, { from: first, until: end }, signal)) {
      for (const [group, applied] of heardIn(page)) found.set(group, applied);
    }
    return found;
  }

  async #follow(from: number): Promise<void> {
    // What it follows is what lag is measured by: after an outage that must not be wrong for long.
    const backoff = new Backoff(250, 2_000);
    const { signal } = this.#stop;
    while (!signal.aborted) {
      let tail: LogTail | null = null;
      try {
        from = await this.#placeOf(from, signal);
        tail = await this.options.store.tail(new Map([[this.#topic, [offset(from)]]]), signal);
        let silentMs = 0;
        for (let place = from; place === from; ) {
          const page = await tail.next(0, signal);
          if (page === null) {
            await this.options.clock.delay(lookEveryMs, signal);
            silentMs += lookEveryMs;
            if (silentMs % quietMs === 0) place = await this.#placeOf(from, signal);
            continue;
          }
          silentMs = 0;
          backoff.reset();
          place = from = Math.max(from, (page.at(-1)?.offset ?? from) + 1);
          for (const [group, applied] of heardIn(page)) this.#hear(group, applied);
        }
      } catch {
        await this.options.clock.delay(backoff.next(), signal).catch(() => {});
      } finally {
        await disposeQuietly(tail);
      }
    }
  }

  /** Where to read on. The topic may have lost its tail, or have been made anew: whoever waits for it to reach the old place again is deaf for weeks. */
  async #placeOf(from: number, signal: AbortSignal): Promise<number> {
    const bounds = (await this.options.store.bounds([this.#topic], signal)).get(this.#topic)?.[0];
    if (bounds === undefined || (from >= bounds.first && from <= bounds.end)) return from;
    return Math.max(bounds.first, bounds.end - lastRecords);
  }

  #hear(group: GroupId, applied: AppliedCut | null): void {
    if (applied === null) this.#newest.delete(group);
    else this.#newest.set(group, applied);
  }
}

/** Null: the group is gone. */
type Heard = ReadonlyMap<GroupId, AppliedCut | null>;

/** The newest of a page by position; of another log it is the later that holds. */
function heardIn(page: readonly StoredRecord[]): Heard {
  const into = new Map<GroupId, AppliedCut | null>();
  for (const { key, value } of page) {
    const group = groupOf(key);
    if (group === null) continue;
    const applied = value === null ? null : parse(value);
    if (value === null || (applied !== null && isNewer(applied, into.get(group) ?? undefined))) into.set(group, applied);
  }
  return into;
}

const isNewer = (applied: AppliedCut, known: AppliedCut | undefined): boolean =>
  known === undefined || known.logId !== applied.logId || comparePositions(applied.position, known.position) >= 0;

function groupOf(key: Uint8Array | null): GroupId | null {
  const text = key === null ? "" : Buffer.from(key).toString("utf8");
  return /^[1-9]\d{0,8}$/.test(text) ? groupId(Number(text)) : null;
}

/** A record that is not ours is passed over: nobody may stop a source by writing here, and nothing is skipped because of it. */
function parse(value: Uint8Array): AppliedCut | null {
  try {
    return appliedCutFromJson(Buffer.from(value).toString("utf8"));
  } catch {
    return null;
  }
}
