/** A replication slot as the server sees it, and how it is let go. */
import { TailraceError } from "../../../core/errors.js";
import type { Connection } from "../connection.js";
import { type Lsn, parseLsn } from "./lsn.js";

export interface SlotFigures {
  /** End of the server's log. */
  readonly end: Lsn;
  readonly nowMs: number;
  readonly slot: {
    readonly confirmed: Lsn;
    /** Bytes of log that are kept for it. */
    readonly keptBytes: number;
    /** Bytes that may still be written before the server takes the log away from it; null: it never does. */
    readonly safeBytes: number | null;
    readonly isLost: boolean;
  } | null;
}

interface SlotRow {
  readonly end: string;
  readonly now_ms: number;
  readonly confirmed: string | null;
  readonly kept: string | null;
  readonly safe: string | null;
  readonly status: string | null;
}

export async function readSlot(connection: Connection, name: string): Promise<SlotFigures> {
  const [row] = await connection.rows<SlotRow>(
    `SELECT pg_current_wal_lsn() AS end, extract(epoch FROM clock_timestamp())::float8 * 1000 AS now_ms, s.confirmed_flush_lsn AS confirmed,
       pg_wal_lsn_diff(pg_current_wal_lsn(), s.restart_lsn)::bigint AS kept, s.safe_wal_size AS safe, s.wal_status AS status
     FROM (SELECT) AS one LEFT JOIN pg_replication_slots AS s ON s.slot_name = $1 AND s.database = current_database() AND s.plugin = 'pgoutput'`,
    [name],
  );
  if (row === undefined) throw new TailraceError("internal", { what: "a question with one answer has none" });
  const { end, now_ms: nowMs, confirmed, kept, safe, status } = row;
  const found = status === null && confirmed === null ? null : { confirmed, kept, safe, status };
  return {
    end: parseLsn(end),
    nowMs,
    slot:
      found === null
        ? null
        : {
            confirmed: parseLsn(found.confirmed ?? "0/0"),
            keptBytes: Number(found.kept ?? 0),
            safeBytes: found.safe === null ? null : Math.max(0, Number(found.safe)),
            isLost: found.status === "lost" || found.confirmed === null,
          },
  };
}

/** Ends the session that reads from it, if it is one of ours. */
export async function freeSlot(connection: Connection, name: string, applicationName: string): Promise<void> {
  const rows = await connection.rows<{ pid: number; application: string | null }>(
    `SELECT s.active_pid AS pid, a.application_name AS application FROM pg_replication_slots AS s
     LEFT JOIN pg_stat_activity AS a ON a.pid = s.active_pid WHERE s.slot_name = $1 AND s.active_pid IS NOT NULL`,
    [name],
  );
  for (const { pid, application } of rows) {
    if (application !== null && application !== "" && application !== applicationName) {
      throw new TailraceError("source.locked", {
        what: "Another program reads from the replication slot",
        where: { slot: name, application },
      });
    }
    await connection.query({ text: "SELECT pg_terminate_backend($1, 5000)", values: [pid] });
  }
}

/** Idempotent. */
export async function dropSlot(connection: Connection, name: string, applicationName: string): Promise<boolean> {
  await freeSlot(connection, name, applicationName);
  const { rowCount } = await connection.query({
    text: "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = $1 AND database = current_database()",
    values: [name],
  });
  return (rowCount ?? 0) > 0;
}
