/**
 * Who still needs rows of the capture log that the target has committed. Kept in the group's row of `_cdc_state`, each with the moment at which it
 * ends by itself; the pruner looks under the write lock, so that no row goes that was held before.
 */
import type { HoldName } from "../../core/contracts/source.js";
import type { GroupId } from "../../core/vocabulary/ids.js";
import { formatPosition, parsePosition, type Position } from "../../core/vocabulary/position.js";
import type { Database } from "./database.js";

interface Hold {
  readonly name: string;
  readonly from: string;
  /** Julian day, by the clock of the source's machine. */
  readonly until: number;
}

const msPerDay = 86_400_000;

/** Legal in a write transaction. */
export function setHold(database: Database, group: GroupId, hold: { name: HoldName; from: Position | null; forMs: number }): void {
  // A capture that was installed before there were holds.
  if (!hasColumn(database, "holds")) database.exec("ALTER TABLE _cdc_state ADD COLUMN holds");
  const now = nowOf(database);
  const others = readHolds(database, group).filter(({ name, until }) => name !== hold.name && until > now);
  const ours = hold.from === null ? [] : [{ name: hold.name, from: formatPosition(hold.from), until: now + hold.forMs / msPerDay }];
  database.prepare("UPDATE _cdc_state SET holds = ? WHERE id = ?").run(JSON.stringify([...others, ...ours]), group);
}

/** The lowest order that somebody holds in this history; null: nobody does. */
export function heldFrom(database: Database, group: GroupId, history: number): number | null {
  if (!hasColumn(database, "holds")) return null;
  const now = nowOf(database);
  const held = readHolds(database, group).filter(({ until }) => until > now);
  const orders = held.map(({ from }) => parsePosition(from)).filter((from) => from.history === history);
  return orders.length === 0 ? null : Math.min(...orders.map(({ order }) => order));
}

/** From the marker of a fence that is leased: whatever follows it proves that nothing was written past it. Null: there is none. */
export function fencedFrom(database: Database): number | null {
  if (!hasColumn(database, "fence_seq")) return null;
  const leased = "fence_marker IS NOT NULL AND fence_kept IS NOT 1 AND fence_until > julianday('now')";
  const seq: unknown = database.prepare(`SELECT min(fence_seq) FROM _cdc_state WHERE ${leased}`).pluck().get();
  return typeof seq === "number" ? seq : null;
}

function readHolds(database: Database, group: GroupId): readonly Hold[] {
  const text = database.prepare("SELECT holds FROM _cdc_state WHERE id = ?").pluck().get(group);
  return typeof text === "string" ? (JSON.parse(text) as Hold[]) : [];
}

const nowOf = (database: Database): number => Number(database.prepare("SELECT julianday('now')").pluck().get());

const hasColumn = (database: Database, column: "holds" | "fence_seq"): boolean =>
  database.prepare("SELECT count(*) FROM pragma_table_info('_cdc_state') WHERE name = ?").pluck().get(column) === 1;
