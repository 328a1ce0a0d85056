import { describe, expect, test } from "vitest";
import {
  advance,
  beginAgain,
  isWithholding,
  keepOnly,
  nextToRead,
  nothingToRead,
  request,
  rereadAll,
  type Rereads,
  Tellable,
} from "../../../core/capture/rereads.js";
import { rereadId } from "../../../core/vocabulary/ids.js";

const ask = { why: "ask", reread: rereadId("ask") } as const;
const gap = { why: "gap", reread: rereadId("gap") } as const;

/** Reads one chunk of the next table; null: to its end. */
function read(rereads: Rereads, upTo: bigint | null): Rereads {
  const next = nextToRead(rereads) ?? expect.fail("nothing to read");
  return advance(rereads, next, 1, upTo === null ? null : [upTo]);
}
const tells = (rereads: Rereads, table: number, key: bigint): boolean => new Tellable(rereads).tells(table, [key]);

test("tables are read in the order of their numbers, one after the other", () => {
  let rereads = rereadAll([3, 1, 2], "first", rereadId("h"));
  const order: number[] = [];
  for (let next = nextToRead(rereads); next !== null; next = nextToRead(rereads)) {
    order.push(next.table);
    rereads = read(read(rereads, 5n), null);
  }
  expect(order).toEqual([1, 2, 3]);
  expect(isWithholding(rereads)).toBe(false);
});

describe("a live change", () => {
  test("is withheld above the cursor of a first snapshot or a repair", () => {
    for (const mode of ["first", "repair"] as const) {
      const rereads = read(rereadAll([1, 2], mode, rereadId("h")), 5n);
      expect([tells(rereads, 1, 5n), tells(rereads, 1, 6n), tells(rereads, 2, 1n), tells(rereads, 3, 1n)]).toEqual([
        true,
        false,
        false,
        true,
      ]);
    }
  });

  test("is always told while rows are read again because somebody asked", () => {
    const asked = request(nothingToRead, 1, ask);
    expect(asked.begins).toBe(false);
    const rereads = read(asked.rereads, 5n);
    expect([tells(rereads, 1, 5n), tells(rereads, 1, 6n)]).toEqual([true, true]);
    expect(isWithholding(rereads)).toBe(false);
  });
});

describe("a request for a table that is", () => {
  test("done, after a gap, begins a repair", () => {
    const { rereads, begins } = request(nothingToRead, 1, gap);
    expect(begins).toBe(true);
    expect(rereads.waiting).toEqual([{ table: 1, mode: "repair", reread: "gap" }]);
  });

  test("being read starts it over: as a first snapshot it stays one, as a repair it goes on under its name", () => {
    const first = request(read(rereadAll([1], "first", rereadId("h")), 5n), 1, ask);
    expect(first.rereads.reading).toMatchObject({ mode: "first", reread: "h", cursor: null });
    const repair = request(read(request(nothingToRead, 1, gap).rereads, 5n), 1, { ...gap, reread: rereadId("gap-2") });
    expect(repair.begins).toBe(false);
    expect(repair.rereads.reading).toMatchObject({ mode: "repair", reread: "gap", cursor: null });
    expect(tells(repair.rereads, 1, 1n)).toBe(false);
  });

  test("being read because somebody asked becomes a repair after a gap", () => {
    const { rereads, begins } = request(read(request(nothingToRead, 1, ask).rereads, 5n), 1, gap);
    expect(begins).toBe(true);
    expect(rereads.reading).toMatchObject({ mode: "repair", reread: "gap", cursor: null });
  });

  test("waiting keeps its turn", () => {
    const { rereads } = request(rereadAll([1, 2, 3], "first", rereadId("h")), 2, gap);
    expect(rereads.waiting.map((w) => w.table)).toEqual([1, 2, 3]);
  });
});

test("tables that are no longer captured are not waited for", () => {
  const rereads = read(rereadAll([1, 2, 3], "first", rereadId("h")), 5n);
  expect(keepOnly(rereads, (table) => table === 3)).toEqual({ reading: null, waiting: [{ table: 3, mode: "first", reread: "h" }] });
  expect(keepOnly(rereads, () => true)).toBe(rereads);
});

describe("a reader that is taken up from a token", () => {
  test("tells repairs that are under way once more, the table in hand and those that wait", () => {
    const rereads = read(rereadAll([1, 2], "repair", rereadId("h")), 5n);
    expect(beginAgain(rereads, false)).toEqual({ rereads, begins: [1, 2].map((table) => ({ table, reread: "h" })) });
    expect(beginAgain(nothingToRead, true)).toEqual({ rereads: nothingToRead, begins: [] });
  });

  test("leaves alone what somebody asked for, whose constraints never went", () => {
    const { rereads } = request(nothingToRead, 1, ask);
    expect(beginAgain(rereads, true)).toEqual({ rereads, begins: [] });
  });

  test("makes a first snapshot a repair if the target may be past its end", () => {
    const first = read(rereadAll([1, 2], "first", rereadId("h")), 5n);
    expect(beginAgain(first, false)).toEqual({ rereads: first, begins: [] });
    const { rereads, begins } = beginAgain(first, true);
    expect(begins.map(({ table }) => table)).toEqual([1, 2]);
    expect([rereads.reading?.mode, rereads.reading?.cursor, rereads.waiting[0]?.mode]).toEqual(["repair", [5n], "repair"]);
  });
});
