/**
 * Opens and closes the way back: the publication of a group's tables and the slot that keeps PostgreSQL's log for it.
 *
 * Promises: everything that is committed after `open` has returned will be told, and nothing from before its slot was made; what was made is stored
 * before it is made, so a crash leaves nothing that the next `open` or `close` does not find. The publication comes before the slot: what the slot
 * reads is read with the publications that there were at that moment.
 */
import { createHash, randomUUID } from "node:crypto";
import { isDeepStrictEqual } from "node:util";
import type { TablePlan } from "../../../core/contracts/plan.js";
import { TailraceError } from "../../../core/errors.js";
import type { Connection } from "../connection.js";
import { qualified, quoteName } from "../quote.js";
import { readStoredPlan } from "../stored-plan.js";
import { identitiesToChange, logWholeRows, putBack } from "./identity.js";
import { type Lsn, parseLsn } from "./lsn.js";
import type { WayPlace } from "./marker.js";
import { type OpenedColumns, stateNames } from "./relations.js";
import { dropSlot, readSlot } from "./slot.js";
import { beginOpening, endOpening, markClosed, markClosing, readWayState } from "./way-state.js";

/** A slot waits for every transaction that is running when it is made. */
const slotWaitMs = 20_000;
const failoverSince = 170_000;

/** Where it begins. Idempotent: a way back that is open stays as it is, unless the plan is another one by now. */
export async function openWayBack(connection: Connection, place: WayPlace): Promise<Lsn> {
  const tables = (await readStoredPlan(connection, place.pipeline))?.tables.filter(({ group }) => group === place.group) ?? [];
  if (tables.length === 0)
    throw new TailraceError("plan.missing", { what: "The target holds no plan of this pipeline", where: { ...place } });
  const columns = await columnsOf(connection, tables);
  const before = await readWayState(connection, place);
  if (before !== null && before.start !== null && isDeepStrictEqual(Object.fromEntries(before.columns), columns)) {
    const { slot } = await readSlot(connection, before.slot);
    if (slot !== null && !slot.isLost) return before.start;
  }
  await refuseShortLog(connection);
  const slot = await slotName(connection, place);
  const publication = publicationName(place);
  const identities = await identitiesToChange(connection, tables);
  await beginOpening(connection, place, { slot, publication, opening: randomUUID(), columns, identities });
  await dropSlot(connection, slot, wayName(place));
  await logWholeRows(connection, Object.keys(identities));
  await connection.query(`DROP PUBLICATION IF EXISTS ${quoteName(publication)}`);
  const published = [...stateNames.map((name) => `tailrace.${name}`), ...tables.map(({ target }) => qualified(target))];
  await connection.query(
    `CREATE PUBLICATION ${quoteName(publication)} FOR TABLE ${published.join(", ")}
     WITH (publish = 'insert, update, delete, truncate', publish_via_partition_root = true)`,
  );
  const start = await makeSlot(connection, slot);
  await endOpening(connection, place, start);
  return start;
}

/** Idempotent; answers what it removed. Whoever reads from the slot is ended. */
export async function closeWayBack(connection: Connection, place: WayPlace): Promise<readonly string[]> {
  const state = await readWayState(connection, place);
  if (state === null) return [];
  // First of all: whoever reads from the slot is to find that it was closed, not that it was lost.
  await markClosing(connection, place);
  const removed: string[] = [];
  if (await dropSlot(connection, state.slot, wayName(place))) removed.push(`replication slot ${state.slot}`);
  const { rows } = await connection.query({ text: "SELECT FROM pg_publication WHERE pubname = $1", values: [state.publication] });
  if (rows.length > 0) {
    await connection.query(`DROP PUBLICATION ${quoteName(state.publication)}`);
    removed.push(`publication ${state.publication}`);
  }
  removed.push(...(await putBack(connection, state.identities)));
  await markClosed(connection, place);
  return removed;
}

/** Sessions of the way back are recognised by it. */
export const wayName = ({ pipeline, group }: WayPlace): string =>
  `tailrace-back/${pipeline.replaceAll(/[^ -~]/g, "?").slice(0, 40)}/${group}`.slice(0, 63);

/** A publication belongs to the database. */
const publicationName = ({ pipeline, group }: WayPlace): string => `tailrace_${pipeline}_${group}`.slice(0, 63);

/** Slots are the whole server's, and know few letters. */
async function slotName(connection: Connection, { pipeline, group }: WayPlace): Promise<string> {
  const [row] = await connection.rows<{ database: string }>("SELECT current_database() AS database");
  const unique = createHash("sha256")
    .update(JSON.stringify([row?.database, pipeline, group]))
    .digest("hex")
    .slice(0, 10);
  return `tailrace_${pipeline
    .toLowerCase()
    .replaceAll(/[^a-z0-9_]/g, "_")
    .slice(0, 36)}_${unique}`;
}

async function refuseShortLog(connection: Connection): Promise<void> {
  const [row] = await connection.rows<{ level: string }>("SELECT current_setting('wal_level') AS level");
  if (row?.level === "logical") return;
  throw new TailraceError("source.no-logical-log", { what: `PostgreSQL's wal_level is '${row?.level ?? "?"}'` });
}

async function makeSlot(connection: Connection, name: string): Promise<Lsn> {
  const [server] = await connection.rows<{ version: number }>("SELECT current_setting('server_version_num')::int AS version");
  // On a server that can, a standby that takes over has the slot, too.
  const options = (server?.version ?? 0) >= failoverSince ? "false, false, true" : "false, false";
  await connection.query(`SET statement_timeout = ${slotWaitMs}`);
  try {
    const [made] = await connection.rows<{ lsn: string }>(
      `SELECT lsn FROM pg_create_logical_replication_slot($1, 'pgoutput', ${options})`,
      [name],
    );
    if (made === undefined) throw new TailraceError("internal", { what: "a slot was made and nothing answered" });
    return parseLsn(made.lsn);
  } finally {
    if (connection.lost() === null) await connection.query("SET statement_timeout = 0");
  }
}

async function columnsOf(connection: Connection, tables: readonly TablePlan[]): Promise<Readonly<Record<string, OpenedColumns>>> {
  const rows = await connection.rows<{ schema: string; name: string; columns: OpenedColumns }>(
    `SELECT n.nspname AS schema, c.relname AS name,
       json_agg(json_build_object('name', a.attname, 'type', a.atttypid::bigint, 'modifier', a.atttypmod) ORDER BY a.attnum) AS columns
     FROM unnest($1::text[], $2::text[]) AS t (schema, name)
     JOIN pg_namespace AS n ON n.nspname = t.schema JOIN pg_class AS c ON c.relnamespace = n.oid AND c.relname = t.name
     JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
     GROUP BY 1, 2`,
    [tables.map(({ target }) => target.schema), tables.map(({ target }) => target.name)],
  );
  const found = new Map(rows.map((row) => [qualified(row), row.columns]));
  return Object.fromEntries(
    tables.map(({ source, target }) => {
      const columns = found.get(qualified(target));
      if (columns === undefined)
        throw new TailraceError("target.object-missing", { what: "A target table is gone", where: { table: source } });
      return [source, columns];
    }),
  );
}
