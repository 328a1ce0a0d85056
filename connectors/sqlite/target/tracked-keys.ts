/**
 * Which rows have come back since both sides were last known to be equal: keys without values, so that a rollback compares these rows and no others.
 *
 * Promises: while `since` is a position, every row that was changed above it and up to the applied cut is in `_cdc_changed`, written in the transaction
 * of the row itself. Whatever cannot be kept like that (more keys than are worth it, a range that was replaced) makes `since` NULL: then nobody knows, and
 * every row is read. `since` rises when somebody has proven more, never above a hold: another run may still be at work below. Whoever holds makes keys
 * known again from there on; that both sides were equal there (`proven`) is said by a proof alone.
 */
import type { HoldName } from "../../../core/contracts/source.js";
import type { GroupId, TableId } from "../../../core/vocabulary/ids.js";
import { keyFromJson, keyToJson } from "../../../core/vocabulary/key-json.js";
import { type Position, position } from "../../../core/vocabulary/position.js";
import type { Key } from "../../../core/vocabulary/value.js";
import type { Database, Statement } from "../database.js";

export const trackedTables: Readonly<Record<string, string>> = {
  _cdc_changed: "CREATE TABLE _cdc_changed (grp, source, key, ord, PRIMARY KEY (grp, source, key)) WITHOUT ROWID",
  _cdc_tracked: "CREATE TABLE _cdc_tracked (grp INTEGER PRIMARY KEY, history, since, noted, holds, proven)",
};

/** About 10 MB of the file; to read more rows one by one would take longer than to read all of most tables. */
export const trackedKeysMax = 100_000;

interface Hold {
  readonly name: string;
  readonly from: number;
  /** Julian day, by the clock of the file's machine. */
  readonly until: number;
}
export interface Tracked {
  readonly history: number;
  /** null: nobody knows which rows have changed. */
  readonly since: number | null;
  /** Both sides were equal at `since`, or above it. */
  readonly proven: boolean;
}
export interface TrackedKey {
  readonly source: string;
  readonly key: Key;
  /** As it is stored: goes on behind it. */
  readonly text: string;
  readonly order: number;
}

/** null: nothing came back yet. */
export function readTracked(database: Database, group: GroupId): Tracked | null {
  const row = database.prepare("SELECT history, since, proven FROM _cdc_tracked WHERE grp = ?").get(group) as
    | { history: number; since: number | null; proven: number }
    | undefined;
  return row === undefined ? null : { ...row, proven: row.proven === 1 };
}

export const countTracked = (database: Database, group: GroupId): number =>
  Number(database.prepare("SELECT count(*) FROM _cdc_changed WHERE grp = ?").pluck().get(group));

/** In the order of the keys, behind `after`: a key that changes meanwhile keeps its place. */
export function readTrackedKeys(
  database: Database,
  group: GroupId,
  from: { readonly above: number; readonly after: TrackedKey | null; readonly limit: number },
): readonly TrackedKey[] {
  const { above, after, limit } = from;
  const rows = database
    .prepare("SELECT source, key, ord FROM _cdc_changed WHERE grp = ? AND (source, key) > (?, ?) AND ord > ? ORDER BY source, key LIMIT ?")
    .all(group, after?.source ?? "", after?.text ?? "", above, limit) as { source: string; key: string; ord: number }[];
  return rows.map(({ source, key: text, ord: order }) => ({ source, key: keyFromJson(JSON.parse(text)), text, order }));
}

/** Of one window. Legal in its transaction. */
export class KeyTracker {
  readonly #note: Statement;
  #isTracking = false;
  #history = -1;
  #noted = 0;

