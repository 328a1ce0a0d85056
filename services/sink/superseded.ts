/** Leaves out of earlier parts what later ones speak about: a row that is replaced before anybody sees it needs no place at the target. */
import { keyOrderOf } from "../../core/capture/key-order.js";
import type { Change, KeyScope } from "../../core/contracts/change.js";
import type { WindowPart } from "../../core/contracts/log.js";
import type { TableId } from "../../core/vocabulary/ids.js";
import { keyOf, type TableDescription } from "../../core/vocabulary/table.js";
import { type Key, keyText } from "../../core/vocabulary/value.js";

/**
 * Rows of chunks go when a later change tells their key's state, and when a later chunk covers it; their chunk's scope stays, so the target forgets
 * them until then. Live changes go only for a chunk: among themselves the target folds them.
 */
export function withoutSuperseded(earlier: readonly WindowPart[], later: readonly WindowPart[]): readonly WindowPart[] {
  const told = new Later(later);
  return earlier.map((part): WindowPart => {
    const { table } = part.table;
    if (part.kind === "changes") {
      const changes = part.changes.filter((change) => !keysOf(change).every((key) => told.covers(part.table, key)));
      return changes.length === part.changes.length ? part : { ...part, changes };
    }
    const rows = part.chunk.rows.filter((row) => {
      const key = keyOf(part.table, row);
      return !told.covers(part.table, key) && !told.tells(table, key);
    });
    return rows.length === part.chunk.rows.length ? part : { ...part, chunk: { ...part.chunk, rows } };
  });
}

const keysOf = (change: Change): readonly Key[] => (change.kind === "rekey" ? [change.from, change.key] : [change.key]);

class Later {
  readonly #keys = new Map<TableId, Set<string>>();
  readonly #scopes = new Map<TableId, KeyScope[]>();

  constructor(parts: readonly WindowPart[]) {
    for (const part of parts) {
      const { table } = part.table;
      if (part.kind === "chunk") this.#scopes.set(table, [...(this.#scopes.get(table) ?? []), part.chunk.scope]);
      else {
        const keys = this.#keys.get(table) ?? new Set();
        for (const change of part.changes) for (const key of keysOf(change)) keys.add(keyText(key));
        this.#keys.set(table, keys);
      }
    }
  }

  tells(table: TableId, key: Key): boolean {
    return this.#keys.get(table)?.has(keyText(key)) === true;
  }

  covers(table: TableDescription, key: Key): boolean {
    const compare = keyOrderOf(table);
    return this.#scopes.get(table.table)?.some((scope) => isWithin(scope, key, compare)) === true;
  }
}

const isWithin = ({ after, upTo }: KeyScope, key: Key, compare: (a: Key, b: Key) => number): boolean =>
  (after === null || compare(key, after) > 0) && (upTo === null || compare(key, upTo) <= 0);
