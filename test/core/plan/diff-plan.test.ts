import { expect, test } from "vitest";
import { comparePlans } from "../../../core/plan/diff-plan.js";
import { map, planOf, type TableWords } from "./catalogue-of.js";

const people: TableWords = { name: "people", columns: ["id INTEGER", "mail TEXT"], uniques: [{ name: "u", columns: ["mail"] }] };
const orders: TableWords = { name: "orders", columns: ["id INTEGER", "person INTEGER"], foreignKeys: [[["person"], "people", ["id"]]] };
const applied = planOf({ tables: [people, orders] }).plan;

test("a plan that went through JSON is the same plan", () => {
  const sorted = JSON.parse(JSON.stringify(applied), (_, value: unknown) =>
    typeof value === "object" && value !== null && !Array.isArray(value) ? Object.fromEntries(Object.entries(value).reverse()) : value,
  ) as typeof applied;
  expect(comparePlans(applied, sorted)).toEqual([]);
});

test("tables that come and go are named", () => {
  const wanted = planOf({ tables: [people, { name: "new", columns: ["id INTEGER"] }] }).plan;
  expect(comparePlans(applied, wanted).map(({ kind, table, what }) => [kind, table, what])).toEqual([
    ["removed", "orders", "table public.orders"],
    ["added", "new", "table public.new"],
  ]);
});

test("columns, indexes and keys that change are named with both wordings", () => {
  const wanted = planOf({
    tables: [
      { ...people, columns: ["id INTEGER", "mail TEXT", "age INTEGER"], uniques: [] },
      { ...orders, foreignKeys: [] },
    ],
    settings: {
      people: { to: "crm.people", columns: { mail: map({ type: "varchar(9)" }), c: { kind: "constant", value: "1", type: null } } },
    },
  }).plan;
  expect(comparePlans(applied, wanted).map(({ kind, item, what }) => [kind, item, what])).toEqual([
    ["changed", null, "target public.people becomes crm.people"],
    ["changed", "mail", "column text from 'mail' becomes column character varying(9) from 'mail'"],
    ["added", "age", "column bigint from 'age'"],
    ["added", "c", "column text constant"],
    ["removed", "u", "unique index (mail)"],
    [
      "removed",
      "orders_person_fkey",
      "foreign key (person) to public.people (id), after the cutover on delete cascade, on update no action",
    ],
  ]);
});
