/**
 * The way back as one long-lived service: a source and a sink with their ends exchanged. They end together, since one alone carries nothing; while no
 * way back is open both stand by. What only a person can mend, a row or the way back itself, is said and waited for: then both go on by themselves.
 */
import { mayBeMended } from "../../core/apply/may-be-mended.js";
import type { Clock } from "../../core/clock.js";
import { disposeQuietly } from "../../core/dispose.js";
import { asTailraceError, isAbort } from "../../core/errors.js";
import type { GroupService } from "../../core/group-loops.js";
import type { GroupId } from "../../core/vocabulary/ids.js";
import type { Service, ServiceState, ServiceStatus } from "../../core/status.js";
import { together } from "../../core/supervise.js";
import { isShut } from "../../core/way-back-errors.js";

type Part = Service & AsyncDisposable;

export interface ReverseParts {
  readonly group: GroupId;
  readonly pipeline: string;
  readonly clock: Clock;
  /** Reads PostgreSQL. */
  readonly source: Part;
  /** Writes to the file. */
  readonly sink: Part;
  /** As of the desk. */
  readonly opening: (signal: AbortSignal) => Promise<string | null>;
}

const askAgainMs = 1_000;
/** A row that the file has refused for seconds is one that a person mends, at PostgreSQL or in the file. */
const mendedMs = 10_000;

/** What is worst of two is what the whole is. */
const worstFirst: readonly ServiceState[] = ["stopped", "waiting", "starting", "standing-by", "paused", "running", "ended"];

export class ReverseService implements GroupService {
  readonly name = "reverse";

  constructor(private readonly parts: ReverseParts) {}

  get group(): GroupId {
    return this.parts.group;
  }

  async run(signal: AbortSignal): Promise<void> {
    const { source, sink, clock } = this.parts;
    while (!signal.aborted) {
      try {
        const opening = await this.#opening(signal);
        try {
          return await together([(s) => source.run(s), (s) => sink.run(s)], clock, signal);
        } catch (thrown) {
          if (isAbort(thrown)) throw thrown;
          if (mayBeMended(thrown)) await clock.delay(mendedMs, signal);
          else if (isShut(asTailraceError(thrown).code)) await this.#openedAfter(opening, signal);
          else throw thrown;
        }
      } catch (thrown) {
        if (!(signal.aborted && isAbort(thrown))) throw thrown;
      }
    }
  }

  /** Until it is opened anew, or closed. */
  async #openedAfter(before: string | null | undefined, signal: AbortSignal): Promise<void> {
    for (;;) {
      await this.parts.clock.delay(askAgainMs, signal);
      const now = await this.#opening(signal);
      if (now !== undefined && now !== before) return;
    }
  }

  /** Undefined: nobody answers. */
  async #opening(signal: AbortSignal): Promise<string | null | undefined> {
    try {
      return await this.parts.opening(signal);
    } catch (thrown) {
      if (signal.aborted && isAbort(thrown)) throw thrown;
      return undefined;
    }
  }

  status(): ServiceStatus {
    const [source, sink] = [this.parts.source.status(), this.parts.sink.status()];
    const worst = worstFirst.find((state) => source.state === state || sink.state === state) ?? "starting";
    const speaker = source.state === worst ? source : sink;
    const { behind, captureLog, applied } = source.details;
    return {
      service: this.name,
      pipeline: this.parts.pipeline,
      state: worst,
      why: speaker.why,
      code: speaker.code,
      attempt: speaker.attempt,
      sinceMs: speaker.sinceMs,
      position: sink.position,
      details: { behind, captureLog, log: source.position, applied, source, sink },
    };
  }

  /** The sink first: what it has applied is published by then. */
  async [Symbol.asyncDispose](): Promise<void> {
    await disposeQuietly(this.parts.sink);
    await disposeQuietly(this.parts.source);
  }
}
