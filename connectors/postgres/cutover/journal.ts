/**
 * Rows of tailrace.cutover and tailrace.cutover_step. Every change names the holder's token and the state it starts from, in one statement: a holder
 * that was replaced, or that is not where it believes to be, changes nothing.
 */
import type { CutoverRecord, CutoverStepRecord, CutoverStory, MoveDetails } from "../../../core/contracts/cutover.js";
import { type CutoverKind, type CutoverState, isFinished } from "../../../core/cutover/states.js";
import { TailraceError } from "../../../core/errors.js";
import { type MarkerId, markerId } from "../../../core/vocabulary/ids.js";
import { position } from "../../../core/vocabulary/position.js";
import type { Connection, Query } from "../connection.js";
import type { RoutePlace } from "./place.js";

export interface Held {
  readonly id: number;
  readonly token: number;
}
interface CutoverRow {
  readonly id: string;
  readonly kind: CutoverKind;
  readonly state: CutoverState;
  readonly holder: string;
  readonly held_since: Date;
  readonly token: string;
  readonly marker: string;
  readonly history: string | null;
  readonly ord: string | null;
  readonly idx: string | null;
  readonly pause_limit_ms: number;
  readonly pause_ms: number | null;
  readonly abort_asked_at: Date | null;
  readonly error_code: string | null;
  readonly error_message: string | null;
  readonly started_at: Date;
  readonly finished_at: Date | null;
}
interface StepRow {
  readonly step: CutoverState;
  readonly began_at: Date;
  readonly ms: number | null;
  readonly details: Readonly<Record<string, unknown>>;
}

const columns = `id, kind, state, holder, held_since, token, marker, history, ord, idx, pause_limit_ms, pause_ms, abort_asked_at,
  error_code, error_message, started_at, finished_at`;

/** The unfinished one, else the newest. */
export async function readLast(connection: Connection, place: RoutePlace): Promise<CutoverStory | null> {
  const [row] = await connection.rows<CutoverRow>(
    `SELECT ${columns} FROM tailrace.cutover WHERE pipeline = $1 AND group_id = $2 ORDER BY finished_at IS NULL DESC, id DESC LIMIT 1`,
    [place.pipeline, place.group],
  );
  return row === undefined ? null : { ...recordOf(row), steps: await readSteps(connection, row.id) };
}

export async function insertCutover(
  connection: Connection,
  place: RoutePlace,
  cutover: { readonly kind: CutoverKind; readonly marker: MarkerId; readonly pauseLimitMs: number; readonly holder: string },
): Promise<{ readonly held: Held; readonly record: CutoverRecord }> {
  const [row] = await connection.rows<CutoverRow>(
    `WITH c AS (INSERT INTO tailrace.cutover (pipeline, group_id, kind, state, holder, marker, pause_limit_ms)
                VALUES ($1, $2, $3, 'preparing', $4, $5, $6) RETURNING ${columns}),
          s AS (INSERT INTO tailrace.cutover_step (cutover_id, ordinal, step) SELECT id, 1, state FROM c)
     SELECT ${columns} FROM c`,
    [place.pipeline, place.group, cutover.kind, cutover.holder, cutover.marker, cutover.pauseLimitMs],
  );
  if (row === undefined) throw new TailraceError("internal", { what: "a cutover was inserted and is not there" });
  return { held: heldOf(row), record: recordOf(row) };
}

/** Makes an unfinished cutover ours. Waits for a transaction of the last holder that has touched the row. */
export async function takeUnfinished(
  connection: Connection,
  place: RoutePlace,
  holder: string,
): Promise<{ readonly held: Held; readonly record: CutoverRecord } | null> {
  const [row] = await connection.rows<CutoverRow>(
    `UPDATE tailrace.cutover SET token = token + 1, holder = $3, held_since = now()
     WHERE pipeline = $1 AND group_id = $2 AND finished_at IS NULL RETURNING ${columns}`,
    [place.pipeline, place.group, holder],
  );
  return row === undefined ? null : { held: heldOf(row), record: recordOf(row) };
}

