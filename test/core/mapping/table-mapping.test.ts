import { describe, expect, test } from "vitest";
import type { ColumnPlan, TablePlan } from "../../../core/contracts/plan.js";
import { compileMapping } from "../../../core/mapping/table-mapping.js";
import { schemaVersion, tableId, theGroup } from "../../../core/vocabulary/ids.js";
import type { StorageClass, TableDescription } from "../../../core/vocabulary/table.js";
import { mapOne, mappingOf } from "./one-column.js";

const column = (source: string | null, target: string, type: string, more: Partial<ColumnPlan> = {}): ColumnPlan => ({
  source,
  target,
  type,
  nullable: true,
  conversion: { kind: "as-is" },
  written: source === null ? "insert" : "always",
  constant: null,
  ...more,
});

const plan: TablePlan = {
  source: tableId("orders"),
  group: theGroup,
  target: { schema: "sales", name: "orders" },
  columns: [
    column("note", "remark", "text"),
    column(null, "origin", "text", { constant: "v1" }),
    column("line", "line_no", "integer"),
    column("id", "id", "bigint"),
    column(null, "nothing", "text"),
    column("paid", "paid", "boolean", { nullable: false }),
  ],
  key: ["id", "line_no"],
  indexes: [],
  foreignKeys: [],
  dropped: ["secret"],
};
const describeColumn = (name: string, classes: readonly StorageClass[] = []): TableDescription["columns"][number] => ({
  name,
  declaredType: "",
  nullable: true,
  generated: false,
  classes,
});
const table: TableDescription = {
  table: tableId("orders"),
  group: theGroup,
  schema: schemaVersion(1),
  columns: ["id", "secret", "line", "note", "paid"].map((name) => describeColumn(name)),
  key: [0, 2],
};

describe("a mapping", () => {
  test("gives every column in the plan's order, constants included, dropped ones left out", () => {
    expect(compileMapping(plan, table).map([7n, "s3cret", 2n, null, 1n])).toEqual({
      kind: "row",
      row: [null, "v1", "2", "7", null, "t"],
    });
  });

  test("gives keys in the order of the plan's key", () => {
    expect(compileMapping(plan, table).mapKey([7n, 2n])).toEqual({ kind: "row", row: ["7", "2"] });
  });

  test("names the source column, the code and a reason without the value", () => {
    const mapped = compileMapping(plan, table).map([7n, null, 2n, "bad\0note", 1n]);
    expect(mapped).toEqual({ kind: "refused", column: "note", code: "value.nul", reason: "text with a NUL character" });
  });

  test("refuses NULL where the target is NOT NULL, and in a key", () => {
    const mapping = compileMapping(plan, table);
    expect(mapping.map([7n, null, 2n, null, null])).toMatchObject({ column: "paid", code: "value.null" });
    expect(mapping.map([null, null, 2n, null, 1n])).toMatchObject({ column: "id", code: "value.null" });
    expect(mapping.mapKey([7n, null])).toMatchObject({ column: "line", code: "value.null" });
  });

  test("lists every value of a row that is refused", () => {
    const refusals = compileMapping(plan, table).refusals([7n, null, 2n ** 40n, "\0", 3n]);
    expect(refusals.map(({ column: name, code }) => [name, code])).toEqual([
      ["note", "value.nul"],
      ["line", "value.range"],
      ["paid", "value.type"],
    ]);
  });

  test("does not take a column called __proto__ for anything else", () => {
    const odd = { ...table, columns: [describeColumn("__proto__"), describeColumn("constructor")], key: [0] as const };
    const columns = [column("__proto__", "__proto__", "bigint"), column("constructor", "constructor", "text")];
    const mapping = compileMapping({ ...plan, columns, key: ["__proto__"], dropped: [] }, odd);
    expect(mapping.map([1n, "x"])).toEqual({ kind: "row", row: ["1", "x"] });
  });

  test.each([
    ["a source column that is gone", { ...table, columns: table.columns.slice(0, 4) }],
    ["a source column the plan does not know", { ...table, columns: [...table.columns, describeColumn("new")] }],
    ["another key", { ...table, key: [0] as const }],
    ["a key in another order", { ...table, key: [2, 0] as const }],
  ])("is not compiled for %s", (_, changed) => {
    expect(() => compileMapping(plan, changed)).toThrow(expect.objectContaining({ code: "plan.changed" }));
  });
});

describe("an older description", () => {
  test("is mapped as far as it goes, whatever column was added or dropped since", () => {
    const older = { ...table, columns: [...table.columns.slice(0, 4), describeColumn("dropped since")] };
    const mapping = compileMapping(plan, older, "older");
    const mapped = mapping.map([...older.columns.slice(0, 4).map(() => 1n), "x"]);
    const exact = compileMapping(plan, table).map(table.columns.map(() => 1n));
    expect([mapped.kind, exact.kind]).toEqual(["row", "row"]);
    if (mapped.kind !== "row" || exact.kind !== "row") return;
    expect(mapped.row.map((value, i) => value === exact.row[i] || value === null)).not.toContain(false);
    expect(mapped.row).toHaveLength(exact.row.length);
  });

  test("with another key is refused all the same", () => {
    expect(() => compileMapping(plan, { ...table, key: [0] }, "older")).toThrow(expect.objectContaining({ code: "plan.changed" }));
  });
});

describe("a key", () => {
  test("never maps two keys of different storage classes to one", () => {
    expect(mapOne("text", "1", { key: ["text"] })).toBe("1");
    expect(mapOne("text", 1n, { key: ["text"] })).toBe("value.type");
    expect(mapOne("bigint", 1n, { key: ["integer"] })).toBe("1");
    expect(mapOne("bigint", "1", { key: ["integer"] })).toBe("value.type");
    expect(mapOne("bytea", "a", { key: ["blob"] })).toBe("value.type");
    expect(mapOne("bytea", "a", { key: ["text"] })).toBe("\\x61");
    expect(mapOne("bytea", Buffer.from("a"), { key: ["text", "blob"] })).toBe("\\x61");
  });

  test("takes a UUID in lower case only, which sorts as its text did", () => {
    const id = "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11";
    expect(mapOne("uuid", id, { key: ["text"] })).toBe(id);
    expect(mapOne("uuid", id.toUpperCase(), { key: ["text"] })).toBe("value.type");
    expect(mappingOf("uuid", { key: ["blob"] }).mapKey([Buffer.alloc(16)])).toMatchObject({ kind: "row" });
  });
});
