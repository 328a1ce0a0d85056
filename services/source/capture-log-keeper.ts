/**
 * Watches over the capture log in the source: says how far it may be forgotten by the operator's choice, and calls a person while there still is
 * room. What it says is advisory; the source itself keeps the anchor and whatever else it needs.
 */
import {
  type Alarm,
  alarmOf,
  captureLogStatus,
  forgetBelow,
  hasForgotten,
  type Reached,
  type Retention,
} from "../../core/capture/retention.js";
import type { Clock } from "../../core/clock.js";
import type { CaptureLogUse, Source } from "../../core/contracts/source.js";
import type { Logger } from "../../core/logger.js";
import type { Gauge, Metrics } from "../../core/metrics.js";
import type { CaptureLogStatus } from "../../core/status.js";
import type { Position } from "../../core/vocabulary/position.js";

export interface CaptureLogKeeperOptions {
  readonly retention: Retention;
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: Metrics;
}

const measureEveryMs = 2_000;
/** A person who has read the first line does not want one every two seconds. */
const repeatEveryMs = 3_600_000;

export class CaptureLogKeeper {
  readonly #bytes: Gauge;
  readonly #age: Gauge;
  #use: CaptureLogUse | null = null;
  #reached: Reached = { applied: null, acknowledged: null };
  #measuredMs = Number.NEGATIVE_INFINITY;
  #alarm: { readonly kind: Alarm["kind"]; readonly saidMs: number } | null = null;
  #forgotten = false;

  constructor(private readonly options: CaptureLogKeeperOptions) {
    const { metrics } = options;
    this.#bytes = metrics.gauge("tailrace_capture_log_bytes", "Size of the capture log in the source, estimated from a sample");
    this.#age = metrics.gauge(
      "tailrace_capture_log_age_seconds",
      "Age of the oldest row of the capture log besides its anchor; 0 when none",
    );
  }

  /** Strictly below it rows may be forgotten now; null: none. */
  forgetBelow(source: Source, reached: Reached): Position | null {
    const { clock, retention } = this.options;
    this.#reached = reached;
    const nowMs = clock.monotonicMs();
    if (nowMs - this.#measuredMs >= measureEveryMs) {
      this.#measuredMs = nowMs;
      this.#use = source.captureLog();
      this.#measured();
    }
    return forgetBelow(retention, reached, this.#use);
  }

  status(): CaptureLogStatus | null {
    return this.#use === null ? null : captureLogStatus(this.#use, this.options.retention, this.#reached);
  }

  #measured(): void {
    const use = this.#use;
    this.#bytes.set(use?.bytes ?? null);
    this.#age.set(use === null ? null : use.ms / 1000);
    if (use === null) return;
    this.#ring(alarmOf(use, this.options.retention.maxBytes));
    const forgotten = hasForgotten(this.#reached, use);
    if (forgotten && !this.#forgotten) {
      this.options.log.warn(
        { event: "source.capture-log-forgotten", oldest: use.oldest },
        "rows that the target lacks are only in the log now: if it loses records, every table is read again",
      );
    }
    this.#forgotten = forgotten;
  }

  #ring(alarm: Alarm | null): void {
    const { log, clock } = this.options;
    const nowMs = clock.monotonicMs();
    if (alarm === null) {
      if (this.#alarm !== null) log.info({ event: "source.capture-log-shrunk" }, "the capture log is small again");
      this.#alarm = null;
      return;
    }
    if (this.#alarm?.kind === alarm.kind && nowMs - this.#alarm.saidMs < repeatEveryMs) return;
    this.#alarm = { kind: alarm.kind, saidMs: nowMs };
    log.warn({ event: "source.capture-log-large", ...alarm }, sentences[alarm.kind]);
  }
}

const sentences: Readonly<Record<Alarm["kind"], string>> = {
  size: "the capture log in the source is larger than source.log.maxBytes: the target (or the log) is behind",
  age: "the capture log in the source holds old rows: the target (or the log) has been behind for hours",
  disk: "the capture log in the source may fill the disk: a full disk stops the application",
};
