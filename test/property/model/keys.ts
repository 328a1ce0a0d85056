/**
 * Keys of the model's tables. A row is known to the model by a small number; what the pipeline sees is a key of the kind chosen for the run.
 * The canonical order of each kind is written down by hand, so that the order in core is judged and not copied.
 */
import { type Key, keyText } from "../../../core/vocabulary/value.js";

export type KeyKind = "integer" | "text" | "composite";

/** 1 … 9; 9 is the gap through which keys are swapped. */
export const numbers = [1, 2, 3, 4, 5, 6, 7, 8, 9] as const;

const integers: readonly bigint[] = [0n, -9223372036854775808n, -1n, 1n, 2n, 10n, 9007199254740993n, 9223372036854775807n, 3n];
// U+1F600 is above U+FFFD by bytes and below it by UTF-16 units.
const texts: readonly string[] = ["", "Z", "a", "aa", "ä", "z", "\u{1F600}", "\uFFFD", "a\u0000"];
const keys: Readonly<Record<KeyKind, readonly Key[]>> = {
  integer: integers.map((n): Key => [n]),
  text: texts.map((text): Key => [text]),
  composite: numbers.map((n): Key => [n % 2 === 0 ? "a" : "aa", BigInt(n % 3 === 0 ? -n : n)]),
};
const inOrder: Readonly<Record<KeyKind, readonly number[]>> = {
  integer: [2, 3, 1, 4, 5, 9, 6, 7, 8],
  text: [1, 2, 3, 9, 4, 6, 5, 8, 7],
  composite: [6, 2, 4, 8, 9, 3, 1, 5, 7],
};

/** The key that the pipeline sees. */
export function keyOfNumber(kind: KeyKind, n: number): Key {
  const key = keys[kind][n - 1];
  if (key === undefined) throw new Error(`no key ${n}`);
  return key;
}

/** Place in canonical order. */
export const rankOf = (kind: KeyKind, n: number): number => inOrder[kind].indexOf(n);

const numberOf = new Map(
  (["integer", "text", "composite"] as const).flatMap((kind) => numbers.map((n): [string, number] => [keyText(keyOfNumber(kind, n)), n])),
);
export function numberOfKey(key: Key): number {
  const n = numberOf.get(keyText(key));
  if (n === undefined) throw new Error(`unknown key ${keyText(key)}`);
  return n;
}
