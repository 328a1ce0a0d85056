/**
 * The row in tailrace.route. Every move names the version it starts from; the row's lock is held from the move to the end of its transaction, so
 * whoever gets the lock knows that no older move is still on its way.
 */
import type { RouteState } from "../../../core/contracts/cutover.js";
import { TailraceError } from "../../../core/errors.js";
import type { GroupId, PipelineId } from "../../../core/vocabulary/ids.js";
import type { Connection } from "../connection.js";

export interface RoutePlace {
  readonly pipeline: PipelineId;
  readonly group: GroupId;
}
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

export const pauseRoute = (connection: Connection, place: RoutePlace, from: RouteState): Promise<RouteState> =>
  move(connection, place, from, { set: "side = 'paused', paused_on = side", when: "side <> 'paused'" });

export const reopenRoute = (connection: Connection, place: RoutePlace, from: RouteState): Promise<RouteState> =>
  move(connection, place, from, { set: "side = coalesce(paused_on, side), paused_on = NULL", when: "side <> 'target'" });

export const switchRoute = (connection: Connection, place: RoutePlace, from: RouteState, side: "source" | "target"): Promise<RouteState> =>
  move(connection, place, from, { set: `side = '${side}', paused_on = NULL`, when: `paused_on <> '${side}'` });

async function move(
  connection: Connection,
  place: RoutePlace,
  from: RouteState,
  { set, when }: { readonly set: string; readonly when: string },
): Promise<RouteState> {
  const [row] = await connection.rows<RouteRow>(
    `UPDATE tailrace.route SET ${set}, version = version + 1, changed_at = now() WHERE ${here} AND version = $3 AND ${when} RETURNING ${columns}`,
    [place.pipeline, place.group, from.version],
  );
  if (row !== undefined) return stateOf(row);
  const now = await readRoute(connection, place);
  throw new TailraceError("cutover.route-moved", {
    what: `The route is '${now.side}' at version ${now.version}, and was expected at version ${from.version}`,
    where: { pipeline: place.pipeline, group: place.group },
  });
}

const stateOf = (row: RouteRow): RouteState => ({ side: row.side, version: Number(row.version) });
