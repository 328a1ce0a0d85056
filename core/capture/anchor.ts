/**
 * An anchor says which past a position belongs to: number, time and digest of the log row there. After a restore or a power failure the
 * same number may come again with another row; comparing anchors is what notices it.
 */
import { type Anchor, anchor, sameBytes } from "../vocabulary/ids.js";
import type { Position } from "../vocabulary/position.js";
import type { Beginning } from "../contracts/source.js";

export function makeAnchor(seq: number, ts: number | null, digest: string): Anchor {
  return anchor(Buffer.from(JSON.stringify([seq, ts, digest]), "utf8"));
}

/** What can be asked about the log in the transaction that reads it. */
export interface AnchoredLog {
  /** 0 when the log is empty. */
  newest(): number;
  oldest(): number;
  /** null: there is no such row. Of 0, the beginning of the log, there always is one: what tells this installation from any other. */
  anchorAt(seq: number): Anchor | null;
  /** Number of rows with after < seq ≤ until. */
  count(after: number, until: number): number;
}

export interface Past {
  readonly at: Position;
  readonly anchor: Anchor;
}

/**
 * True when the log still is the one that was read up to `past`: its row there is the same, every later row is there, and so is every row
 * at a later cut that some writer has sent. Rows of later cuts that were already pruned cannot be compared.
 */
export function isSamePast(past: Past, later: Beginning["later"], log: AnchoredLog): boolean {
  const newest = log.newest();
  const seq = past.at.order;
  if (newest < seq) return false;
  const here = log.anchorAt(seq);
  if (here === null || !sameBytes(here, past.anchor)) return false;
  if (log.count(seq, newest) !== newest - seq) return false;
  return later.every((cut) => agrees(cut, past, log));
}

function agrees(cut: Beginning["later"][number], past: Past, log: AnchoredLog): boolean {
  if (cut.position.history !== past.at.history) return cut.position.history < past.at.history;
  return isRecognised(cut, log);
}

/** Of the present history. True where the row was forgotten. */
export function isRecognised(cut: Beginning["later"][number], log: AnchoredLog): boolean {
  const seq = cut.position.order;
  if (seq > 0 && seq < log.oldest()) return true;
  const here = log.anchorAt(seq);
  return here !== null && sameBytes(here, cut.anchor);
}
