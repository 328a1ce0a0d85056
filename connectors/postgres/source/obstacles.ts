/** What keeps the way back from being opened, or may take it away once it is, found out without opening it. */
import type { WayBackFinding } from "../../../core/contracts/cutover.js";
import type { TablePlan } from "../../../core/contracts/plan.js";
import type { Connection } from "../connection.js";
import { identitiesToChange } from "./identity.js";
import type { WayPlace } from "./marker.js";
import { readSlot } from "./slot.js";
import { readWayState, type WayState } from "./way-state.js";

interface Facts {
  readonly level: string;
  readonly slots: number;
  readonly slots_max: number;
  readonly senders: number;
  readonly senders_max: number;
  readonly may_replicate: boolean;
  readonly may_create: boolean;
  readonly prepared: boolean;
  /** In MiB; -1: no limit. */
  readonly keep: number;
  readonly foreign: readonly string[] | null;
}
type Name = WayBackFinding["name"];

export async function wayBackFindings(
  connection: Connection,
  place: WayPlace,
  { tables, keptBytesMax }: { readonly tables: readonly TablePlan[]; readonly keptBytesMax: number },
): Promise<readonly WayBackFinding[]> {
  const facts = await factsOf(connection, tables);
  const state = facts.prepared ? await readWayState(connection, place) : null;
  const isOpen = (state?.start ?? null) !== null;
  const judged = judge(facts, isOpen);
  return [
    ...judged,
    ...(await identityFinding(connection, tables)),
    keptLog(facts),
    ...(isOpen && state !== null ? [await slotFinding(connection, state, keptBytesMax)] : []),
  ];
}

export async function wayBackObstacles(connection: Connection, place: WayPlace): Promise<readonly string[]> {
  const findings = await wayBackFindings(connection, place, { tables: [], keptBytesMax: Number.POSITIVE_INFINITY });
  return findings.filter(({ severity }) => severity === "error").map(({ what, fix }) => `${what} (${fix})`);
}

async function factsOf(connection: Connection, tables: readonly TablePlan[]): Promise<Facts> {
  const [facts] = await connection.rows<Facts & Record<string, unknown>>(
    // Managed servers give their administrators a role of their own instead of the attribute.
    `SELECT current_setting('wal_level') AS level, (SELECT count(*) FROM pg_replication_slots)::int AS slots,
       current_setting('max_replication_slots')::int AS slots_max, current_setting('max_wal_senders')::int AS senders_max,
       (SELECT count(*) FROM pg_stat_replication)::int AS senders,
       EXISTS (SELECT FROM pg_roles AS r WHERE (r.rolsuper OR r.rolreplication OR r.rolname IN ('rds_replication', 'azure_pg_admin'))
               AND pg_has_role(current_user, r.oid, 'MEMBER')) AS may_replicate,
       has_database_privilege(current_database(), 'CREATE') AS may_create,
       to_regclass('tailrace.way_back') IS NOT NULL AS prepared,
       (SELECT setting::int FROM pg_settings WHERE name = 'max_slot_wal_keep_size') AS keep,
       (SELECT array_agg(format('%I.%I', n.nspname, c.relname) ORDER BY 1) FROM unnest($1::text[], $2::text[]) AS t (schema, name)
        JOIN pg_namespace AS n ON n.nspname = t.schema JOIN pg_class AS c ON c.relnamespace = n.oid AND c.relname = t.name
        WHERE NOT pg_has_role(current_user, c.relowner, 'USAGE')) AS foreign`,
    [tables.map(({ target }) => target.schema), tables.map(({ target }) => target.name)],
  );
  if (facts === undefined) throw new Error("a question with one answer has none");
  return facts;
}