  constructor(
    private readonly database: Database,
    private readonly group: GroupId,
  ) {
    this.#note = database.prepare(
      `INSERT INTO _cdc_changed (grp, source, key, ord) VALUES (?, ?, ?, ?) ON CONFLICT (grp, source, key) DO UPDATE SET ord = excluded.ord`,
    );
  }

  /**
   * The first window of a history is the first of which anybody could know. It begins with equal sides, unless something was missed before: then whoever has
   * begun to compare earlier cannot go on. `below`: nothing that this window holds lies there.
   */
  #begin(history: number, below: number): void {
    if (this.#history === history) return;
    const tracked = readTracked(this.database, this.group);
    if (tracked?.history !== history) {
      this.#forgetKeys();
      this.#set({ history, since: tracked?.history === noHistory ? below : 0, proven: tracked?.proven ?? true });
    }
    this.#history = history;
    this.#isTracking = tracked?.history !== history || tracked.since !== null;
  }

  note(source: TableId, key: Key, at: Position): void {
    this.#begin(at.history, at.order - 1);
    if (!this.#isTracking) return;
    this.#note.run(this.group, source, JSON.stringify(keyToJson(key)), at.order);
    this.#noted += 1;
  }

  /** A range was replaced: which rows of it changed, nobody says. */
  lose({ history, order }: Position): void {
    this.#begin(history, order - 1);
    if (!this.#isTracking) return;
    this.#isTracking = false;
    this.#forgetKeys();
    this.#set({ history: this.#history, since: null, proven: false });
  }

  /** Behind the last row: the window leads to `after`. */
  end(after: Position): void {
    this.#begin(after.history, after.order);
    if (!this.#isTracking || this.#noted === 0) return;
    // A key that is noted again is counted again: only what seems to be too much is counted truly.
    const add = this.database.prepare("UPDATE _cdc_tracked SET noted = noted + ? WHERE grp = ? RETURNING noted").pluck();
    if (Number(add.get(this.#noted, this.group)) <= trackedKeysMax) return;
    const keys = countTracked(this.database, this.group);
    if (keys > trackedKeysMax) return this.lose(after);
    this.database.prepare("UPDATE _cdc_tracked SET noted = ? WHERE grp = ?").run(keys, this.group);
  }

  #forgetKeys(): void {
    this.database.prepare("DELETE FROM _cdc_changed WHERE grp = ?").run(this.group);
  }

  #set(tracked: Tracked): void {
    setTracked(this.database, this.group, tracked);
  }
}

function setTracked(database: Database, group: GroupId, { history, since, proven }: Tracked): void {
  database
    .prepare(
      `INSERT INTO _cdc_tracked (grp, history, since, noted, proven) VALUES (?, ?, ?, 0, ?)
       ON CONFLICT (grp) DO UPDATE SET history = excluded.history, since = excluded.since, noted = 0, proven = excluded.proven`,
    )
    .run(group, history, since, proven ? 1 : 0);
}

const noHistory = -1;

/** Legal in a write transaction. Something was missed: nobody knows any more which rows are equal, until the next window comes, in whatever history. */
export function unprove(database: Database, group: GroupId): void {
  database.prepare("DELETE FROM _cdc_changed WHERE grp = ?").run(group);
  setTracked(database, group, { history: noHistory, since: null, proven: false });
}

/** Legal in a write transaction. Whoever holds from now on finds all that comes from now on. */
export function holdTracked(
  database: Database,
  group: GroupId,
  hold: { readonly name: HoldName; readonly from: Position | null; readonly forMs: number },
): void {
  const now = nowOf(database);
  const others = readHolds(database, group).filter(({ name, until }) => name !== hold.name && until > now);
  const ours = hold.from === null ? [] : [{ name: hold.name, from: hold.from.order, until: now + hold.forMs / msPerDay }];
  database.prepare("UPDATE _cdc_tracked SET holds = ? WHERE grp = ?").run(JSON.stringify([...others, ...ours]), group);
  if (hold.from === null) return;
  database
    .prepare(
      `UPDATE _cdc_tracked SET noted = 0, since = a.ord FROM _cdc_applied AS a
       WHERE a.grp = _cdc_tracked.grp AND a.history = _cdc_tracked.history AND _cdc_tracked.grp = ? AND since IS NULL`,
    )
    .run(group);
}

/** Legal in a write transaction. Every row is equal as of there: what changed before is of no more use, unless somebody holds it. */
export function proveTracked(database: Database, group: GroupId, at: Position): void {
  const tracked = readTracked(database, group);
  if (tracked === null || tracked.since === null || tracked.history !== at.history) return;
  const now = nowOf(database);
  const held = readHolds(database, group)
    .filter(({ until }) => until > now)
    .map(({ from }) => from);
  if (at.order < tracked.since) return;
  const since = Math.max(tracked.since, Math.min(at.order, ...held));
  database.prepare("DELETE FROM _cdc_changed WHERE grp = ? AND ord <= ?").run(group, since);
  database.prepare("UPDATE _cdc_tracked SET since = ?, proven = 1 WHERE grp = ?").run(since, group);
}

/** Above it all keys that have come back are known. */
export const sinceOf = ({ history, since }: Pick<Tracked, "history" | "since">): Position | null =>
  since === null ? null : position(history, since);

const msPerDay = 86_400_000;

function readHolds(database: Database, group: GroupId): readonly Hold[] {
  const text = database.prepare("SELECT holds FROM _cdc_tracked WHERE grp = ?").pluck().get(group);
  return typeof text === "string" ? (JSON.parse(text) as Hold[]) : [];
}

const nowOf = (database: Database): number => Number(database.prepare("SELECT julianday('now')").pluck().get());
