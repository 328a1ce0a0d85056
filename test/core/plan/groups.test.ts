import { describe, expect, it } from "vitest";
import type { TargetPlan } from "../../../core/contracts/plan.js";
import { groupsOf, nameGroups, planOfGroup } from "../../../core/plan/groups.js";
import { makePlan, type PlanResult } from "../../../core/plan/make-plan.js";
import { groupId, pipelineId, tableId } from "../../../core/vocabulary/ids.js";
import { tableOf } from "./catalogue-of.js";

type Groups = Readonly<Record<string, readonly string[]>>;
const sources = {
  sqlite: { kind: "sqlite", path: "shop.db", log: { retain: "applied", maxBytes: 1 } },
  duckdb: { kind: "duckdb", path: "shop.duckdb", memoryMb: 512, pollMs: 100, copyMbPerSecond: null },
} as const;
const names = ["customers", "orders", "lines", "stock"];

/** `lines` refers to `orders`. */
function plan(groups: Groups, applied: TargetPlan | null = null, kind: "sqlite" | "duckdb" = "sqlite"): PlanResult {
  const tables = names.map((name) =>
    tableOf({ name, columns: ["id INTEGER!"], ...(name === "lines" ? { foreignKeys: [[["id"], "orders", ["id"]]] } : {}) }),
  );
  return makePlan({
    pipeline: pipelineId("shop"),
    prefix: "shop",
    settings: {
      tables: new Map(),
      onlyListedTables: false,
      target: { url: null, schema: "public" },
      groups: new Map(Object.entries(groups)),
      source: sources[kind],
    },
    catalog: { tables, refused: [] },
    profiles: new Map(),
    applied,
    now: new Date(0),
  });
}
const errors = ({ findings }: PlanResult): readonly string[] =>
  findings.filter(({ severity }) => severity === "error").map(({ code, what }) => `${code}: ${what}`);
const shape = (result: PlanResult): Readonly<Record<string, readonly string[]>> =>
  Object.fromEntries(groupsOf(result.plan).map(({ id, name, tables }) => [`${id} ${name}`, tables.map(({ source }) => source).toSorted()]));

describe("table groups of a plan", () => {
  it("says nothing of groups when none is declared: the plan is what it was", () => {
    const { plan: made } = plan({});
    expect(made.tables.every((table) => table.group === 1 && !("groupName" in table))).toBe(true);
    expect(shape({ plan: made, findings: [] })).toEqual({ "1 main": [...names].toSorted() });
  });

  it("puts tables that no group names into main", () => {
    expect(shape(plan({ sales: ["orders", "lines"], depot: ["stock"] }))).toEqual({
      "1 main": ["customers"],
      "2 sales": ["lines", "orders"],
      "3 depot": ["stock"],
    });
  });

  it("keeps the numbers that groups have, however settings list them", () => {
    const applied = plan({ sales: ["orders", "lines"] }).plan;
    expect(shape(plan({ depot: ["stock"], sales: ["orders", "lines"] }, applied))).toMatchObject({ "2 sales": {}, "3 depot": ["stock"] });
  });

  it("refuses a foreign key that leads out of a group, and names it with both groups", () => {
    const [refused, ...others] = errors(plan({ sales: ["orders"], depot: ["lines"] }));
    expect(others).toEqual([]);
    expect(refused).toBe("plan.group-open: The foreign key (id) of 'lines', in group 'depot', refers to 'orders', in group 'sales'");
  });

  it("refuses a table that nobody captures", () => {
    expect(errors(plan({ sales: ["order"] }))).toEqual(["plan.refused: Group 'sales' names a table 'order' that is not captured"]);
  });

  it("lets a new group take tables out of one that is there, and out of no two", () => {
    const one = plan({}).plan;
    expect(errors(plan({ sales: ["orders", "lines"], depot: ["stock"] }, one))).toEqual([]);
    const two = plan({ sales: ["orders", "lines"] }, one).plan;
    expect(errors(plan({ sales: ["orders", "lines"], all: ["stock", "customers"] }, two))).toEqual([]);
    const mixed = errors(plan({ sales: ["lines"], all: ["stock", "orders"] }, two)).filter((text) => !text.startsWith("plan.group-open"));
    expect(mixed.length).toBeGreaterThan(0);
    expect(mixed.every((text) => text.startsWith("plan.group-moved: The new group 'all' would take tables out of"))).toBe(true);
  });

  it("lets no table move into a group that is there: it stands at another place", () => {
    const applied = plan({ sales: ["orders", "lines"] }).plan;
    expect(errors(plan({ sales: ["orders", "lines", "stock"] }, applied))).toMatchObject([
      /plan.group-moved: Table 'stock' is in group 'main'/,
    ]);
    expect(errors(plan({}, applied)).every((text) => text.startsWith("plan.group-moved"))).toBe(true);
  });

  it("keeps a group that is there under its name", () => {
    const applied = plan({ sales: ["orders", "lines"] }).plan;
    expect(errors(plan({ shop: ["orders", "lines"] }, applied))).toEqual([
      "plan.group-renamed: Group 'sales' is applied and settings do not name it any more: its table 'orders' is in 'shop' there",
    ]);
    expect(errors(plan({ heads: ["orders"], tails: ["lines"] }, applied))).toContainEqual(
      expect.stringMatching(/^plan.group-renamed: Group 'sales'/),
    );
    // What is not captured any more takes no name along.
    expect(errors(plan({ sales: ["orders", "lines"], depot: ["stock"] }, applied))).toEqual([]);
  });

  it("refuses groups of a DuckDB file, which is fenced off as a whole, but for one that has every table", () => {
    expect(errors(plan({ sales: ["orders", "lines"], depot: ["stock"] }, null, "duckdb"))).toEqual([
      "plan.group-file: Group 'sales' would be switched over without group 'main', and both are in one DuckDB file, which is fenced off as a whole",
      "plan.group-file: Group 'depot' would be switched over without group 'main', and both are in one DuckDB file, which is fenced off as a whole",
    ]);
    expect(errors(plan({ all: names }, null, "duckdb"))).toEqual([]);
    expect(errors(plan({}, null, "duckdb"))).toEqual([]);
  });

  it("knows a captured group by what settings call its tables, and by its number where they are newer than the capture", () => {
    const captured = new Map([
      [groupId(1), [tableId("customers"), tableId("stock")]],
      [groupId(2), [tableId("orders"), tableId("lines")]],
    ]);
    const names = (declared: Groups): readonly string[] => nameGroups(captured, new Map(Object.entries(declared))).map(({ name }) => name);
    expect(names({ sales: ["orders", "lines"] })).toEqual(["main", "sales"]);
    expect(names({ sales: ["orders", "lines"], depot: ["stock"] })).toEqual(["1", "sales"]);
    expect(names({})).toEqual(["1", "2"]);
  });

  it("gives a group's own plan", () => {
    const { plan: whole } = plan({ sales: ["orders", "lines"] });
    const [, sales] = groupsOf(whole);
    expect(planOfGroup(whole, sales?.id ?? whole.tables[0]?.group ?? (0 as never)).tables.map(({ source }) => source)).toEqual([
      tableId("orders"),
      tableId("lines"),
    ]);
  });
});