/** Answers no row when the holder was replaced, or the state is another one. */
export function moveQuery(held: Held, from: CutoverState, to: CutoverState, details: MoveDetails): Query {
  return {
    name: "tailrace_cutover_move",
    text: `WITH c AS (
       UPDATE tailrace.cutover SET state = $4, history = coalesce($5::bigint, history), ord = coalesce($6::bigint, ord), idx = coalesce($7::bigint, idx),
         pause_ms = coalesce($8::float8, pause_ms), error_code = coalesce(error_code, $9), error_message = coalesce(error_message, $10),
         finished_at = CASE WHEN $11 THEN clock_timestamp() END
       WHERE id = $1 AND token = $2 AND state = $3 RETURNING ${columns}),
     ended AS (UPDATE tailrace.cutover_step SET ended_at = clock_timestamp(), details = details || $12::jsonb
       WHERE cutover_id = (SELECT id FROM c) AND ended_at IS NULL RETURNING ordinal),
     began AS (INSERT INTO tailrace.cutover_step (cutover_id, ordinal, step, ended_at)
       SELECT c.id, coalesce((SELECT max(ordinal) FROM ended), 0) + 1, c.state, CASE WHEN $11 THEN clock_timestamp() END FROM c)
     SELECT ${columns} FROM c`,
    values: [
      held.id,
      held.token,
      from,
      to,
      details.position?.history ?? null,
      details.position?.order ?? null,
      details.position?.index ?? null,
      details.pauseMs ?? null,
      details.error?.code ?? null,
      details.error?.message ?? null,
      isFinished(to),
      JSON.stringify(details.step ?? {}),
    ],
  };
}

export async function moveCutover(
  connection: Connection,
  { held, from, to }: { readonly held: Held; readonly from: CutoverState; readonly to: CutoverState },
  details: MoveDetails,
): Promise<CutoverRecord> {
  const { rows } = await connection.query<CutoverRow>(moveQuery(held, from, to, details));
  const [row] = rows;
  if (row === undefined) throw await takenOver(connection, held, from);
  return recordOf(row);
}

export async function takenOver(connection: Connection, held: Held, from: CutoverState): Promise<TailraceError> {
  const [row] = await connection.rows<CutoverRow>(`SELECT ${columns} FROM tailrace.cutover WHERE id = $1`, [held.id]);
  return new TailraceError("cutover.taken-over", {
    what: row === undefined ? "The cutover is no longer there" : `The cutover is '${row.state}' and held by ${row.holder}`,
    where: { cutover: held.id, expected: from },
  });
}

/** Rejects once somebody else holds it. */
export async function assertHeld(connection: Connection, held: Held, state: CutoverState): Promise<void> {
  const rows = await connection.rows("SELECT FROM tailrace.cutover WHERE id = $1 AND token = $2", [held.id, held.token]);
  if (rows.length === 0) throw await takenOver(connection, held, state);
}

export async function readAbortAsked(connection: Connection, held: Held): Promise<boolean> {
  const [row] = await connection.rows<{ asked: boolean }>(
    "SELECT abort_asked_at IS NOT NULL AS asked FROM tailrace.cutover WHERE id = $1",
    [held.id],
  );
  return row?.asked === true;
}

/** Too late once the switch may have been sent. */
export async function markAbort(connection: Connection, place: RoutePlace): Promise<boolean> {
  const result = await connection.query({
    text: `UPDATE tailrace.cutover SET abort_asked_at = coalesce(abort_asked_at, now())
           WHERE pipeline = $1 AND group_id = $2 AND finished_at IS NULL AND state <> 'switched'`,
    values: [place.pipeline, place.group],
  });
  return (result.rowCount ?? 0) > 0;
}

async function readSteps(connection: Connection, id: string): Promise<readonly CutoverStepRecord[]> {
  const rows = await connection.rows<StepRow>(
    `SELECT step, began_at, extract(epoch FROM ended_at - began_at)::float8 * 1000 AS ms, details
     FROM tailrace.cutover_step WHERE cutover_id = $1 ORDER BY ordinal`,
    [id],
  );
  return rows.map(({ step, began_at, ms, details }) => ({ step, beganAt: began_at.toISOString(), ms, details }));
}

const heldOf = (row: CutoverRow): Held => ({ id: Number(row.id), token: Number(row.token) });

const recordOf = (row: CutoverRow): CutoverRecord => ({
  id: Number(row.id),
  kind: row.kind,
  state: row.state,
  holder: row.holder,
  heldSince: row.held_since.toISOString(),
  marker: markerId(row.marker),
  position: row.ord === null ? null : position(Number(row.history), Number(row.ord), Number(row.idx)),
  pauseLimitMs: row.pause_limit_ms,
  pauseMs: row.pause_ms,
  abortAsked: row.abort_asked_at !== null,
  error: row.error_code === null ? null : { code: row.error_code, message: row.error_message ?? "" },
  startedAt: row.started_at.toISOString(),
  finishedAt: row.finished_at?.toISOString() ?? null,
});
