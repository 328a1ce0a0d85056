/**
 * What is installed in a source file: `_cdc_tables` (a row per table that was ever captured, and one per table that was knowingly left out)
 * and `_cdc_state` (a row per group). A table keeps its number for ever: rows of the log speak of it.
 */
import { createHash } from "node:crypto";
import type { CapturedTable } from "../../core/capture/capture-log.js";
import { TailraceError } from "../../core/errors.js";
import { groupId, type GroupId, type PipelineId, schemaVersion, tableId } from "../../core/vocabulary/ids.js";
import type { ColumnDescription, TableDescription } from "../../core/vocabulary/table.js";
import type { Database } from "./database.js";

export interface InstalledTable extends Omit<CapturedTable, "state"> {
  readonly state: "captured" | "retired" | "left-out";
  /** Digest of what the triggers were made from (TableFacts). */
  readonly facts: string;
  /** Trigger name to digest of its text. */
  readonly triggers: Readonly<Record<string, string>>;
}
export interface StoredState {
  readonly pipeline: string;
  readonly history: number;
  /** `history:order:index@epoch`, or null. */
  readonly acknowledged: string | null;
  /** A fence of the group that is kept: only a person opens it. */
  readonly isFencedOff: boolean;
}

export const digest = (text: string): string => createHash("sha256").update(text, "utf8").digest("hex").slice(0, 32);

export function isInstalled(database: Database): boolean {
  const names = "('_cdc_log', '_cdc_tables', '_cdc_state')";
  return database.prepare(`SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name IN ${names}`).pluck().get() === 3;
}

export function readInstalled(database: Database): readonly InstalledTable[] {
  const rows = database
    .prepare("SELECT t, name, state, grp, schema, columns, key, facts, triggers FROM _cdc_tables ORDER BY t")
    .raw()
    .all();
  return rows.map((row) => parseRow(row as unknown[]));
}

/** null: there is no row of this group. */
export function readState(database: Database, group: GroupId): StoredState | null {
  const row = database.prepare("SELECT pipeline, history, acknowledged, fence_kept FROM _cdc_state WHERE id = ?").raw().get(group) as
    | [string, number, string | null, number | null]
    | undefined;
  return row === undefined ? null : { pipeline: row[0], history: row[1], acknowledged: row[2], isFencedOff: row[3] === 1 };
}

/** Groups of captured tables whose row of state is gone: their fence would not hold. */
export function lostGroups(database: Database): readonly number[] {
  return database
    .prepare("SELECT DISTINCT grp FROM _cdc_tables WHERE state = 'captured' AND grp NOT IN (SELECT id FROM _cdc_state) ORDER BY grp")
    .pluck()
    .all() as number[];
}

/** True while the fence of any group is kept. */
export const isAnyFencedOff = (database: Database): boolean =>
  database.prepare("SELECT count(*) FROM _cdc_state WHERE fence_kept = 1").pluck().get() !== 0;

/** Files that were captured by an earlier version have none until the next `apply`. */
export const hasInstallStamp = (database: Database): boolean =>
  (database.pragma("table_info(_cdc_state)") as { name: string }[]).some(({ name }) => name === "installed");

/** Random text made with our row of state: what tells two pasts apart before either has a row in its log. "" when there is none. */
export function readInstallStamp(database: Database, group: GroupId): string {
  if (!hasInstallStamp(database)) return "";
  const stamp: unknown = database.prepare("SELECT installed FROM _cdc_state WHERE id = ?").pluck().get(group);
  return typeof stamp === "string" ? stamp : "";
}

export function refuseOtherPipeline(state: StoredState, pipeline: PipelineId, path: string): void {
  if (state.pipeline === pipeline) return;
  throw new TailraceError("source.other-pipeline", {
    what: `Pipeline '${state.pipeline}' already captures this file`,
    where: { path, pipeline: state.pipeline },
  });
}

export const highestSchema = (tables: readonly InstalledTable[]): number =>
  tables.reduce((highest, table) => Math.max(highest, table.description.schema), 0);

function parseRow(row: readonly unknown[]): InstalledTable {
  const [number, name, state, group, schema, columns, key, facts, triggers] = row;
  try {
    const description: TableDescription = {
      table: tableId(String(name)),
      group: groupId(Number(group)),
      schema: schemaVersion(Number(schema)),
      columns: JSON.parse(String(columns)) as ColumnDescription[],
      key: JSON.parse(String(key)) as [number, ...number[]],
    };
    if (state !== "captured" && state !== "retired" && state !== "left-out") throw new Error(`state '${String(state)}'`);
    return {
      number: Number(number),
      description,
      state,
      facts: String(facts),
      triggers: JSON.parse(String(triggers)) as Record<string, string>,
    };
  } catch (cause) {
    throw new TailraceError("source.log-damaged", {
      what: "A row of _cdc_tables was changed by somebody",
      where: { table: String(name) },
      cause,
    });
  }
}
