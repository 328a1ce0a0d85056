/**
 * Whether the source still is what the capture was installed for. Run in every tail in which `schema_version` moved (VACUUM and ANALYZE
 * move it too, so texts are compared before anything is said).
 */
import { TailraceError } from "../../core/errors.js";
import type { GroupId, PipelineId } from "../../core/vocabulary/ids.js";
import type { Database } from "./database.js";
import {
  digest,
  type InstalledTable,
  isInstalled,
  lostGroups,
  readInstalled,
  readState,
  refuseOtherPipeline,
  type StoredState,
} from "./installed.js";
import { SchemaLook } from "./schema-look.js";
import { readTableFacts } from "./table-facts.js";

export interface Capture {
  readonly state: StoredState;
  readonly tables: readonly InstalledTable[];
}

/** Legal inside a read transaction. Names the table that changed. */
export function checkCapture(
  database: Database,
  who: { readonly pipeline: PipelineId; readonly group: GroupId; readonly path: string },
): Capture {
  if (!isInstalled(database)) {
    throw new TailraceError("source.not-applied", { what: "The source has no capture objects", where: { path: who.path } });
  }
  const state = readState(database, who.group);
  if (state === null) {
    throw new TailraceError("source.log-damaged", {
      what: "The row of this group in _cdc_state is gone",
      where: { path: who.path, group: who.group },
    });
  }
  refuseOtherPipeline(state, who.pipeline, who.path);
  const [lost] = lostGroups(database);
  if (lost !== undefined) {
    throw new TailraceError("source.log-damaged", {
      what: "The row of a group in _cdc_state is gone",
      where: { path: who.path, group: lost },
    });
  }
  const tables = readInstalled(database);
  const look = new SchemaLook(database);
  for (const table of tables) {
    const why = table.state === "captured" ? whatChanged(database, look, table) : null;
    if (why !== null) throw changed(table.description.table, why);
  }
  const known = new Set(tables.map((t) => t.description.table.toLowerCase()));
  const stranger = ordinaryTables(database).find((name) => !known.has(name.toLowerCase()));
  if (stranger !== undefined) throw changed(stranger, "was created after the capture was installed");
  return { state, tables };
}

/** null: all is as it was installed. */
export function whatChanged(database: Database, look: SchemaLook, table: InstalledTable): string | null {
  const facts = readTableFacts(database, look, table.description.table);
  if (facts === null) return "was dropped or renamed";
  const present = look.ownTriggers(table.number);
  for (const [name, hash] of Object.entries(table.triggers)) {
    const sql = present.get(name);
    if (sql === undefined) return `was rebuilt, or its trigger ${name} was dropped`;
    if (digest(sql) !== hash) return `was renamed, or its trigger ${name} was altered`;
  }
  if (digest(JSON.stringify(facts)) !== table.facts) return "was altered, or got a new unique index, trigger or referring table";
  return isCutOff(database, look, table) ? "got a trigger that keeps ours from running (RAISE(IGNORE))" : null;
}

/** The youngest AFTER trigger runs first, and RAISE(IGNORE) in it ends the others. */
function isCutOff(database: Database, look: SchemaLook, table: InstalledTable): boolean {
  const silencers = look.triggersOn(table.description.table).filter((t) => /\braise\s*\(\s*ignore/i.test(t.sql));
  if (silencers.length === 0) return false;
  const ours = database
    .prepare("SELECT min(rowid) FROM sqlite_master WHERE type = 'trigger' AND name IN (?, ?, ?)")
    .pluck()
    .get(...["i", "u", "d"].map((kind) => `_cdc_${table.number}_${kind}`)) as number;
  return silencers.some((t) => t.age > ours);
}

/** Tables of the application; virtual ones and their shadows too. */
export function ordinaryTables(database: Database): readonly string[] {
  return database
    .prepare(
      `SELECT name FROM sqlite_master WHERE type = 'table'
       AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' AND name NOT LIKE '\\_cdc\\_%' ESCAPE '\\' ORDER BY rowid`,
    )
    .pluck()
    .all() as string[];
}

const changed = (table: string, how: string): TailraceError =>
  new TailraceError("source.schema-changed", { what: `Table '${table}' ${how}`, where: { table } });
