/** What was told and when it was noticed, for as long as the target may lack it: how far the target is behind. */
import type { Known, Lag } from "../../core/contracts/source.js";
import { maxPosition, type Position, position } from "../../core/vocabulary/position.js";

interface Entry {
  readonly at: Position;
  readonly changes: number;
  /** Wall time at which the first of them was noticed: between then and the commit lies at most one look at the file. */
  readonly sinceMs: number;
}

export class ToldLedger {
  #entries: readonly Entry[] = [];
  #head: Position | null = null;

  /** Everything up to `at` was told before. */
  begin(at: Position | null): void {
    this.#entries = [];
    this.#head = at;
  }

  told(entry: Entry): void {
    this.#entries = [...this.#entries, entry];
    this.#head = entry.at;
  }

  forget(below: Position): void {
    this.#entries = this.#entries.filter(({ at }) => at.history === below.history && at.order > below.order);
  }

  /** `movedSinceMs`: the file holds something that nobody has looked at yet. */
  measure(applied: Position | null, movedSinceMs: number | null, nowMs: number): Lag {
    const told = this.#head ?? position(0, 0);
    const head = movedSinceMs === null ? told : position(told.history, told.order + 1);
    if (applied === null) return unknownLag(head, "the target has applied nothing yet");
    if (applied.history !== head.history || applied.order > maxPosition(head, told).order)
      return unknownLag(head, "the target holds another past of the source");
    const missing = this.#entries.filter(({ at }) => at.order > applied.order);
    const changes = missing.reduce((sum, entry) => sum + entry.changes, 0);
    const since = Math.min(missing[0]?.sinceMs ?? Number.POSITIVE_INFINITY, movedSinceMs ?? Number.POSITIVE_INFINITY);
    return {
      head,
      changes: movedSinceMs === null ? known(changes) : { kind: "unknown", why: "the file has moved since it was compared last" },
      ms: known(Number.isFinite(since) ? Math.max(0, nowMs - since) : 0),
    };
  }
}

const known = (value: number): Known<number> => ({ kind: "known", value });
const unknownLag = (head: Position, why: string): Lag => ({ head, changes: { kind: "unknown", why }, ms: { kind: "unknown", why } });
