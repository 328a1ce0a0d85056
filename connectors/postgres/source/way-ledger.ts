/** How far the other side is behind: what was told and not applied, what has arrived, and what the server still has. */
import type { CaptureLogUse, Known, Lag } from "../../../core/contracts/source.js";
import { type Anchor, sameBytes } from "../../../core/vocabulary/ids.js";
import { comparePositions, isAbove, origin, type Position, samePosition } from "../../../core/vocabulary/position.js";
import { endPosition, type Lsn } from "./lsn.js";
import type { SlotFigures } from "./slot.js";

interface Entry {
  readonly at: Position;
  /** Of one that is still arriving it rises. */
  readonly changes: () => number;
  readonly committedMs: number;
  readonly anchor: Anchor;
}
export interface Waiting {
  readonly rows: number;
  readonly oldestUs: bigint | null;
  readonly received: Lsn;
}

export class WayLedger {
  #entries: readonly Entry[] = [];
  /** What an earlier process told, this one does not know. */
  #since: Position | null = null;
  #told: Position = origin;
  #forgotten: Position | null = null;
  #figures: SlotFigures;
  /** End of the server's log at the look before the last one: by now it should have arrived. */
  #dueEnd: Lsn;
  #clockOffsetMs = 0;

  constructor(figures: SlotFigures, wallMs: number) {
    this.#figures = figures;
    this.#dueEnd = figures.end;
    this.#clockOffsetMs = figures.nowMs - wallMs;
  }

  get told(): Position {
    return this.#told;
  }

  begin(at: Position): void {
    this.#entries = this.#entries.filter((entry) => comparePositions(entry.at, at) <= 0);
    this.#told = at;
    this.#since ??= at;
  }

  tell(entry: Entry): void {
    this.#entries = [...this.#entries, entry];
    this.#told = entry.at;
  }

  forget(below: Position): void {
    if (this.#forgotten === null || isAbove(below, this.#forgotten)) this.#forgotten = below;
    this.#entries = this.#entries.filter(({ at }) => isAbove(at, below));
  }

  /** False: this process has told something else at that position. */
  recognises(at: Position, anchor: Anchor): boolean {
    const told = this.#entries.find((entry) => samePosition(entry.at, at));
    return told === undefined || sameBytes(told.anchor, anchor);
  }

  looked(figures: SlotFigures, wallMs: number): void {
    this.#dueEnd = this.#figures.end;
    this.#figures = figures;
    this.#clockOffsetMs = figures.nowMs - wallMs;
  }

  /** `waiting`: null while nothing is read. */
  lag(applied: Position | null, waiting: Waiting | null, wallMs: number): Lag {
    const head = this.#head(waiting);
    if (applied === null) return unknownLag(head, "nothing was applied yet");
    if (applied.history !== head.history || isAbove(applied, head)) return unknownLag(head, "the other side holds another past");
    if (this.#since !== null && isAbove(this.#since, applied)) return unknownLag(head, "an earlier process told what is missing");
    const missing = this.#entries.filter(({ at }) => isAbove(at, applied));
    const oldest = Math.min(
      missing[0]?.committedMs ?? Number.POSITIVE_INFINITY,
      waiting === null || waiting.oldestUs === null ? Number.POSITIVE_INFINITY : Number(waiting.oldestUs / 1_000n),
    );
    const nowMs = wallMs + this.#clockOffsetMs;
    return {
      head,
      changes: this.#changes(missing, waiting),
      ms: { kind: "known", value: Number.isFinite(oldest) ? Math.max(0, nowMs - oldest) : 0 },
    };
  }

  use(wallMs: number): CaptureLogUse {
    const { slot, end } = this.#figures;
    const [oldest] = this.#entries;
    const confirmed = slot?.confirmed ?? end;
    return {
      oldest: Math.min(confirmed, this.#forgotten?.order ?? confirmed),
      newest: end,
      bytes: slot?.keptBytes ?? 0,
      ms: oldest === undefined ? 0 : Math.max(0, wallMs + this.#clockOffsetMs - oldest.committedMs),
      freeBytes: slot?.safeBytes ?? null,
    };
  }

  #head(waiting: Waiting | null): Position {
    if (waiting === null || waiting.oldestUs === null) return this.#told;
    const arrived = endPosition(this.#told.history, waiting.received);
    return isAbove(arrived, this.#told) ? arrived : this.#told;
  }

  #changes(missing: readonly Entry[], waiting: Waiting | null): Known<number> {
    if (waiting === null) return { kind: "unknown", why: "PostgreSQL's log is not being read" };
    if (waiting.received < this.#dueEnd) {
      return { kind: "unknown", why: `${this.#dueEnd - waiting.received} bytes of PostgreSQL's log are not read yet` };
    }
    return { kind: "known", value: missing.reduce((sum, { changes }) => sum + changes(), waiting.rows) };
  }
}

const unknownLag = (head: Position, why: string): Lag => ({ head, changes: { kind: "unknown", why }, ms: { kind: "unknown", why } });
