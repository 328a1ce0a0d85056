/** The row of tailrace.way_back, written and read by nobody else. */
import type { TableId, WriterEpoch } from "../../../core/vocabulary/ids.js";
import { tableId } from "../../../core/vocabulary/ids.js";
import type { Connection } from "../connection.js";
import { formatLsn, type Lsn, parseLsn } from "./lsn.js";
import type { WayPlace } from "./marker.js";
import type { OpenedColumns } from "./relations.js";

export interface WayState {
  readonly slot: string;
  readonly publication: string;
  readonly opening: string;
  readonly history: number;
  /** null: not open. */
  readonly start: Lsn | null;
  readonly confirmed: Lsn | null;
  readonly writerEpoch: number;
  readonly columns: ReadonlyMap<TableId, OpenedColumns>;
  /** By qualified name: relreplident before we altered it, and the index it named. */
  readonly identities: Readonly<Record<string, Identity>>;
}
export interface Identity {
  /** pg_class.relreplident: d, n, f or i. */
  readonly kind: string;
  readonly index: string | null;
}

interface WayRow {
  readonly slot: string;
  readonly publication: string;
  readonly opening: string;
  readonly history: string;
  readonly start_lsn: string | null;
  readonly confirmed_lsn: string | null;
  readonly writer_epoch: string;
  readonly columns: Readonly<Record<string, OpenedColumns>>;
  readonly identities: Readonly<Record<string, Identity>>;
}

/** Of a database whose state is prepared. */
export async function readWayState(connection: Connection, { pipeline, group }: WayPlace): Promise<WayState | null> {
  const [row] = await connection.rows<WayRow>(
    `SELECT slot, publication, opening, history, start_lsn, confirmed_lsn, writer_epoch, columns, identities
     FROM tailrace.way_back WHERE pipeline = $1 AND group_id = $2`,
    [pipeline, group],
  );
  if (row === undefined) return null;
  return {
    slot: row.slot,
    publication: row.publication,
    opening: row.opening,
    history: Number(row.history),
    start: row.start_lsn === null ? null : parseLsn(row.start_lsn),
    confirmed: row.confirmed_lsn === null ? null : parseLsn(row.confirmed_lsn),
    writerEpoch: Number(row.writer_epoch),
    columns: new Map(Object.entries(row.columns).map(([table, columns]) => [tableId(table), columns])),
    identities: row.identities,
  };
}

/** Stored before anything is made, so that whoever comes after a crash knows what may be there. */
export async function beginOpening(connection: Connection, { pipeline, group }: WayPlace, state: Opening): Promise<void> {
  await connection.query({
    text: `INSERT INTO tailrace.way_back AS w (pipeline, group_id, slot, publication, opening, columns, identities)
           VALUES ($1, $2, $3, $4, $5, $6, $7)
           ON CONFLICT (pipeline, group_id) DO UPDATE SET slot = excluded.slot, publication = excluded.publication, opening = excluded.opening,
             start_lsn = NULL, columns = excluded.columns, identities = excluded.identities || w.identities, changed_at = now()`,
    values: [
      pipeline,
      group,
      state.slot,
      state.publication,
      state.opening,
      JSON.stringify(state.columns),
      JSON.stringify(state.identities),
    ],
  });
}
export interface Opening {
  readonly slot: string;
  readonly publication: string;
  readonly opening: string;
  readonly columns: Readonly<Record<string, OpenedColumns>>;
  readonly identities: Readonly<Record<string, Identity>>;
}

/** A server whose log begins anew further back (restored, or another one) has a history of its own. */
export async function endOpening(connection: Connection, { pipeline, group }: WayPlace, start: Lsn): Promise<void> {
  await connection.query({
    text: `UPDATE tailrace.way_back SET start_lsn = $3::pg_lsn, history = history + coalesce((confirmed_lsn > $3::pg_lsn)::int, 0),
             confirmed_lsn = $3::pg_lsn, changed_at = now() WHERE pipeline = $1 AND group_id = $2`,
    values: [pipeline, group, formatLsn(start)],
  });
}

export async function markClosing(connection: Connection, { pipeline, group }: WayPlace): Promise<void> {
  await connection.query({
    text: "UPDATE tailrace.way_back SET start_lsn = NULL, changed_at = now() WHERE pipeline = $1 AND group_id = $2",
    values: [pipeline, group],
  });
}

/** Everything is put back. What writers of its log need to remember stays. */
export async function markClosed(connection: Connection, { pipeline, group }: WayPlace): Promise<void> {
  await connection.query({
    text: `UPDATE tailrace.way_back SET identities = '{}' WHERE pipeline = $1 AND group_id = $2 AND start_lsn IS NULL`,
    values: [pipeline, group],
  });
}

export async function storeWriterEpoch(connection: Connection, { pipeline, group }: WayPlace, epoch: WriterEpoch): Promise<void> {
  await connection.query({
    text: "UPDATE tailrace.way_back SET writer_epoch = greatest(writer_epoch, $3::bigint) WHERE pipeline = $1 AND group_id = $2",
    values: [pipeline, group, epoch],
  });
}

/** False: this opening is over. */
export async function storeConfirmed(
  connection: Connection,
  place: WayPlace,
  at: { readonly opening: string; readonly lsn: Lsn },
): Promise<boolean> {
  const { rowCount } = await connection.query({
    text: `UPDATE tailrace.way_back SET confirmed_lsn = greatest(confirmed_lsn, $4::pg_lsn)
           WHERE pipeline = $1 AND group_id = $2 AND opening = $3 AND start_lsn IS NOT NULL`,
    values: [place.pipeline, place.group, at.opening, formatLsn(at.lsn)],
  });
  return rowCount === 1;
}