function judge(facts: Facts, isOpen: boolean): readonly WayBackFinding[] {
  const { level, slots, slots_max: slotsMax, senders, senders_max: sendersMax, may_replicate: mayReplicate, may_create: mayCreate } = facts;
  const strangers = facts.foreign ?? [];
  return [
    level === "logical"
      ? ok("wal-level", "wal_level is 'logical'")
      : bad(
          "wal-level",
          `wal_level is '${level}' and must be 'logical'`,
          "set it and start PostgreSQL again; managed servers have a switch of their own",
        ),
    isOpen || slots < slotsMax
      ? ok("slots", `${slots} of ${slotsMax} replication slots are in use`)
      : bad("slots", `all ${slotsMax} replication slots are in use`, "raise max_replication_slots, or drop those that nobody reads from"),
    isOpen || senders < sendersMax
      ? ok("senders", `${senders} of ${sendersMax} WAL senders are in use`)
      : bad("senders", `all ${sendersMax} WAL senders are in use`, "raise max_wal_senders"),
    mayReplicate ? ok("role", "our role may replicate") : bad("role", "our role lacks REPLICATION", "`ALTER ROLE ... REPLICATION`"),
    mayCreate
      ? ok("publication", "our role may create a publication")
      : bad("publication", "our role may not create a publication", "`GRANT CREATE ON DATABASE ...`"),
    strangers.length === 0
      ? ok("owner", "our role owns what is to be published")
      : bad("owner", `our role does not own ${strangers.join(", ")}`, "grant it the owner's role: only an owner publishes a table"),
  ];
}

/** Costs log for every update for as long as the way back is open, so it is said beforehand. */
async function identityFinding(connection: Connection, tables: readonly TablePlan[]): Promise<readonly WayBackFinding[]> {
  if (tables.length === 0) return [];
  const relations = Object.keys(await identitiesToChange(connection, tables));
  if (relations.length === 0) return [ok("identity", "no table needs another REPLICA IDENTITY")];
  return [
    {
      name: "identity",
      severity: "info",
      what: `${relations.join(", ")} will have REPLICA IDENTITY FULL while the way back is open: each update logs the whole old row`,
      fix: "nothing; it is put back when the way back is closed",
    },
  ];
}

function keptLog({ keep }: Facts): WayBackFinding {
  if (keep >= 0) return ok("kept-log", `PostgreSQL keeps at most ${keep} MiB of log for a slot (max_slot_wal_keep_size)`);
  return {
    name: "kept-log",
    severity: "info",
    what: "max_slot_wal_keep_size has no limit: while the file is away, log that waits for it may fill PostgreSQL's disk",
    fix: "set it to what the disk can spare; what is taken away then shuts the way back",
  };
}

async function slotFinding(connection: Connection, { slot }: WayState, keptBytesMax: number): Promise<WayBackFinding> {
  const figures = (await readSlot(connection, slot)).slot;
  const fix =
    "`tailrace cutover reopen` opens the way back anew and tells the file what it has missed; `tailrace cutover finish` gives it up";
  if (figures === null) return bad("slot", `the replication slot ${slot} is gone`, fix);
  if (figures.isLost) return bad("slot", `PostgreSQL has taken away log that the replication slot ${slot} needs`, fix);
  const { keptBytes, safeBytes } = figures;
  const what = `the slot ${slot} keeps ${mebibytes(keptBytes)} MiB of log`;
  const start = "see that `tailrace run reverse` runs and what `tailrace status` says of it";
  if (safeBytes !== null && safeBytes <= keptBytes) {
    const more = `${what}, and is lost after another ${mebibytes(safeBytes)}`;
    return { name: "slot", severity: "warn", what: more, fix: `${start}, or raise max_slot_wal_keep_size` };
  }
  if (keptBytes <= keptBytesMax) return ok("slot", what);
  return { name: "slot", severity: "warn", what: `${what}, more than source.log.maxBytes (${mebibytes(keptBytesMax)})`, fix: start };
}

const mebibytes = (bytes: number): string => (bytes / 1024 / 1024).toFixed(1);
const ok = (name: Name, what: string): WayBackFinding => ({ name, severity: "ok", what, fix: "" });
const bad = (name: Name, what: string, fix: string): WayBackFinding => ({ name, severity: "error", what, fix });
