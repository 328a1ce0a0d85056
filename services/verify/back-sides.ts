/**
 * Both sides while changes come back: PostgreSQL is written to, the file follows. The same verification, with another way of knowing what a row was when
 * the other side was read, since PostgreSQL's log cannot be asked.
 *
 * A suspect's row is read at PostgreSQL, then a marker is written behind it; once the file has passed the marker it holds all that this read has seen, and
 * its row is read; then the row's version at PostgreSQL is looked at again. The same version: nobody has changed the row in between, so both
 * must be the same. Another one: the row is read again, as forward where the capture log does not say. A row that is not there has no version; it may have
 * come and gone in between, and then its key is among those that have come back since.
 *
 * Labels of PostgreSQL's reads are the file's positions: what the file had applied before a read is in it.
 */
import type { KeyScope } from "../../core/contracts/change.js";
import {
  absentVersion,
  type Between,
  type ChangedKey,
  type ChangedKeys,
  type Following,
  type KeyedDigest,
  type KeyedRow,
  type Labelled,
  type Leading,
  type RowName,
  type RowReader,
  type RowThen,
  type RowVersions,
  type ScopeCut,
  type ScopeDigest,
} from "../../core/contracts/row-reader.js";
import { asTailraceError, TailraceError } from "../../core/errors.js";
import type { TableId } from "../../core/vocabulary/ids.js";
import { type Position, position } from "../../core/vocabulary/position.js";
import type { Key } from "../../core/vocabulary/value.js";
import type { Sides } from "./sides.js";

export interface BackSidesOptions extends Pick<Sides, "plans" | "clock" | "stallMs"> {
  readonly leading: Leading;
  readonly following: Following;
  /** Behind a fence, and everything has come back: nobody has to be waited for, and every read is of the same position. */
  readonly standing: boolean;
}

export function backSides({ leading, following, standing, ...common }: BackSidesOptions): Sides {
  const source = new LeadingRows(leading, following, standing);
  return { ...common, direction: "reverse", source, target: following.rows, changes: source };
}

interface Seen extends RowVersions {
  readonly table: TableId;
  readonly at: Position;
  /** What the file had applied before: seen by the read in any case. */
  readonly applied: Position;
}

class LeadingRows implements RowReader, ChangedKeys {
  /** Of the newest read by keys. */
  #seen: Seen | null = null;

  constructor(
    private readonly leading: Leading,
    private readonly following: Following,
    private readonly standing: boolean,
  ) {}

  async position(signal: AbortSignal): Promise<Position> {
    if ((await this.leading.reign(signal)) === null) throw otherDirection();
    return await this.following.rows.position(signal);
  }

  scopes(table: TableId, cut: ScopeCut, signal: AbortSignal): AsyncIterable<KeyScope> {
    return this.following.rows.scopes(table, cut, signal);
  }

  async digest(table: TableId, scope: KeyScope, signal: AbortSignal): Promise<Labelled<ScopeDigest>> {
    const at = await this.following.rows.position(signal);
    return { at, value: (await this.leading.rows.digest(table, scope, signal)).value };
  }

  async digests(table: TableId, scope: KeyScope, rowsMax: number, signal: AbortSignal): Promise<Labelled<readonly KeyedDigest[]>> {
    const at = await this.following.rows.position(signal);
    return { at, value: (await this.leading.rows.digests(table, scope, rowsMax, signal)).value };
  }

  async rowsByKey(table: TableId, keys: readonly Key[], signal: AbortSignal): Promise<Labelled<readonly KeyedRow[]>> {
    const applied = await this.following.rows.position(signal);
    const rows = async (): Promise<readonly KeyedRow[]> => (await this.leading.rows.rowsByKey(table, keys, signal)).value;
    if (this.standing || keys.length === 0) return { at: applied, value: await rows() };
    const versions = await this.#versions(table, await this.identify(table, keys, signal), signal);
    const value = await rows();
    const at = position(applied.history, await this.leading.mark(signal));
    this.#seen = { ...versions, table, at, applied };
    return { at, value };
  }

  identify(table: TableId, keys: readonly Key[], signal: AbortSignal): Promise<readonly RowName[]> {
    return this.following.rows.identify(table, keys, signal);
  }

  changedKeys(between: Between, signal: AbortSignal): AsyncIterable<readonly ChangedKey[]> {
    return this.following.changedKeys(between, signal);
  }

  /** By versions; what was not read right before, nobody knows. */
  async changedRows(
    table: TableId,
    rows: readonly RowName[],
    { after }: Between,
    signal: AbortSignal,
  ): Promise<ReadonlyMap<string, RowThen>> {
    const seen = this.#seen;
    if (seen === null || seen.table !== table || seen.at !== after) return new Map(rows.map(({ id }) => [id, { kind: "unknown" }]));
    const now = await this.#versions(table, rows, signal);
    if (now.reign !== seen.reign) return new Map(rows.map(({ id }) => [id, { kind: "unknown" }]));
    const cameBack = rows.some(({ id }) => now.versions.get(id) === absentVersion)
      ? await this.#cameBack(table, seen.applied, signal)
      : null;
    const isSame = ({ id }: RowName): boolean => {
      const version = now.versions.get(id);
      if (version === undefined || version !== seen.versions.get(id)) return false;
      return version !== absentVersion || cameBack?.has(id) === false;
    };
    return new Map(rows.filter((row) => !isSame(row)).map(({ id }) => [id, { kind: "unknown" }]));
  }

  async [Symbol.asyncDispose](): Promise<void> {}

  /** Ids of rows that have come back above `after`; null: that is not known. */
  async #cameBack(table: TableId, after: Position, signal: AbortSignal): Promise<ReadonlySet<string> | null> {
    const ids = new Set<string>();
    try {
      for await (const page of this.following.changedKeys({ after, upTo: after }, signal))
        for (const key of page) if (key.table === table) ids.add(key.id);
      return ids;
    } catch (thrown) {
      if (asTailraceError(thrown).code !== "source.pruned") throw thrown;
      return null;
    }
  }

  async #versions(table: TableId, rows: readonly RowName[], signal: AbortSignal): Promise<RowVersions> {
    const versions = await this.leading.versions(table, rows, signal);
    if (versions.reign === null) throw otherDirection();
    return versions;
  }
}

const otherDirection = (): TailraceError =>
  new TailraceError("verify.other-direction", { what: "Applications do not write to PostgreSQL any more" });
