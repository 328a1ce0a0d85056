/**
 * `<prefix>.applied`: what the target has committed, for the source to prune by and to begin at. Advisory: a lost or late record only keeps the
 * source from forgetting, so nothing here waits and no failure reaches the sink.
 */
import { type Clock, Backoff } from "../clock.js";
import { passing } from "../crash-points.js";
import { disposeQuietly } from "../dispose.js";
import type { AppliedCut, AppliedPublisher } from "../contracts/log.js";
import type { LogAppender, LogStore, OutgoingRecord } from "../contracts/log-store.js";
import { appliedTopic } from "../topics.js";
import type { GroupId, Topic } from "../vocabulary/ids.js";
import { appliedCutToJson } from "./applied-cut-json.js";

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
    await this.#appender.append([appliedRecord(this.#topic, sending.group, sending.applied)], signal);
    passing("sink.applied-published");
    if (this.#waiting === sending) this.#waiting = null;
  }
}

/**
 * Whoever divides a pipeline says where a new group begins before the group it comes out of can go on, or that a group is gone (null): from here on the
 * source keeps what the new one needs. Rejects unless it is durable.
 */
export async function announceGroups(
  store: LogStore,
  prefix: string,
  groups: readonly { readonly group: GroupId; readonly applied: AppliedCut | null }[],
  signal: AbortSignal,
): Promise<void> {
  if (groups.length === 0) return;
  await using appender = await store.appender(signal);
  await appender.append(
    groups.map(({ group, applied }) => appliedRecord(appliedTopic(prefix), group, applied)),
    signal,
  );
}

const appliedRecord = (topic: Topic, group: GroupId, applied: AppliedCut | null): OutgoingRecord => ({
  topic,
  partition: 0,
  key: Buffer.from(String(group), "utf8"),
  value: applied === null ? null : Buffer.from(appliedCutToJson(applied), "utf8"),
  headers: [],
});
