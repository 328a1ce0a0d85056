/**
 * The row in tailrace.route. Every move names the version it starts from; the row's lock is held from the move to the end of its transaction, so
 * whoever gets the lock knows that no older move is still on its way.
 */
import type { RouteState } from "../../../core/contracts/cutover.js";
import type { CutoverSide, CutoverState } from "../../../core/cutover/states.js";
import { TailraceError } from "../../../core/errors.js";
import type { Connection } from "../connection.js";
import { type Held, takenOver } from "./journal.js";
import type { RoutePlace } from "./place.js";

interface RouteRow {
  readonly side: RouteState["side"];
  readonly version: string;
}

const columns = "side, version";
const here = "pipeline = $1 AND group_id = $2";

/** A pipeline that was never switched may have no row yet. */
export async function readRoute(connection: Connection, place: RoutePlace): Promise<RouteState> {
  const [row] = await connection.rows<RouteRow>(`SELECT ${columns} FROM tailrace.route WHERE ${here}`, [place.pipeline, place.group]);
  return row === undefined ? { side: "source", version: 0 } : stateOf(row);
}

/** Locks are only held by rows that are there. */
export async function ensureRoute(connection: Connection, place: RoutePlace): Promise<void> {
  await connection.query({
    text: "INSERT INTO tailrace.route (pipeline, group_id) VALUES ($1, $2) ON CONFLICT (pipeline, group_id) DO NOTHING",
    values: [place.pipeline, place.group],
  });
}

/** Waits for the move that is on its way. */
export async function settledRoute(connection: Connection, place: RoutePlace): Promise<RouteState> {
  const [row] = await connection.rows<RouteRow>(`SELECT ${columns} FROM tailrace.route WHERE ${here} FOR UPDATE`, [
    place.pipeline,
    place.group,
  ]);
  return row === undefined ? { side: "source", version: 0 } : stateOf(row);
}

/** A holder that was replaced moves nothing: the token is looked at, and held still, in the same statement. */
export interface Mover {
  readonly place: RoutePlace;
  readonly held: Held;
}

export const pauseRoute = (connection: Connection, mover: Mover, from: RouteState): Promise<RouteState> =>
  move(connection, mover, from, { set: "side = 'paused', paused_on = side", when: "side <> 'paused'" });

/** `never`: the side that the cutover was to switch to. */
export const reopenRoute = (connection: Connection, mover: Mover, from: RouteState, never: CutoverSide): Promise<RouteState> =>
  move(connection, mover, from, { set: "side = coalesce(paused_on, side), paused_on = NULL", when: `side <> '${never}'` });

export const switchRoute = (connection: Connection, mover: Mover, from: RouteState, side: CutoverSide): Promise<RouteState> =>
  move(connection, mover, from, { set: `side = '${side}', paused_on = NULL`, when: `paused_on <> '${side}'` });

/** One statement, since it is made while writes wait. The journal's row is locked before the route's, as everybody does. */
async function move(
  connection: Connection,
  { place, held }: Mover,
  from: RouteState,
  { set, when }: { readonly set: string; readonly when: string },
): Promise<RouteState> {
  const [row] = await connection.rows<RouteRow>(
    `WITH h AS MATERIALIZED (SELECT 1 FROM tailrace.cutover WHERE id = $4 AND token = $5 FOR SHARE)
     UPDATE tailrace.route SET ${set}, version = version + 1, changed_at = now()
     WHERE ${here} AND version = $3 AND ${when} AND (SELECT count(*) FROM h) = 1 RETURNING ${columns}`,
    [place.pipeline, place.group, from.version, held.id, held.token],
  );
  if (row !== undefined) return stateOf(row);
  const [holder] = await connection.rows<{ token: string; state: CutoverState }>(
    "SELECT token, state FROM tailrace.cutover WHERE id = $1",
    [held.id],
  );
  if (Number(holder?.token) !== held.token) throw await takenOver(connection, held, holder?.state ?? "undone");
  const now = await readRoute(connection, place);
  throw new TailraceError("cutover.route-moved", {
    what: `The route is '${now.side}' at version ${now.version}, and was expected at version ${from.version}`,
    where: { pipeline: place.pipeline, group: place.group },
  });
}

const stateOf = (row: RouteRow): RouteState => ({ side: row.side, version: Number(row.version) });
