/** What PostgreSQL prints becomes values of the source, and every one of them maps to the same text again. */
import { describe, expect, it, test } from "vitest";
import type { Conversion, TablePlan } from "../../../core/contracts/plan.js";
import { timeStyleOf } from "../../../core/mapping/time-style.js";
import { type BackColumn, compileWayBack, isRefused, postgresText } from "../../../core/mapping/way-back.js";
import { schemaVersion, tableId, theGroup } from "../../../core/vocabulary/ids.js";
import type { StorageClass } from "../../../core/vocabulary/table.js";
import type { Value } from "../../../core/vocabulary/value.js";

interface Like {
  readonly conversion?: Conversion;
  readonly texts?: readonly string[];
}

function columnOf(type: string, classes: readonly StorageClass[], { conversion = { kind: "as-is" }, texts = [] }: Like = {}): BackColumn {
  const common = { nullable: true, written: "always", constant: null } as const;
  const plan: TablePlan = {
    source: tableId("t"),
    group: theGroup,
    target: { schema: "public", name: "t" },
    columns: [
      { ...common, source: "id", target: "id", type: "bigint", conversion: { kind: "as-is" } },
      { ...common, source: "v", target: "v", type, conversion },
    ],
    key: ["id"],
    indexes: [],
    foreignKeys: [],
    dropped: [],
  };
  const described = { declaredType: "", nullable: true, generated: false };
  const table = {
    table: plan.source,
    group: theGroup,
    schema: schemaVersion(1),
    columns: [
      { ...described, name: "id", classes: ["integer" as const] },
      { ...described, name: "v", classes },
    ],
    key: [0] as const,
  };
  const column = compileWayBack(plan, { ...table, key: [0] }, new Map([["v", timeStyleOf(texts)]])).at(-1);
  if (column === undefined) throw new Error("no column");
  return column;
}

const ms: Conversion = { kind: "epoch", unit: "ms" };
const s: Conversion = { kind: "epoch", unit: "s" };
const iso: Conversion = { kind: "iso" };
const bytes = (hex: string): Uint8Array => Uint8Array.from(Buffer.from(hex, "hex"));
const toIso = ["2026-01-02T03:04:05.678Z", "2026-01-02T03:04:05.000Z"];

describe("values", () => {
  const rows: readonly (readonly [type: string, classes: readonly StorageClass[], text: string, value: Value, like?: Like])[] = [
    ["bigint", ["integer"], "9007199254740993", 9007199254740993n],
    ["bigint", ["real"], "7", 7],
    ["bigint", ["text"], "7", "7"],
    ["bigint", ["integer", "text"], "-9223372036854775808", -(2n ** 63n)],
    ["numeric", ["integer", "real"], "1.50", 1.5],
    ["numeric", ["integer", "real"], "3", 3n],
    ["numeric", ["text"], "1.50", "1.50"],
    ["numeric", ["real"], "2", 2],
    ["numeric", ["integer", "real"], "0.1234567890123456789", "0.1234567890123456789"],
    ["numeric", ["integer", "real"], "Infinity", Number.POSITIVE_INFINITY],
    ["numeric", ["integer"], "9223372036854775808", "9223372036854775808"],
    ["double precision", ["real"], "1e+300", 1e300],
    ["double precision", ["integer"], "5", 5n],
    ["real", ["real"], "0.1", Math.fround(0.1)],
    ["boolean", ["integer"], "t", 1n],
    ["boolean", ["text"], "f", "false"],
    ["text", ["text"], "007", "007"],
    ["text", ["integer"], "7", 7n],
    ["text", ["integer"], "007", "007"],
    ["text", ["real"], "7.0", 7],
    ["character(5)", ["text"], "ab   ", "ab"],
    ["bytea", ["blob"], "\\x00ff", bytes("00ff")],
    ["bytea", ["text"], "\\x61", "a"],
    ["bytea", ["text", "raw"], "\\xff", { rawText: bytes("ff") }],
    ["uuid", ["blob"], "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", bytes("a0eebc999c0b4ef8bb6d6bb9bd380a11")],
    ["date", ["text"], "2026-02-28", "2026-02-28", { conversion: iso }],
    ["date", ["text"], "0001-02-28 BC", "0000-02-28", { conversion: iso }],
    ["timestamp with time zone", ["text"], "2026-11-20 10:11:12.5+00", "2026-11-20 10:11:12.5", { conversion: iso }],
    ["timestamp with time zone", ["text"], "2026-11-20 10:11:12+00", "2026-11-20T10:11:12.000Z", { conversion: iso, texts: toIso }],
    ["timestamp with time zone", ["integer"], "1969-12-31 23:59:59.999+00", -1n, { conversion: ms }],
    ["timestamp with time zone", ["integer", "text"], "1970-01-01 00:00:01+00", 1n, { conversion: s }],
    ["timestamp without time zone", ["real"], "1970-01-01 12:00:00", 2440588, { conversion: { kind: "julian-day" } }],
  ];
  const filled = rows.map(([type, classes, text, value, like]) => [type, classes, text, value, like ?? {}] as const);
  test.each(filled)("%s of %j: %s", (type, classes, text, value, like) => {
    const column = columnOf(type, classes, like);
    expect(column.back(text)).toEqual(value);
    expect(column.alike(value, text)).toBe(true);
    expect(column.back(null)).toBeNull();
    expect([column.alike(value, null), column.alike(null, text)]).toEqual([false, false]);
  });
});

it.each([
  ["double precision", ["real"], "NaN", {}],
  ["numeric", ["integer"], "NaN", {}],
  ["timestamp with time zone", ["integer"], "2026-11-20 10:11:12.5+00", { conversion: s }],
  ["timestamp with time zone", ["integer"], "infinity", { conversion: ms }],
  ["timestamp with time zone", ["text"], "0044-03-15 12:00:00+00 BC", { conversion: iso }],
  ["date", ["text"], "0044-03-15 BC", { conversion: iso }],
] as const)("refuses %s of %j: %s", (type, classes, text, like) => {
  const back = columnOf(type, classes, like).back(text);
  expect(isRefused(back) && back.code).toBe("value.no-way-back");
});

it("takes another spelling of the same for the same, and nothing else", () => {
  const moment = columnOf("timestamp with time zone", ["text"], { conversion: iso });
  expect(moment.alike("2026-11-20T12:11:12+02:00", "2026-11-20 10:11:12+00")).toBe(true);
  expect(moment.alike("2026-11-20T12:11:12", "2026-11-20 10:11:12+00")).toBe(false);
  const json = columnOf("jsonb", ["text"]);
  expect(json.alike('{"b":1,"a":2,"a":3}', '{"a": 3, "b": 1}')).toBe(true);
  expect(json.alike('{"b":1.0}', '{"b": 1}')).toBe(false);
  const truth = columnOf("boolean", ["integer", "text"]);
  expect([truth.alike("TRUE", "t"), truth.alike(1n, "t"), truth.alike(2n, "t")]).toEqual([true, true, false]);
  const number = columnOf("numeric(10,2)", ["integer", "real"]);
  expect([number.alike(1.5, "1.50"), number.alike(1n, "1.00"), number.alike("1,5", "1.50")]).toEqual([true, true, false]);
});

it("reads typed values of a stream as PostgreSQL would print them", () => {
  expect([5n, 0.1, true, "x", bytes("0aff"), null].map(postgresText)).toEqual(["5", "0.1", "t", "x", "\\x0aff", null]);
});
