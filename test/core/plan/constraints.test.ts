import { describe, expect, test } from "vitest";
import type { TablePlan } from "../../../core/contracts/plan.js";
import { parentsFirst } from "../../../core/plan/table-order.js";
import { tableId, theGroup } from "../../../core/vocabulary/ids.js";
import { map, planOf, said, type TableWords } from "./catalogue-of.js";

const people: TableWords = {
  name: "people",
  columns: ["id INTEGER", "mail TEXT"],
  rows: [[1n, "a@b"]],
  uniques: [{ name: "by_mail", columns: ["mail"] }],
};
const orders: TableWords = {
  name: "orders",
  columns: ["id INTEGER", "person INTEGER", "mail TEXT"],
  rows: [[1n, 1n, "a@b"]],
  foreignKeys: [[["person"], "people", ["id"]]],
};

describe("indexes", () => {
  test("keep their names, and constraints of SQLite's naming get better ones", () => {
    const { plan, findings } = planOf({
      tables: [
        {
          ...people,
          uniques: [
            { name: "sqlite_autoindex_people_1", columns: ["mail"] },
            { name: "by_both", columns: ["mail", "id"] },
          ],
          indexes: [{ name: "i1", columns: ["mail"] }],
        },
      ],
    });
    expect(findings).toEqual([]);
    expect(plan.tables[0]?.indexes).toEqual([
      { name: "people_mail_key", columns: ["mail"], unique: true },
      { name: "by_both", columns: ["mail", "id"], unique: true },
      { name: "i1", columns: ["mail"], unique: false },
    ]);
  });

  test("never share a name with each other or with a table, and stay within 63 bytes", () => {
    const long = "ü".repeat(40);
    const { plan } = planOf({
      tables: [
        {
          ...people,
          indexes: [
            { name: "Orders", columns: ["mail"] },
            { name: `${long}a`, columns: ["mail"] },
            { name: `${long}b`, columns: ["mail"] },
          ],
        },
        orders,
      ],
    });
    const names = plan.tables.flatMap((table) => table.indexes.map((index) => index.name));
    expect(new Set(names.map((name) => name.toLowerCase())).size).toBe(names.length);
    expect(names).toContain("Orders_2");
    for (const name of names) expect(Buffer.byteLength(name)).toBeLessThanOrEqual(63);
  });

  test.each([
    ["an expression", { columns: null }, {}],
    ["partial", { columns: ["mail"], partial: true }, {}],
    ["collated", { columns: ["mail"], collated: true }, {}],
    ["over a dropped column", { columns: ["mail"] }, { mail: { kind: "drop" } as const }],
    ["over json", { columns: ["mail"] }, { mail: map({ type: "json" }) }],
    ["unique over times that ISO text can write in two ways", { columns: ["mail"] }, { mail: map({ type: "timestamptz" }) }],
    ["unique over UUIDs that text can write in two cases", { columns: ["mail"] }, { mail: map({ type: "uuid" }) }],
  ])("one that is %s becomes a note", (_, index, columns) => {
    const result = planOf({ tables: [{ ...people, uniques: [{ name: "u", ...index }] }], settings: { people: { columns } } });
    expect(said(result, true)).toContain("note index.left-out");
    expect(result.plan.tables[0]?.indexes).toEqual([]);
  });

  test("one over values longer than an index entry is left out with a warning", () => {
    const result = planOf({ tables: [{ ...people, rows: [[1n, "x".repeat(3_000)]] }] });
    expect(said(result)).toEqual(["warning index.left-out"]);
  });

  test("a unique one over text that could collide with numbers is left out", () => {
    const tables = [
      {
        ...people,
        columns: ["id INTEGER", "mail"],
        rows: [
          [1n, "1"],
          [2n, 1n],
        ],
      },
    ];
    expect(planOf({ tables }).plan.tables[0]?.indexes).toEqual([]);
  });
});

describe("foreign keys", () => {
  test("name target tables and columns, and parents come first", () => {
    const { plan } = planOf({
      tables: [orders, people],
      settings: { people: { to: "crm.persons", columns: { id: map({ to: "person_id" }) } } },
    });
    expect(plan.tables.map((table) => table.source)).toEqual(["people", "orders"]);
    expect(plan.tables[1]?.foreignKeys).toEqual([
      {
        name: "orders_person_fkey",
        columns: ["person"],
        parent: { schema: "crm", name: "persons" },
        parentColumns: ["person_id"],
        wanted: { onDelete: "CASCADE", onUpdate: "NO ACTION" },
      },
    ]);
  });

  test.each<[string, Partial<TableWords>, Record<string, ReturnType<typeof map> | { readonly kind: "drop" }>]>([
    ["to a table that is not there", { foreignKeys: [[["person"], "nobody", ["id"]]] }, {}],
    ["to a column that is unique but not the key", { foreignKeys: [[["mail"], "people", ["mail"]]] }, {}],
    ["from a column that is dropped", {}, { person: { kind: "drop" } }],
    ["between types that do not compare", {}, { person: map({ type: "text" }) }],
  ])("one %s becomes a note", (_, words, columns) => {
    const result = planOf({ tables: [people, { ...orders, ...words }], settings: { orders: { columns } } });
    expect(said(result, true)).toEqual(["note foreign-key.left-out"]);
    expect(result.plan.tables.every((table) => table.foreignKeys.length === 0)).toBe(true);
  });

  test("one to a table that is refused becomes a note", () => {
    const result = planOf({ tables: [people, orders], settings: { people: { to: "pg_x.people" } } });
    expect(said(result, true)).toEqual(["error table.name", "note foreign-key.left-out"]);
  });

  test("two of one table get two names", () => {
    const twice = { ...orders, foreignKeys: [orders.foreignKeys?.[0], orders.foreignKeys?.[0]].filter((key) => key !== undefined) };
    const names = planOf({ tables: [people, twice] }).plan.tables[1]?.foreignKeys.map((key) => key.name);
    expect(names).toEqual(["orders_person_fkey", "orders_person_fkey_2"]);
  });
});

describe("the order of tables", () => {
  const table = (name: string, ...parents: readonly string[]): TablePlan => ({
    source: tableId(name),
    group: theGroup,
    target: { schema: "public", name },
    columns: [],
    key: ["id"],
    indexes: [],
    foreignKeys: parents.map((parent) => ({
      name: parent,
      columns: ["x"],
      parent: { schema: "public", name: parent },
      parentColumns: ["id"],
    })),
    dropped: [],
  });
  const order = (...tables: readonly TablePlan[]): string =>
    parentsFirst(tables)
      .map((one) => one.source)
      .join("");

  test.each([
    ["abc", order(table("a"), table("b"), table("c"))],
    ["cba", order(table("a", "b"), table("b", "c"), table("c"))],
    ["ba", order(table("a", "a", "b"), table("b"))],
    ["dbca", order(table("a", "b", "c"), table("b", "d"), table("c", "d"), table("d"))],
    ["cba", order(table("a", "b"), table("b", "c"), table("c", "a"))],
  ])("is %s", (expected, given) => {
    expect(given).toBe(expected);
  });

  test("holds for a chain deeper than a call stack", () => {
    const chain = Array.from({ length: 20_000 }, (_, i) => table(`t${i}`, `t${i + 1}`));
    expect(parentsFirst(chain)[0]?.source).toBe("t19999");
  });
});
