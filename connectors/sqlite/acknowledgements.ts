/**
 * What `_cdc_state` remembers of the log: the newest acknowledged position with its epoch, and the history in use. Advisory, so it is
 * written at most once a second, and a busy application only puts it off.
 */
import type { Clock } from "../../core/clock.js";
import { type GroupId, type WriterEpoch, writerEpoch } from "../../core/vocabulary/ids.js";
import { formatPosition, type Position } from "../../core/vocabulary/position.js";
import { type Database, isBusy } from "./database.js";
import { immediately, politely } from "./write.js";

const writeEveryMs = 1_000;

export class Acknowledgements {
  #waiting: { readonly position: Position; readonly epoch: WriterEpoch } | null = null;
  #writtenAtMs = Number.NEGATIVE_INFINITY;
  #writtenEpoch: number;

  constructor(
    private readonly writer: Database,
    private readonly group: GroupId,
    private readonly clock: Clock,
    epochSeen: WriterEpoch,
  ) {
    this.#writtenEpoch = epochSeen;
  }

  get epochSeen(): WriterEpoch {
    return writerEpoch(this.#writtenEpoch);
  }

  /** Unlike the rest this may not be put off: a claim must not go out under a number that nobody remembers. */
  claiming(epoch: WriterEpoch): void {
    if (epoch <= this.#writtenEpoch) return;
    const set = "acknowledged = coalesce(substr(acknowledged, 1, instr(acknowledged, '@') - 1), '0:0:0') || '@' || ?";
    immediately(this.writer, () => this.writer.prepare(`UPDATE _cdc_state SET ${set} WHERE id = ?`).run(epoch, this.group));
    this.#writtenEpoch = epoch;
  }

  note(position: Position, epoch: WriterEpoch): void {
    this.#waiting = { position, epoch };
    if (this.isDue(epoch)) this.flush();
  }

  /** True: `note` writes. A new epoch is written at once: it keeps epoch numbers from being used twice when the log has lost its tail. */
  isDue(epoch: WriterEpoch): boolean {
    return epoch !== this.#writtenEpoch || this.clock.monotonicMs() - this.#writtenAtMs >= writeEveryMs;
  }

  flush(): void {
    const waiting = this.#waiting;
    if (waiting === null) return;
    const text = `${formatPosition(waiting.position)}@${waiting.epoch}`;
    if (!this.#write("acknowledged = ?, history = ?", [text, waiting.position.history])) return;
    this.#waiting = null;
    this.#writtenAtMs = this.clock.monotonicMs();
    this.#writtenEpoch = waiting.epoch;
  }

  /** Markers are numbered by it: written before the first batch of a history. */
  history(history: number): void {
    this.#write("history = ?", [history]);
  }

  #write(set: string, values: readonly unknown[]): boolean {
    try {
      politely(this.writer, () => this.writer.prepare(`UPDATE _cdc_state SET ${set} WHERE id = ?`).run(...values, this.group));
      return true;
    } catch (thrown) {
      if (isBusy(thrown)) return false;
      throw thrown;
    }
  }
}

/** The epoch in `history:order:index@epoch`; 0 when there is none. */
export function epochOf(acknowledged: string | null): number {
  const epoch = Number(acknowledged?.split("@")[1] ?? 0);
  return Number.isSafeInteger(epoch) && epoch > 0 ? epoch : 0;
}
