import type { GroupId, MarkerId, PipelineId } from "../../../core/vocabulary/ids.js";
import type { Connection, Query } from "../connection.js";
import { type Lsn, parseLsn } from "./lsn.js";

export interface WayPlace {
  readonly pipeline: PipelineId;
  readonly group: GroupId;
}

/** Seen at the other end, it says that everything committed before it has arrived there. Legal in any transaction; may be repeated. */
export const markerQuery = ({ pipeline, group }: WayPlace, marker: MarkerId): Query => ({
  text: `WITH old AS (DELETE FROM tailrace.marker WHERE pipeline = $1 AND group_id = $2 AND marker <> $3 AND asked_at < now() - interval '1 day')
         INSERT INTO tailrace.marker (pipeline, group_id, marker) VALUES ($1, $2, $3)
         ON CONFLICT (pipeline, group_id, marker) DO UPDATE SET asked_at = clock_timestamp() RETURNING pg_current_wal_insert_lsn() AS below`,
  values: [pipeline, group, marker],
});

/** Durable on return. Answers a place in the log below the marker, above every commit that could be seen before the call. */
export async function writeMarker(connection: Connection, place: WayPlace, marker: MarkerId): Promise<Lsn> {
  const { rows } = await connection.query<{ below: string }>(markerQuery(place, marker));
  return parseLsn(rows[0]?.below ?? "");
}
