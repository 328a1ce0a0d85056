import { describe, expect, it } from "vitest";
import type { TargetPlan } from "../../../core/contracts/plan.js";
import { groupsOf, planOfGroup } from "../../../core/plan/groups.js";
import { makePlan, type PlanResult } from "../../../core/plan/make-plan.js";
import { pipelineId, tableId } from "../../../core/vocabulary/ids.js";
import { tableOf } from "./catalogue-of.js";

type Groups = Readonly<Record<string, readonly string[]>>;
const names = ["customers", "orders", "lines", "stock"];

/** `lines` refers to `orders`. */
function plan(groups: Groups, applied: TargetPlan | null = null): PlanResult {
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
    const mixed = errors(plan({ all: ["stock", "orders", "lines"] }, two));
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

  it("gives a group's own plan", () => {
    const { plan: whole } = plan({ sales: ["orders", "lines"] });
    const [, sales] = groupsOf(whole);
    expect(planOfGroup(whole, sales?.id ?? whole.tables[0]?.group ?? (0 as never)).tables.map(({ source }) => source)).toEqual([
      tableId("orders"),
      tableId("lines"),
    ]);
  });
});
