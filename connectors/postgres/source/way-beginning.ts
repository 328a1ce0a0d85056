/**
 * Where an iteration begins: behind the cut that the log ends with, if that is of this opening, else at the opening itself. Between two openings
 * nothing was written at PostgreSQL but by the other direction, since each is closed only when everything was carried back or nothing was switched.
 */
import type { Beginning } from "../../../core/contracts/source.js";
import { TailraceError } from "../../../core/errors.js";
import { comparePositions, isAbove, type Position, position } from "../../../core/vocabulary/position.js";
import { formatLsn, type Lsn, lsn, recordAt } from "./lsn.js";
import { Past } from "./past.js";
import type { OpenWay } from "./way-hold.js";
import { decodeWayToken } from "./way-token.js";

export interface WayBeginning {
  /** True: the opening is told first, at `at`. */
  readonly isOpening: boolean;
  readonly at: Position;
  /** Transactions up to here are not told. */
  readonly toldUpTo: Lsn;
  readonly past: Past;
}

/** `confirmed`: from where the server tells. */
export function wayBeginning(beginning: Beginning, way: OpenWay, server: { readonly confirmed: Lsn; readonly end: Lsn }): WayBeginning {
  const { resume } = beginning;
  const token = resume === null ? null : decodeWayToken(resume.token);
  const goesOn = token?.opening === way.opening;
  const at = goesOn ? token.at : openingPosition(beginning, way);
  if (goesOn && server.end < recordAt(at)) throw ends(server.end, at);
  if (!goesOn && server.confirmed > way.start) throw forgotten(server.confirmed, way.start);
  const cuts = [...(goesOn ? [token] : []), ...beginning.later.map((cut) => ({ at: cut.position, anchor: cut.anchor }))];
  const expected = cuts
    .filter((cut) => cut.at.history === at.history && comparePositions(cut.at, at) >= 0 && !isOpeningOrder(cut.at))
    .map((cut) => ({ commit: recordAt(cut.at), anchor: cut.anchor }))
    .filter(({ commit }) => commit >= server.confirmed);
  return { isOpening: !goesOn, at, toldUpTo: lsn(at.order - 1), past: new Past(expected) };
}

/** Ends of transactions stand one byte behind their record's beginning. */
const isOpeningOrder = ({ order }: Position): boolean => order % 8 === 0;

function openingPosition({ resume, historySeen }: Beginning, { start, history }: OpenWay): Position {
  const at = position(Math.max(history, historySeen), start);
  return resume === null || isAbove(at, resume.position) ? at : position(at.history + 1, start);
}

const ends = (end: Lsn, at: Position): TailraceError =>
  new TailraceError("source.past-replaced", {
    what: "PostgreSQL's log ends before what was carried back from it",
    where: { end: formatLsn(end), carried: formatLsn(recordAt(at)) },
  });

const forgotten = (confirmed: Lsn, start: Lsn): TailraceError =>
  new TailraceError("source.slot-moved", {
    what: "The log holds nothing of this way back any more, and PostgreSQL has forgotten its beginning",
    where: { start: formatLsn(start), confirmed: formatLsn(confirmed) },
  });
