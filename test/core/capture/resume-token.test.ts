import fc from "fast-check";
import { expect, test } from "vitest";
import { makeAnchor } from "../../../core/capture/anchor.js";
import { rereadAll, type Rereads } from "../../../core/capture/rereads.js";
import { decodeToken, encodeToken, type ResumeState } from "../../../core/capture/resume-token.js";
import { rereadId, resumeToken } from "../../../core/vocabulary/ids.js";
import { position } from "../../../core/vocabulary/position.js";
import type { Value } from "../../../core/vocabulary/value.js";

const state = (rereads: Rereads): ResumeState => ({
  at: position(2, 4711, 3),
  anchor: makeAnchor(4711, 2460000.5, "abc"),
  phase: "snapshot",
  schemaTold: 7,
  rereads,
});

const value: fc.Arbitrary<Value> = fc.oneof(
  fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
  fc.double({ noNaN: true }).map((n) => (Object.is(n, -0) ? 0 : n)),
  fc.string({ unit: "binary" }),
  fc.uint8Array(),
  fc.uint8Array().map((rawText) => ({ rawText })),
);
const mode = fc.constantFrom("first", "repair", "replace" as const);
const waiting = fc.record({ table: fc.integer({ min: 1, max: 30 }), mode, reread: fc.constantFrom(rereadId("a"), rereadId("b")) });

test("a token says what it was made of", () => {
  const reading = fc.record({
    table: fc.nat(),
    mode,
    reread: fc.constant(rereadId("r")),
    rows: fc.nat(),
    cursor: fc.array(value, { minLength: 1, maxLength: 3 }),
  });
  fc.assert(
    fc.property(fc.option(reading), fc.array(waiting), (now, then) => {
      const before = state({ reading: now, waiting: then });
      const after = decodeToken(encodeToken(before));
      expect({ ...after, anchor: null }).toEqual({ ...before, anchor: null });
      expect(Buffer.compare(after.anchor, before.anchor)).toBe(0);
    }),
  );
});

test("thousands of waiting tables take little room, also when each was asked for by itself", () => {
  const all = Array.from({ length: 5_000 }, (_, i) => i + 1);
  expect(encodeToken(state(rereadAll(all, "first", rereadId("history-1")))).byteLength).toBeLessThan(1_000);
  const odd = rereadAll(
    all.filter((n) => n % 2 === 1),
    "repair",
    rereadId("gap-5"),
  );
  expect(encodeToken(state(odd)).byteLength).toBeLessThan(40_000);
  const single = {
    reading: null,
    waiting: all.map((table) => ({ table, mode: "replace" as const, reread: rereadId(`0f8fad5b-d9cb-469f-a165-70867728950e-${table}`) })),
  };
  expect(encodeToken(state(single)).byteLength).toBeLessThan(65_536);
  expect(decodeToken(encodeToken(state(single))).rereads.waiting.map((w) => w.table)).toEqual(all);
});

test("a key too long for a token means that its table is read from its beginning", () => {
  const reading = { table: 1, mode: "first" as const, reread: rereadId("r"), rows: 9, cursor: ["x".repeat(100_000)] };
  const token = encodeToken(state({ reading, waiting: [] }));
  expect(token.byteLength).toBeLessThan(2_000);
  expect(decodeToken(token).rereads.reading).toMatchObject({ table: 1, cursor: null, rows: 0 });
});

test("something else is refused", () => {
  for (const text of ["", "{}", '{"v":2,"at":[1,2,3]}']) {
    expect(() => decodeToken(resumeToken(Buffer.from(text)))).toThrow(expect.objectContaining({ code: "log.garbage" }));
  }
});
