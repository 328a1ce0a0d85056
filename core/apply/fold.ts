/**
 * Last state per key of one table, by position, remembering whether the row was born meanwhile.
 *
 * A key change is the delete of one key and the state of another, in this order: at the source it can only take a key that is free by then, so
 * following positions one by one comes out right also when keys change places through a third.
 */
import type { Change } from "../contracts/change.js";
import { TailraceError } from "../errors.js";
import type { Position } from "../vocabulary/position.js";
import type { TableDescription } from "../vocabulary/table.js";
import { type Key, keyText, type Row, type Value } from "../vocabulary/value.js";

export interface Folded {
  readonly key: Key;
  /** The change that tells the row's state; null: deleted. Its row is made when it is asked for, so it is asked for once. */
  readonly told: { readonly after: Row } | null;
  readonly born: boolean;
  /** The key that the row had before, when it was moved: what only the target knows of the row stands there. */
  readonly movedFrom: Key | null;
  readonly at: Position;
  /** Names the columns of the row. */
  readonly table: TableDescription;
}

export class Fold {
  readonly #entries = new Map<string | number, Folded>();
  #taken = 0;

  add(table: TableDescription, change: Change): void {
    const { at, key } = change;
    switch (change.kind) {
      case "create":
        return this.#put({ key, told: change, born: true, movedFrom: null, at, table });
      case "update":
      case "state": {
        const known = this.#entries.get(foldKey(key));
        const [born, movedFrom] = known === undefined ? [false, null] : [known.born, known.movedFrom];
        return this.#put({ key, told: change, born, movedFrom, at, table });
      }
      case "rekey": {
        const movedFrom = this.#originOf(change.from);
        this.#put({ key: change.from, told: null, born: false, movedFrom: null, at, table });
        return this.#put({ key, told: change, born: true, movedFrom, at, table });
      }
      case "delete":
        return this.#put({ key, told: null, born: false, movedFrom: null, at, table });
      default:
        throw new TailraceError("internal", { what: "a change without a kind" });
    }
  }

  entries(): Iterable<Folded> {
    return this.#entries.values();
  }

  get size(): number {
    return this.#entries.size;
  }

  /** Records that count: a key change is two. */
  get taken(): number {
    return this.#taken;
  }

  get folded(): number {
    return this.#taken - this.#entries.size;
  }

  #put(entry: Folded): void {
    this.#taken += 1;
    this.#entries.set(foldKey(entry.key), entry);
  }

  /** Where the row of this key was before the window; null: nowhere. */
  #originOf(key: Key): Key | null {
    const known = this.#entries.get(foldKey(key));
    if (known === undefined) return key;
    return known.movedFrom ?? (known.born || known.told === null ? null : key);
  }
}

/**
 * As `keyText`, but numbers of equal value are one key whatever their class, as they are to the source's primary key and to the target's: a row whose key
 * goes from 1 to 1.0 is one row. One integer of the exact range, which most keys are, needs no text.
 */
function foldKey(key: Key): string | number {
  const only = key[0];
  if (key.length === 1 && (typeof only === "bigint" || typeof only === "number")) {
    const n = Number(only);
    if (Number.isSafeInteger(n)) return n;
  }
  return keyText(key.some(isWholeReal) ? key.map((part) => (isWholeReal(part) ? BigInt(part) : part)) : key);
}

const isWholeReal = (part: Value): part is number => typeof part === "number" && Number.isInteger(part);
