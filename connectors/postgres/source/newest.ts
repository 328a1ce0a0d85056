/** Where PostgreSQL's log ends: the newest position that could come back. */
import type { Secret } from "../../../core/secret.js";
import { type Position, position } from "../../../core/vocabulary/position.js";
import { Connection } from "../connection.js";
import { parseConnectionUrl } from "../connection-url.js";
import { parseLsn } from "./lsn.js";
import { withSourceErrors } from "./source-errors.js";

/** `history`: of the stream. On a connection of its own. */
export async function newestPosition(url: Secret, history: number, signal: AbortSignal): Promise<Position> {
  signal.throwIfAborted();
  return await withSourceErrors(async () => {
    const settings = parseConnectionUrl(url.reveal());
    await using connection = await Connection.open(settings, { applicationName: "tailrace offsets", pipelined: false });
    const [row] = await connection.rows<{ end: string }>("SELECT pg_current_wal_insert_lsn() AS end");
    return position(history, parseLsn(row?.end ?? ""));
  });
}
