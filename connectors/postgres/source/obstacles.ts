/** What keeps the way back from being opened, found out without opening it. */
import type { Connection } from "../connection.js";
import type { WayPlace } from "./marker.js";
import { readWayState } from "./way-state.js";

interface Facts {
  readonly level: string;
  readonly slots: number;
  readonly slots_max: number;
  readonly senders_max: number;
  readonly may_replicate: boolean;
  readonly may_create: boolean;
}

export async function wayBackObstacles(connection: Connection, place: WayPlace): Promise<readonly string[]> {
  const [facts] = await connection.rows<Facts>(
    // Managed servers give their administrators a role of their own instead of the attribute.
    `SELECT current_setting('wal_level') AS level, (SELECT count(*) FROM pg_replication_slots)::int AS slots,
       current_setting('max_replication_slots')::int AS slots_max, current_setting('max_wal_senders')::int AS senders_max,
       EXISTS (SELECT FROM pg_roles AS r WHERE (r.rolsuper OR r.rolreplication OR r.rolname IN ('rds_replication', 'azure_pg_admin'))
               AND pg_has_role(current_user, r.oid, 'MEMBER')) AS may_replicate,
       has_database_privilege(current_database(), 'CREATE') AS may_create`,
  );
  if (facts === undefined) return ["PostgreSQL does not say how it is set"];
  const isOpen = ((await readWayState(connection, place))?.start ?? null) !== null;
  const { level, slots, slots_max: most, senders_max: senders, may_replicate: mayReplicate, may_create: mayCreate } = facts;
  return [
    ...(level === "logical" ? [] : [`wal_level is '${level}' and must be 'logical' (a restart of PostgreSQL)`]),
    ...(mayReplicate ? [] : ["our role lacks REPLICATION (`ALTER ROLE ... REPLICATION`)"]),
    ...(mayCreate ? [] : ["our role may not create a publication (`GRANT CREATE ON DATABASE ...`)"]),
    ...(isOpen || slots < most ? [] : [`all ${most} replication slots are in use (max_replication_slots)`]),
    ...(senders > 0 ? [] : ["max_wal_senders is 0"]),
  ];
}
