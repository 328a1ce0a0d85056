import { expect, test } from "vitest";
import { type Answer, Hints } from "../../../core/capture/hints.js";
import type { LogRow } from "../../../core/capture/log-row.js";
import type { Row } from "../../../core/vocabulary/value.js";

type Short = string;

/** `R1` `T1` `I1` `D1` `U1>2`, in order; what the hints and touches became. `there`: keys that are in the table at S. */
function answers(log: readonly Short[], there: readonly bigint[]): Record<Short, Answer | null> {
  const hints = new Hints((_, row) => row);
  const rows = log.map((text, i) => parse(text, i + 1));
  for (const row of rows) hints.feed(row);
  hints.settle((_, key) => (there.includes(key[0] as bigint) ? key : null));
  const asked = rows.filter((row) => row.op === "R" || row.op === "T");
  return Object.fromEntries(asked.map((row) => [`${row.seq}${log[row.seq - 1] ?? ""}`, hints.answer(row.seq)]));
}

function parse(text: Short, seq: number): LogRow {
  const [from, to] = text
    .slice(1)
    .split(">")
    .map((n): Row => [BigInt(n)]);
  const key = from ?? [];
  const op = text[0];
  if (op === "R" || op === "T") return { op, seq, table: 1, key };
  if (op === "U") return { op, seq, table: 1, from: key, row: to ?? key };
  if (op === "I" || op === "D") return { op, seq, table: 1, row: key };
  throw new Error(text);
}

const evicted: Answer = { kind: "evicted" };

test("the first later row about the key decides a hint", () => {
  expect(answers(["R1", "I1"], [1n])).toEqual({ "1R1": evicted });
  expect(answers(["R1", "U5>1"], [1n])).toEqual({ "1R1": evicted });
  expect(answers(["R1", "U1"], [])).toEqual({ "1R1": null });
  expect(answers(["R1", "U1>2", "I1"], [])).toEqual({ "1R1": null });
  expect(answers(["R1", "D1", "I1"], [1n])).toEqual({ "1R1": null });
  expect(answers(["R1", "R1", "T1", "I2", "I1"], [1n])).toEqual({ "1R1": evicted, "2R1": evicted, "3T1": null });
});

test("without a later row it is pushed out if it is absent at S", () => {
  expect(answers(["R1"], [])).toEqual({ "1R1": evicted });
  expect(answers(["R1", "I2"], [1n, 2n])).toEqual({ "1R1": null });
});

test("a touch is answered unless a later row, or a true hint, speaks for the key", () => {
  expect(answers(["T1"], [1n])).toEqual({ "1T1": { kind: "is", row: [1n] } });
  expect(answers(["T1"], [])).toEqual({ "1T1": { kind: "is", row: null } });
  expect(answers(["T1", "U1"], [1n])).toEqual({ "1T1": null });
  expect(answers(["T1", "R1"], [])).toEqual({ "1T1": null, "2R1": evicted });
  expect(answers(["T1", "R1"], [1n])).toEqual({ "1T1": { kind: "is", row: [1n] }, "2R1": null });
  expect(answers(["R1", "T1"], [])).toEqual({ "1R1": evicted, "2T1": { kind: "is", row: null } });
});
