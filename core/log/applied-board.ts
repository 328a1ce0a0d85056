/**
 * `<prefix>.applied`: what the target has committed, for the source to prune by and to begin at. Advisory: a lost or late record only keeps the
 * source from forgetting, so nothing here waits and no failure reaches the sink.
 */
import { type Clock, Backoff } from "../clock.js";
import { passing } from "../crash-points.js";
import { disposeQuietly } from "../dispose.js";
import type { AppliedCut, AppliedFollower, AppliedPublisher } from "../contracts/log.js";
import type { LogAppender, LogStore, LogTail, StoredRecord } from "../contracts/log-store.js";
import { appliedTopic } from "../topics.js";
import { type GroupId, offset, type Topic } from "../vocabulary/ids.js";
import { comparePositions } from "../vocabulary/position.js";
import { appliedCutFromJson, appliedCutToJson } from "./applied-cut-json.js";

/** Enough to find the newest record even if a compaction is overdue. */
const lastRecords = 50;
const publishEveryMs = 200;

export class LogAppliedPublisher implements AppliedPublisher {
  readonly #topic: Topic;
  readonly #stop = new AbortController();
  #waiting: { readonly group: GroupId; readonly applied: AppliedCut } | null = null;
  #appender: LogAppender | null = null;
  #running: Promise<void> | null = null;

  constructor(
    private readonly store: LogStore,
    private readonly clock: Clock,
    prefix: string,
  ) {
    this.#topic = appliedTopic(prefix);
  }

  publish(group: GroupId, applied: AppliedCut): void {
    this.#waiting = { group, applied };
    this.#running ??= this.#drain();
  }

  /** What waits is tried once more, so that a source that starts later knows where the sink was. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await this.#running;
    try {
      await this.#send(AbortSignal.timeout(2_000));
    } catch {
      // Advisory: the next sink publishes again.
    }
    await disposeQuietly(this.#appender);
  }

  async #drain(): Promise<void> {
    const backoff = new Backoff(500, 30_000);
    const { signal } = this.#stop;
    while (this.#waiting !== null && !signal.aborted) {
      let waitMs = publishEveryMs;
      try {
        await this.#send(signal);
        backoff.reset();
      } catch {
        await disposeQuietly(this.#appender);
        this.#appender = null;
        waitMs = backoff.next();
      }
      await this.clock.delay(waitMs, signal).catch(() => {});
    }
    this.#running = null;
  }

  async #send(signal: AbortSignal): Promise<void> {
    const sending = this.#waiting;
    if (sending === null) return;
    this.#appender ??= await this.store.appender(signal);
    const key = Buffer.from(String(sending.group), "utf8");
    const value = Buffer.from(appliedCutToJson(sending.applied), "utf8");
    await this.#appender.append([{ topic: this.#topic, partition: 0, key, value, headers: [] }], signal);
    passing("sink.applied-published");
    if (this.#waiting === sending) this.#waiting = null;
  }
}

export class LogAppliedFollower implements AppliedFollower {
  readonly #topic: Topic;
  readonly #stop = new AbortController();
  #current: AppliedCut | null = null;
  #following: Promise<void> | null = null;

  constructor(
    private readonly store: LogStore,
    private readonly clock: Clock,
    prefix: string,
  ) {
    this.#topic = appliedTopic(prefix);
  }

  current(): AppliedCut | null {
    return this.#current;
  }

  async latest(signal: AbortSignal): Promise<AppliedCut | null> {
    const bounds = (await this.store.bounds([this.#topic], signal)).get(this.#topic)?.[0];
    if (bounds === undefined) return null;
    if (bounds.end === bounds.first) {
      // Nothing yet: the first record is still to come, and must be heard when it does.
      this.#following ??= this.#follow(bounds.end);
      return null;
    }
    const from = offset(Math.max(bounds.first, bounds.end - lastRecords));
    let newest: AppliedCut | null = null;
    for await (const page of this.store.scan(this.#topic, 0, { from, until: bounds.end }, signal)) newest = lastOf(page) ?? newest;
    if (newest !== null) this.#current = newest;
    this.#following ??= this.#follow(bounds.end);
    return newest;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await this.#following;
  }

  async #follow(from: number): Promise<void> {
    // What it follows is what lag is measured by: after an outage that must not be wrong for long.
    const backoff = new Backoff(250, 2_000);
    const { signal } = this.#stop;
    while (!signal.aborted) {
      let tail: LogTail | null = null;
      try {
        tail = await this.store.tail(new Map([[this.#topic, [offset(from)]]]), signal);
        for (;;) {
          const page = await tail.next(5_000, signal);
          if (page === null) continue;
          backoff.reset();
          from = Math.max(from, (page.at(-1)?.offset ?? from) + 1);
          this.#current = lastOf(page) ?? this.#current;
        }
      } catch {
        await this.clock.delay(backoff.next(), signal).catch(() => {});
      } finally {
        await disposeQuietly(tail);
      }
    }
  }
}

function lastOf(page: readonly StoredRecord[]): AppliedCut | null {
  let newest: AppliedCut | null = null;
  for (const { value } of page) {
    if (value === null) continue;
    const applied = parse(value);
    if (applied !== null && (newest === null || newest.logId !== applied.logId || comparePositions(applied.position, newest.position) >= 0))
      newest = applied;
  }
  return newest;
}

/** A record that is not ours is passed over: nobody may stop a source by writing here, and nothing is skipped because of it. */
function parse(value: Uint8Array): AppliedCut | null {
  try {
    return appliedCutFromJson(Buffer.from(value).toString("utf8"));
  } catch {
    return null;
  }
}
