import { expect, test } from "vitest";
import { Fold } from "../../../core/apply/fold.js";
import type { Change } from "../../../core/contracts/change.js";
import type { Value } from "../../../core/vocabulary/value.js";
import { created, deleted, describeTable, rekeyed, updated } from "../../support/synthetic-window.js";

const table = describeTable("t", { k: "integer", v: "text" }, ["k"]);

function folded(...changes: readonly Change[]): readonly string[] {
  const fold = new Fold();
  for (const change of changes) fold.add(table, change);
  return [...fold.entries()].map(({ key, told }) => `${key.map(said).join()} ${told === null ? "deleted" : said(told.after[1])}`);
}
const said = (value: Value | undefined): string => (typeof value === "object" ? "" : String(value));
const put = (order: number, k: Value, v: string): Change => created(order, [k], [k, v]);

test("numbers that are equal are one key whatever their class: the source holds one of them only, and so does the target", () => {
  expect(folded(put(1, 1n, "a"), rekeyed(2, [1n], [1], [1, "a"]))).toEqual(["1 a"]);
  expect(folded(rekeyed(1, [1], [1n], [1n, "b"]))).toEqual(["1 b"]);
  expect(folded(updated(1, [0], [0, "zero"]), deleted(2, [-0]))).toEqual(["0 deleted"]);
  const large = 2 ** 60;
  expect(folded(deleted(1, [BigInt(large)]), put(2, large, "large"))).toEqual([`${large} large`]);
  expect(folded(put(1, 1n, "a"), put(2, 1.5, "b"), put(3, Number.POSITIVE_INFINITY, "c"), put(4, "1", "d"))).toHaveLength(4);
});

test("so are they in a key of several parts", () => {
  expect(folded(deleted(1, [1n, "x"]), created(2, [1, "x"], [1, "now"]), created(3, [1, "1"], [1, "other"]))).toEqual([
    "1,x now",
    "1,1 other",
  ]);
});
