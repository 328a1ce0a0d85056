/**
 * Which tables are being read again, how far, and what that means for live changes. An immutable value: the batch in hand is told by the
 * state at its beginning while its chunks already move the cursor on.
 *
 * first    the group's first snapshot: the target has no rows of this table yet
 * repair   after a new history or a capture gap: the target's rows are stale. Around it the target's constraints are off
 * replace  somebody asked: the target's rows are right. No live change is withheld, so that every cut stays whole
 *
 * In `first` and `repair` a live change above the cursor is withheld: the chunk that reads its row will tell it.
 */
import type { RereadId } from "../vocabulary/ids.js";
import type { Key } from "../vocabulary/value.js";
import { compareKeys } from "./key-order.js";
import type { RereadRequest } from "./log-row.js";

export type RereadMode = "first" | "repair" | "replace";

export interface WaitingTable {
  readonly table: number;
  readonly mode: RereadMode;
  readonly reread: RereadId;
}
export interface ReadingTable extends WaitingTable {
  /** Rows up to here were read; null: none yet. */
  readonly cursor: Key | null;
  readonly rows: number;
}
export interface Rereads {
  readonly reading: ReadingTable | null;
  readonly waiting: readonly WaitingTable[];
}

export const nothingToRead: Rereads = { reading: null, waiting: [] };

/** All tables from their beginning, in the order of their numbers. */
export function rereadAll(tables: readonly number[], mode: RereadMode, reread: RereadId): Rereads {
  return { reading: null, waiting: tables.toSorted((a, b) => a - b).map((table) => ({ table, mode, reread })) };
}

export const isReading = (rereads: Rereads): boolean => rereads.reading !== null || rereads.waiting.length > 0;

export const withholds = (mode: RereadMode): boolean => mode !== "replace";

/** True while the target may hold half transactions because of a re-read. */
export const isWithholding = (rereads: Rereads): boolean =>
  (rereads.reading !== null && withholds(rereads.reading.mode)) || rereads.waiting.some((w) => withholds(w.mode));

/** One table is unread again. `begins`: a repair that was not under way begins with this request. */
export function request(
  rereads: Rereads,
  table: number,
  wanted: Pick<RereadRequest, "why" | "reread">,
): { readonly rereads: Rereads; readonly begins: boolean } {
  const { reading, waiting } = rereads;
  const now = reading?.table === table ? reading : waiting.find((w) => w.table === table);
  const asked: WaitingTable = { table, mode: wanted.why === "gap" ? "repair" : "replace", reread: wanted.reread };
  // A table whose rows the target lacks, or has stale, stays in that state however often it is asked for; its run goes on under its name.
  const next = now !== undefined && (withholds(now.mode) || asked.mode === "replace") ? now : asked;
  const begins = next.mode === "repair" && now?.mode !== "repair";
  if (reading?.table === table) return { rereads: { reading: { ...next, cursor: null, rows: 0 }, waiting }, begins };
  const others = waiting.filter((w) => w.table !== table);
  return {
    rereads: { reading, waiting: now === undefined ? [...others, next] : waiting.map((w) => (w.table === table ? next : w)) },
    begins,
  };
}

/** The table to read from next; null when all is read. */
export function nextToRead(rereads: Rereads): ReadingTable | null {
  if (rereads.reading !== null) return rereads.reading;
  const first = rereads.waiting[0];
  return first === undefined ? null : { ...first, cursor: null, rows: 0 };
}

/** After a chunk of the table that `nextToRead` named. `cursor` null: the table is read to its end. */
export function advance(rereads: Rereads, read: ReadingTable, rows: number, cursor: Key | null): Rereads {
  const waiting = rereads.reading === null ? rereads.waiting.slice(1) : rereads.waiting;
  return { reading: cursor === null ? null : { ...read, cursor, rows: read.rows + rows }, waiting };
}

/**
 * For a reader that was taken up from a token. The target may have applied a cut above it that was never seen whole, and with it the end of a
 * repair, or of the snapshot: its constraints stand again, and rows that this reader has yet to mend would break them. So repairs that are under
 * way begin once more, which a target takes twice; and so does a first snapshot, if there may be such a cut.
 */
export function beginAgain(
  rereads: Rereads,
  hasDoubtful: boolean,
): { readonly rereads: Rereads; readonly begins: readonly { readonly table: number; readonly reread: RereadId }[] } {
  const again = <T extends WaitingTable>(it: T): T => (it.mode === "first" && hasDoubtful ? { ...it, mode: "repair" } : it);
  const next: Rereads = { reading: rereads.reading === null ? null : again(rereads.reading), waiting: rereads.waiting.map(again) };
  const all = next.reading === null ? next.waiting : [next.reading, ...next.waiting];
  return { rereads: next, begins: all.filter(({ mode }) => mode === "repair").map(({ table, reread }) => ({ table, reread })) };
}

/** Tables that are no longer captured are not waited for. */
export function keepOnly(rereads: Rereads, captured: (table: number) => boolean): Rereads {
  const reading = rereads.reading !== null && captured(rereads.reading.table) ? rereads.reading : null;
  const waiting = rereads.waiting.every((w) => captured(w.table)) ? rereads.waiting : rereads.waiting.filter((w) => captured(w.table));
  return reading === rereads.reading && waiting === rereads.waiting ? rereads : { reading, waiting };
}

/** Says for each key whether live changes about it are told. Remembers its answer per table: made once per batch. */
export class Tellable {
  readonly #cursors = new Map<number, Key | "all" | "none">();

  constructor(private readonly rereads: Rereads) {}

  tells(table: number, key: Key): boolean {
    const cursor = this.#cursorOf(table);
    if (cursor === "all") return true;
    return cursor !== "none" && compareKeys(key, cursor) <= 0;
  }

  #cursorOf(table: number): Key | "all" | "none" {
    const known = this.#cursors.get(table);
    if (known !== undefined) return known;
    const cursor = this.#lookUp(table);
    this.#cursors.set(table, cursor);
    return cursor;
  }

  #lookUp(table: number): Key | "all" | "none" {
    const { reading, waiting } = this.rereads;
    if (reading?.table === table) return withholds(reading.mode) ? (reading.cursor ?? "none") : "all";
    const mode = waiting.find((w) => w.table === table)?.mode;
    return mode !== undefined && withholds(mode) ? "none" : "all";
  }
}
